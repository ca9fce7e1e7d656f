"""The audit log: whatever is done to it afterwards is found, and where."""

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_examples import after, canary_rollback, setting, signal, with_canary
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.wire_control import CONTROL_TYPES, decision_to_record
from driftsonde.core.control.chain import FIELDS, Finding, Head, hash_of, link_of, moved, sealed, verify
from driftsonde.core.control.state import State, fold, with_traffic
from driftsonde.core.signals import SignalKind

CODEC = Codec(CONTROL_TYPES)
SIGNALS = [
    signal(SignalKind.ALERT),
    signal(SignalKind.RETRAIN, hour=1),
    canary_rollback(hour=2),
    signal(SignalKind.RESOLVE, hour=3),
]
STATE, DECISIONS = after(with_traffic(State(), with_canary()), [*SIGNALS], setting())
HEAD = STATE.model("fraud").head
RECORDS = [dict(decision_to_record(decision)) for decision in DECISIONS]

Records = list[dict[str, Any]]


def found(records: Records) -> Finding:
    (finding,) = verify(map(link_of, records))
    return finding


def changed(place: int, **values: Any) -> Records:
    return [record | values if record is RECORDS[place] else record for record in RECORDS]


def rehashed(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"hash": hash_of(link_of(record).values)}


def test_the_hash_is_as_documented() -> None:
    first = RECORDS[0]
    text = json.dumps([first[name] for name in FIELDS], separators=(",", ":"), ensure_ascii=False)
    assert first["hash"] == sha256(text.encode()).hexdigest()
    assert (first["sequence"], first["previous"]) == (1, "")
    assert RECORDS[1]["previous"] == first["hash"]


@given(st.permutations(RECORDS), st.lists(st.sampled_from(RECORDS), max_size=3))
def test_order_and_repetition_do_not_matter(records: Records, again: Records) -> None:
    assert found([*records, *again]) == Finding("fraud", HEAD, 0, "")


def test_the_chain_survives_the_wire() -> None:
    read = [CODEC.decode(CODEC.encode(decision)) for decision in DECISIONS]
    assert [decision_to_record(decision) for decision in read] == RECORDS  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in ("model", "sequence", "previous")])
def test_every_change_of_a_field_is_found(name: str) -> None:
    value = RECORDS[1][name]
    other = value + 1 if isinstance(value, int) else f"{value} "
    assert found(changed(1, **{name: other})).problem.startswith("link 2 (")
    # Whoever hashes the changed link again breaks the next one.
    records = [*RECORDS[:1], rehashed(RECORDS[1] | {name: other}), *RECORDS[2:]]
    assert found(records).problem.startswith("link 3 (")


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        (RECORDS[1:], "link 1 is missing, before link 2"),
        (RECORDS[:2] + RECORDS[3:], "link 3 is missing, before link 4"),
        ([*RECORDS, rehashed(RECORDS[2] | {"actor": "eve"})], "another one has this place"),
        (
            [*RECORDS, RECORDS[-1] | {"sequence": 0, "previous": "", "hash": "", "timestamp_ms": 2**50}],
            "outside the chain",
        ),
    ],
)
def test_what_is_missing_or_added_is_found(records: Records, problem: str) -> None:
    assert problem in found(records).problem


def test_an_end_cut_off_shows_in_the_head_alone() -> None:
    assert found(RECORDS[:-1]) == Finding("fraud", Head(len(RECORDS) - 1, RECORDS[-2]["hash"]), 0, "")


def test_decisions_of_an_earlier_release_stand_before_the_chain() -> None:
    old = {name: RECORDS[0][name] for name in FIELDS if name not in ("sequence", "previous")}
    records = [old | {"id": f"old {hour}", "timestamp_ms": hour} for hour in range(3)]
    assert found([*records, *RECORDS]) == Finding("fraud", HEAD, 3, "")
    assert found(records) == Finding("fraud", Head(), 3, "")


def test_each_model_has_its_chain() -> None:
    others = after(State(), [signal(SignalKind.ALERT, model="credit")], setting())[1]
    findings = verify(link_of(decision_to_record(entry)) for entry in [*others, *DECISIONS])
    assert [(finding.model, finding.head.sequence, finding.problem) for finding in findings] == [
        ("credit", 1, ""),
        ("fraud", len(DECISIONS), ""),
    ]


def test_a_writer_that_knew_less_does_not_move_the_head() -> None:
    # Two writers at once: the first link in the log stays the head, the other one shows as a fork.
    late = sealed(DECISIONS[-1], Head(1, DECISIONS[0].hash))
    assert moved(HEAD, late) == HEAD
    assert fold(STATE, [late]).model("fraud").head == HEAD
