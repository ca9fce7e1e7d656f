"""Measure, and write DIR/detection.{json,md}: `python -m bench.detection --date DATE [--out DIR]` and the options below.

--quick: few seeds, to see that it works; its figures mean little. --elec2 FILE: the electricity data (see `electricity`),
without which that part is left out. Evidently and NannyML run in environments of their own, which the first run makes;
what can't be had is named in the table, and left out, as with --without-peers.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bench.detection import column_rules, peers, river_rules
from bench.detection.columns import SHAPES as COLUMN_SHAPES
from bench.detection.columns import Shape, column_stream
from bench.detection.electricity import electricity
from bench.detection.ours import watch_outcomes
from bench.detection.report import to_json, to_markdown
from bench.detection.scoring import Score, score
from bench.detection.streams import (
    BASELINE_ROWS,
    GENERATORS,
    ROWS,
    WANDERS,
    OutcomeStream,
    Wander,
    bernoulli,
    briefly_worse,
    generated,
    wandering,
)

WINDOW_ROWS = 100
_SLOW_SEEDS = 2  # of KSWIN, which does some 3,000 rows a second


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.detection", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--elec2", type=Path)
    parser.add_argument("--without-peers", action="store_true", help="without Evidently and NannyML")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--date", required=True, help="the day of the run, for its record")
    parser.add_argument("--out", type=Path, default=Path("bench/results/detection"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    about: dict[str, object] = {
        "date": options.date,
        "scale": "quick" if options.quick else "full",
        **{name: version(name) for name in ("numpy", "scipy", "river")},
    }
    pythons = {} if options.without_peers else peers.installed()
    about |= {name: peers.version_in(name, python) for name, python in pythons.items()}
    scores: list[Score] = []
    with ProcessPoolExecutor(options.processes) as pool:
        for some in pool.map(_measure, _tasks(options.quick, options.elec2, pythons)):
            scores.extend(some)
            print(f"{some[-1].stream} …", flush=True)
            (options.out / "detection.json").write_text(to_json(scores, about), encoding="utf-8")
            (options.out / "detection.md").write_text(to_markdown(scores, about), encoding="utf-8")


Task = Callable[[], Iterable[Score]]


def _measure(task: Task) -> list[Score]:
    return list(task())


def _tasks(quick: bool, elec2: Path | None, pythons: dict[str, str]) -> list[Task]:
    """What can be measured by itself, in the order of the table."""
    seeds, wandering_seeds, few, column_seeds = (6, 2, 2, 2) if quick else (60, 30, 10, 20)
    tasks: list[Task] = [partial(_reference, changed, seeds, quick) for changed in (False, True)]
    tasks.append(partial(_briefly_worse, seeds, quick))
    for wander in WANDERS:
        tasks += [partial(_wandering, wander, wandering_seeds, rise, quick) for rise in (0.0, 0.1)]
    tasks += [partial(_generated, name, few, quick) for name in (("Sine",) if quick else GENERATORS)]
    if elec2:
        tasks.append(partial(_electricity, elec2, quick))
    tasks += [
        partial(_columns, shape, column_seeds, window_rows, pythons)
        for shape in (COLUMN_SHAPES[-2:] if quick else COLUMN_SHAPES)
        for window_rows in (100, 500)
    ]
    return tasks


def _reference(changed: bool, seeds: int, quick: bool) -> Iterator[Score]:
    """The reference stream also row by row, with the baseline known, and with river's detectors not shown it."""
    stream = bernoulli(seeds, changed)
    if not quick:
        yield _score(stream, "ours, every row", watch_outcomes(stream, 1))
        yield _score(stream, "ours, every row, baseline known", watch_outcomes(stream, 1, 0.2))
    yield _score(stream, "ours, windows of 50", watch_outcomes(stream, 50))
    yield from _outcomes(stream, quick)
    for name in river_rules.DETECTORS:
        pages = river_rules.watch(name, stream, False, _seeds(name, stream))
        yield _score(stream, f"{name}, not shown the baseline", pages)


def _briefly_worse(seeds: int, quick: bool) -> Iterator[Score]:
    for stream in briefly_worse(seeds):
        yield from _outcomes(stream, quick)


def _wandering(wander: Wander, seeds: int, rise: float, quick: bool) -> Iterator[Score]:
    yield from _outcomes(wandering(wander, seeds, rise), quick)


def _generated(generator: str, seeds: int, quick: bool) -> Iterator[Score]:
    for stream in generated(generator, seeds):
        yield from _outcomes(stream, quick)


def _electricity(path: Path, quick: bool) -> Iterator[Score]:
    for stream in electricity(path):
        yield from _outcomes(stream, quick)


def _outcomes(stream: OutcomeStream, quick: bool) -> Iterator[Score]:
    yield _score(stream, f"ours, windows of {WINDOW_ROWS}", watch_outcomes(stream, WINDOW_ROWS))
    for name in river_rules.DETECTORS:
        if name == "KSWIN" and quick:
            continue
        pages = river_rules.watch(name, stream, True, _seeds(name, stream))
        yield _score(stream, name, pages)


def _columns(shape: Shape, seeds: int, window_rows: int, pythons: dict[str, str]) -> Iterator[Score]:
    stream = column_stream(shape, seeds)
    name = f"{stream.name}; windows of {window_rows}"
    for rule, watch in column_rules.RULES.items():
        yield score(name, rule, watch(stream, window_rows), ROWS, stream.changes)
    for peer in peers.peer_rules(stream, window_rows, pythons):
        yield score(name, peer.rule, peer.pages, ROWS, stream.changes)


def _seeds(name: str, stream: OutcomeStream) -> int:
    return min(len(stream.errors), _SLOW_SEEDS if name == "KSWIN" else len(stream.errors))


def _score(stream: OutcomeStream, rule: str, pages: list[list[int]]) -> Score:
    loss = f" (loss {stream.loss:.2f})" if stream.changes else ""
    return score(stream.name + loss, rule, pages, stream.errors.shape[1] - BASELINE_ROWS, stream.changes)


if __name__ == "__main__":
    main()
