"""The judge on what sketchers make of random logs: crashes, other flushes and little memory change no result."""

import numpy as np
from hypothesis import example

from judge_runs import PARTITIONS, FakeStorage, publish, run_quietly, run_troubled
from strategies import by_seed
from stream_examples import random_log


def assert_same_results(ours: FakeStorage, theirs: FakeStorage) -> None:
    assert ours.as_judged == theirs.as_judged
    assert {key: repr(signal) for key, signal in ours.signals.items()} == {
        key: repr(signal) for key, signal in theirs.signals.items()
    }
    assert ours.rows == theirs.rows
    assert {model: state for model, (_, state) in ours.states.items()} == {
        model: state for model, (_, state) in theirs.states.items()
    }


@by_seed(12)
def test_crashes_and_little_memory_change_no_result(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logs = [random_log(rng, 18) for _ in range(PARTITIONS)]
    topic = publish(logs, rng, restarts=0)
    quiet = run_quietly(topic, PARTITIONS)
    troubled = run_troubled(topic, PARTITIONS, rng, crashes=int(rng.integers(0, 5)))
    assert_same_results(troubled, quiet)


@example(seed=763)  # a pair that has left the index, joined and corrected by one message
@example(seed=1172284)  # a window with only labels when it is judged, on one way
@by_seed(12)
def test_results_are_a_function_of_the_log(seed: int) -> None:
    """Whatever the sketchers send how often, and whatever happens to them and to the judge."""
    rng = np.random.default_rng(seed)
    logs = [random_log(rng, 18) for _ in range(PARTITIONS)]
    quiet = run_quietly(publish(logs, np.random.default_rng(1), restarts=0), PARTITIONS)
    other = publish(logs, rng, restarts=int(rng.integers(0, 3)))
    troubled = run_troubled(other, PARTITIONS, rng, crashes=int(rng.integers(0, 3)))
    assert_same_results(troubled, quiet)


def test_the_random_logs_have_something_to_say() -> None:
    """The laws above are about all kinds of signals, late restatements and every metric."""
    kinds: set[str] = set()
    revisions: set[bool] = set()
    for seed in range(4):
        rng = np.random.default_rng(seed)
        result = run_quietly(publish([random_log(rng, 30)], rng, restarts=0), partitions=1)
        kinds |= {signal.kind.value for signal in result.signals.values()}
        revisions |= {revision > 0 for revision, _ in result.rows.values()}
    assert kinds == {"alert", "retrain", "resolve", "rollback"}
    assert revisions == {True, False}
