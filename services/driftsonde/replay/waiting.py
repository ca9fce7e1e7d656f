"""Waits until a replayed model is judged to its end, and its signals and decisions are stored."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.positions import read_archived
from driftsonde.adapters.topics import DECISIONS, SIGNALS, Topic
from driftsonde.core.judging import ModelState
from driftsonde.judge.storage import decode_state

_POLL_S = 0.25
# After signals, a decision may come this much later.
_QUIET_S = 2.0


class NotJudged(RuntimeError):
    """What was sent did not come out as results; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the results will have once all is judged: windows up to `until_ms`, these many rows and outcomes."""

    model: str
    until_ms: int
    rows: int
    outcomes: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What they have now."""

    until_ms: int
    rows: int
    outcomes: int

    def reaches(self, expected: Expected) -> bool:
        return (
            self.until_ms >= expected.until_ms
            and self.rows >= expected.rows
            and self.outcomes >= expected.outcomes
        )


def read_judged(store: Store, model: str) -> Judged:
    """Raises what `Store` raises."""
    states = store.query_rows(
        "SELECT hex(state) FROM model_states WHERE model = {model:String} ORDER BY sequence DESC LIMIT 1",
        {"model": model},
    )
    state = decode_state(bytes.fromhex(states[0][0])) if states else ModelState()
    ((rows, outcomes),) = store.query_rows(
        "SELECT sumIf(n, metric = 'rows'), sumIf(n, metric IN ('accuracy', 'rmse')) FROM metrics FINAL "
        "WHERE model = {model:String} AND segment = '' AND column = ''",
        {"model": model},
    )
    return Judged(state.settled_until_ms, int(rows), int(outcomes))


def wait_until_judged(
    store: Store,
    expected: Expected,
    *,
    stall_s: float,
    check: Callable[[], None],
    report: Callable[[Judged], None],
) -> Judged:
    """Raises `NotJudged` once nothing has changed for `stall_s`, what `check` raises, and what `Store` raises."""
    changed_s, before = time.monotonic(), None
    while True:
        check()
        judged = read_judged(store, expected.model)
        report(judged)
        if judged.reaches(expected):
            return judged
        if judged != before:
            changed_s, before = time.monotonic(), judged
        elif time.monotonic() - changed_s > stall_s:
            raise NotJudged(_what_is_missing(store, expected, judged, stall_s))
        time.sleep(_POLL_S)


def wait_until_archived(
    store: Store, admin: AdminClient, topics: tuple[Topic, ...], timeout_s: float
) -> None:
    """Until the archiver has stored all that these topics hold. Raises `NotJudged`, and what `Store` raises."""
    deadline = time.monotonic() + timeout_s
    while True:
        archived = read_archived(store)
        missing = [
            topic.name
            for topic in topics
            if any(archived.get(place, 0) < end for place, end in _ends(admin, topic).items())
        ]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise NotJudged(f"after {timeout_s:g} s not all of {', '.join(missing)} is stored")
        time.sleep(_POLL_S)


def wait_for_decisions(store: Store, admin: AdminClient, timeout_s: float) -> None:
    """Until all signals are stored, and no decision on one has come for a moment; those are stored, too."""
    wait_until_archived(store, admin, (SIGNALS,), timeout_s)
    if not any(_ends(admin, SIGNALS).values()):
        return
    before, since_s = _ends(admin, DECISIONS), time.monotonic()
    while time.monotonic() - since_s < _QUIET_S:
        time.sleep(_POLL_S)
        now = _ends(admin, DECISIONS)
        if now != before:
            before, since_s = now, time.monotonic()
    wait_until_archived(store, admin, (DECISIONS,), timeout_s)


def _ends(admin: AdminClient, topic: Topic) -> dict[tuple[str, int], int]:
    count = len(admin.list_topics(topic.name, timeout=10.0).topics[topic.name].partitions)
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(topic.name, number): latest for number in range(count)}
    answers = admin.list_offsets(wanted, request_timeout=10.0)
    return {(place.topic, place.partition): future.result().offset for place, future in answers.items()}


def _what_is_missing(store: Store, expected: Expected, judged: Judged, stall_s: float) -> str:
    parts = [
        f"for {stall_s:g} s nothing more was judged",
        f"rows in windows {judged.rows} of {expected.rows}",
        f"outcomes {judged.outcomes} of {expected.outcomes}",
        f"judged until {judged.until_ms} of {expected.until_ms}",
    ]
    letters = store.query_rows("SELECT message FROM dead_letters FINAL ORDER BY timestamp LIMIT 1")
    if letters:
        ((count,),) = store.query_rows("SELECT count() FROM dead_letters FINAL")
        parts.append(f"{count} dead letters, the first: {letters[0][0]}")
    return "; ".join(parts)
