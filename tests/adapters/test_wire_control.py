"""Signals, decisions and splits on the wire: round trips, published examples, other releases, nonsense."""

import copy
import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_examples import after, canary_rollback, setting, signal, with_canary
from driftsonde.adapters.avro import Codec, load_schema, parse_avro_schema
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.wire_control import (
    CONTROL_TYPES,
    DECISION_TYPE,
    SIGNAL_TYPE,
    TRAFFIC_TYPE,
    detail_from_json,
    signal_from_record,
)
from driftsonde.core.control.canonical import detail_to_json, to_plain
from driftsonde.core.control.decisions import Action, Change, Decision, Detail, Kind, Step, Switch
from driftsonde.core.control.rollout import Rollout, RolloutStatus
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import InvalidEvent, Variant
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.core.spec import Mode

CODEC = Codec(CONTROL_TYPES)
NAMES = tuple(record_type.name for record_type in CONTROL_TYPES)

_texts = st.text(st.characters(codec="utf-8"), max_size=20)
_names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_longs = st.integers(-(2**63), 2**63 - 1)
_evidence = st.builds(
    Evidence, _longs, _longs, _texts, _texts, *(st.floats(allow_infinity=False) for _ in range(4)), _longs
)
_signals = st.builds(
    Signal,
    id=_names,
    kind=st.sampled_from(SignalKind),
    rule=st.sampled_from(Rule),
    model=_names,
    version=_names,
    variant=st.sampled_from(Variant),
    segment=_texts,
    window_start_ms=_longs,
    window_end_ms=_longs,
    since_ms=_longs,
    episode=_names,
    summary=_texts,
    evidence=st.lists(_evidence, max_size=3).map(tuple),
    baseline=_texts,
    policy=_texts,
)
_splits = st.floats(0.0, 1.0).map(
    lambda weight: (Share("1", Variant.CHAMPION, 1.0 - weight), Share("2", Variant.CANARY, weight))
)
_traffic = st.builds(Traffic, _names, _splits, st.integers(0, 2**63 - 1), _names)
_rollouts = st.builds(
    Rollout,
    *(_names for _ in range(4)),
    weights=st.lists(st.floats(0, 1), max_size=4).map(tuple),
    stage=st.integers(0, 9),
    status=st.sampled_from(RolloutStatus),
    started_ms=_longs,
    since_ms=_longs,
    labels=_longs,
)
_details = st.builds(
    Detail,
    reason=_texts,
    change=st.sampled_from(Change),
    signal=st.none() | _signals,
    action=st.sampled_from(Action),
    traffic=st.none() | _traffic,
    rollout=st.none() | _rollouts,
    recipients=st.lists(_names, max_size=3).map(tuple),
    quiet=_texts,
    switch=st.sampled_from(Switch),
    from_ms=_longs,
    expires_ms=_longs,
    parent=_texts,
    parent_step=_texts,
    target=_texts,
    attempts=st.integers(0, 100),
)
_decisions = st.builds(
    Decision,
    id=_names,
    step=st.sampled_from(Step),
    kind=st.sampled_from(Kind),
    model=_names,
    version=_texts,
    incident=_texts,
    signal=_texts,
    mode=st.none() | st.sampled_from(Mode),
    actor=_names,
    policy=_texts,
    timestamp_ms=_longs,
    detail=_details,
)


@given(st.one_of(_signals, _traffic, _decisions))
def test_what_is_written_is_read(value: object) -> None:
    # By their texts, because NaN differs from itself.
    assert repr(CODEC.decode(CODEC.encode(value))) == repr(value)


@given(_details)
def test_a_detail_is_the_same_text_each_time_and_plain_json(detail: Detail) -> None:
    text = detail_to_json(detail)
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert detail_to_json(detail_from_json(text)) == text


def test_an_empty_detail_is_an_empty_object() -> None:
    assert detail_to_json(Detail()) == "{}"


def test_the_decisions_of_a_life_survive_the_wire() -> None:
    state = with_traffic(State(), with_canary())
    _, decisions = after(state, [signal(SignalKind.RETRAIN), canary_rollback()], setting())
    assert repr([CODEC.decode(CODEC.encode(decision)) for decision in decisions]) == repr(decisions)


@pytest.mark.parametrize("name", NAMES)
def test_the_published_example(name: str) -> None:
    directory = schemas_directory() / "examples"
    described = json.loads((directory / f"{name}.json").read_text(encoding="utf-8"))
    message = (directory / f"{name}.avro").read_bytes()
    (record_type,) = (entry for entry in CONTROL_TYPES if entry.name == name)
    value = CODEC.decode(message)
    assert described["schema"] == name
    assert value == record_type.from_record(described["record"])
    assert CODEC.encode(value) == message


def _resolved(writer: dict[str, Any], name: str, record: dict[str, Any]) -> Any:
    """What a reader of our schema makes of a record that another release wrote."""
    body = io.BytesIO()
    schema = parse_avro_schema(json.dumps(writer))
    fastavro.schemaless_writer(body, schema.parsed, record)
    body.seek(0)
    return fastavro.schemaless_reader(body, schema.parsed, load_schema(name).parsed)


def _record(value: Signal) -> dict[str, Any]:
    assert SIGNAL_TYPE.to_record is not None
    return dict(SIGNAL_TYPE.to_record(value))


def test_a_kind_of_signal_from_a_later_release_is_read_as_an_alert() -> None:
    later = copy.deepcopy(json.loads(load_schema("Signal").text))
    (kind,) = (field["type"] for field in later["fields"] if field["name"] == "kind")
    kind["symbols"].append("escalate")
    later["fields"].append({"name": "runbook", "type": "string", "default": ""})
    record = _record(signal(SignalKind.ALERT)) | {"kind": "escalate", "runbook": "r"}
    assert signal_from_record(_resolved(later, "Signal", record)).kind is SignalKind.ALERT


def test_a_writer_without_the_optional_fields_is_read() -> None:
    required = json.loads(load_schema("Signal").text)
    required["fields"] = [field for field in required["fields"] if "default" not in field]
    read = signal_from_record(_resolved(required, "Signal", _record(signal(SignalKind.ALERT))))
    assert (read.segment, read.evidence, read.baseline, read.policy) == ("", (), "", "")


@pytest.mark.parametrize("field", ["id", "model", "version", "episode"])
def test_a_signal_without_a_name_is_refused(field: str) -> None:
    with pytest.raises(InvalidEvent, match=field):
        signal_from_record(_record(signal(SignalKind.ALERT)) | {field: ""})


@pytest.mark.parametrize(
    "text", ["", "[]", "1", '{"change": "shrunk"}', '{"signal": {}}', '{"traffic": null}']
)
def test_nonsense_in_a_detail_is_refused(text: str) -> None:
    with pytest.raises(InvalidEvent, match="detail"):
        detail_from_json(text)


def test_a_part_of_a_detail_from_a_later_release_is_left_out() -> None:
    assert detail_from_json('{"reason": "r", "mood": 3}') == Detail(reason="r")


def test_a_split_that_cannot_be_served_is_refused() -> None:
    record = {"model": "m", "split": [], "revision": 1, "decision": "d"}
    with pytest.raises(InvalidEvent, match="split"):
        TRAFFIC_TYPE.from_record(record)


def test_an_unknown_step_is_refused() -> None:
    _, (decision,) = after(State(), [signal(SignalKind.ALERT)], setting())
    assert DECISION_TYPE.to_record is not None
    with pytest.raises(ValueError, match="postponed"):
        DECISION_TYPE.from_record({**DECISION_TYPE.to_record(decision), "step": "postponed"})


def test_plain_values_are_json() -> None:
    plain = to_plain({"evidence": (Evidence(0, 1, "c", "psi", 0.5, 0.2, float("nan"), float("inf"), 3),)})
    assert plain["evidence"][0]["lower"] is None
    assert plain["evidence"][0]["upper"] is None
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
