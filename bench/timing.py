"""Timing in this process: processor time, which what else the machine does changes little; in turns where things are
compared, so that that little hits all of them."""

import gc
import time
from collections.abc import Callable, Mapping

Call = Callable[[], object]


def seconds_of(calls: Mapping[str, Call], rounds: int, least_s: float = 0.02) -> dict[str, list[float]]:
    """Processor seconds of one call of each, `rounds` times, in turns. A quick call is repeated until it takes `least_s`."""
    repeats = {name: _repeats(call, least_s) for name, call in calls.items()}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    for _ in range(rounds):
        for name, call in calls.items():
            taken[name].append(_time(call, repeats[name]))
    return taken


def best_seconds(calls: Mapping[str, Call], rounds: int = 5, least_s: float = 0.02) -> dict[str, float]:
    """The shortest of `seconds_of`: what else the machine does can only add to it."""
    return {name: min(taken) for name, taken in seconds_of(calls, rounds, least_s).items()}


def _repeats(call: Call, least_s: float) -> int:
    call()  # whatever is only done once
    once_s = _time(call, 1)
    return max(1, round(least_s / max(once_s, 1e-9)))


def _time(call: Call, repeats: int) -> float:
    began_s = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - began_s) / repeats
