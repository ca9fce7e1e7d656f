"""Signals, decisions and traffic splits as Avro records, and a decision's detail from JSON."""

import dataclasses
import json
import math

from pydantic import TypeAdapter

from driftsonde.adapters.avro import Record, RecordType
from driftsonde.core.control.canonical import detail_to_json
from driftsonde.core.control.decisions import Action, Change, Decision, Detail, Kind, Severity, Step, Switch
from driftsonde.core.control.registered import Registration, Stage
from driftsonde.core.control.rollout import Rollout, RolloutStatus
from driftsonde.core.control.traffic import InvalidSplit, Share, Traffic, validate_split
from driftsonde.core.events import InvalidEvent, Variant
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.core.spec import Mode

_REGISTRATION = TypeAdapter(Registration)
_EVIDENCE_NUMBERS = ("value", "threshold", "lower", "upper")


def detail_from_json(text: str) -> Detail:
    """Raise `InvalidEvent` for what is not a detail of ours; unknown parts are left out."""
    try:
        plain = json.loads(text)
        return Detail(
            reason=plain.get("reason", ""),
            change=Change(plain.get("change", "")),
            signal=signal_from_record(plain["signal"]) if "signal" in plain else None,
            action=Action(plain.get("action", "")),
            traffic=traffic_from_record(plain["traffic"]) if "traffic" in plain else None,
            rollout=rollout_from_record(plain["rollout"]) if "rollout" in plain else None,
            severity=Severity(plain.get("severity", Severity.INFO)),
            recipients=tuple(plain.get("recipients", ())),
            quiet=plain.get("quiet", ""),
            switch=Switch(plain.get("switch", "")),
            from_ms=plain.get("from_ms", 0),
            expires_ms=plain.get("expires_ms", 0),
            run=plain.get("run", ""),
            parent=plain.get("parent", ""),
            parent_step=plain.get("parent_step", ""),
            target=plain.get("target", ""),
            attempts=plain.get("attempts", 0),
            registration=_REGISTRATION.validate_python(plain["registration"])
            if "registration" in plain
            else None,
            stage=Stage(plain["stage"]) if "stage" in plain else None,
            role=plain.get("role", ""),
            approves=plain.get("approves", False),
            done=tuple(plain.get("done", ())),
            impact=plain.get("impact", ""),
            cost=float(plain.get("cost", 0.0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidEvent("detail", f"{type(error).__name__}: {error}") from error


# Rules that readers of earlier releases don't know, and the nearest one that they do: an enumeration can't grow.
_NEAREST = {Rule.FAIRNESS: Rule.PERFORMANCE, Rule.MULTIVARIATE: Rule.DRIFT}


def signal_to_record(signal: Signal) -> Record:
    record = {field.name: getattr(signal, field.name) for field in dataclasses.fields(signal)}
    return record | {
        "kind": signal.kind.value,
        "rule": _NEAREST.get(signal.rule, signal.rule).value,
        "subrule": signal.rule.value if signal.rule in _NEAREST else "",
        "variant": signal.variant.value,
        "evidence": [dataclasses.asdict(entry) for entry in signal.evidence],
    }


def signal_from_record(record: Record) -> Signal:
    """From an Avro record or a JSON object, in which null stands for NaN."""
    for field in ("id", "model", "version", "episode"):
        if not record[field]:
            raise InvalidEvent(field, "is empty")
    fields = {field.name: record[field.name] for field in dataclasses.fields(Signal)}
    fields["kind"] = SignalKind(record["kind"])
    fields["rule"] = Rule(record.get("subrule") or record["rule"])
    fields["variant"] = Variant(record["variant"])
    fields["evidence"] = tuple(_evidence_from_record(entry) for entry in record["evidence"])
    return Signal(**fields)


def _evidence_from_record(record: Record) -> Evidence:
    fields = {field.name: record[field.name] for field in dataclasses.fields(Evidence)}
    for name in _EVIDENCE_NUMBERS:
        fields[name] = math.nan if fields[name] is None else float(fields[name])
    return Evidence(**fields)


def decision_to_record(decision: Decision) -> Record:
    record = {field.name: getattr(decision, field.name) for field in dataclasses.fields(decision)}
    return record | {
        "step": decision.step.value,
        "kind": decision.kind.value,
        "mode": "" if decision.mode is None else decision.mode.value,
        "detail": detail_to_json(decision.detail),
    }


def decision_from_record(record: Record) -> Decision:
    """Without a place in the chain where the record has none: a file of results has not."""
    fields = {
        field.name: record[field.name] for field in dataclasses.fields(Decision) if field.name in record
    }
    fields["step"] = Step(record["step"])
    fields["kind"] = Kind(record["kind"])
    fields["mode"] = Mode(record["mode"]) if record["mode"] else None
    fields["detail"] = detail_from_json(record["detail"])
    return Decision(**fields)


def rollout_from_record(record: Record) -> Rollout:
    fields = {field.name: record[field.name] for field in dataclasses.fields(Rollout)}
    fields["weights"] = tuple(float(weight) for weight in record["weights"])
    fields["status"] = RolloutStatus(record["status"])
    return Rollout(**fields)


def traffic_to_record(traffic: Traffic) -> Record:
    shares = [
        {"version": share.version, "variant": share.variant.value, "weight": share.weight}
        for share in traffic.split
    ]
    return {
        "model": traffic.model,
        "split": shares,
        "revision": traffic.revision,
        "decision": traffic.decision,
    }


def traffic_from_record(record: Record) -> Traffic:
    split = tuple(
        Share(share["version"], Variant(share["variant"]), float(share["weight"]))
        for share in record["split"]
    )
    try:
        validate_split(split)
    except InvalidSplit as error:
        raise InvalidEvent("split", str(error)) from error
    return Traffic(record["model"], split, record["revision"], record["decision"])


SIGNAL_TYPE = RecordType("Signal", Signal, signal_to_record, signal_from_record)
DECISION_TYPE = RecordType("Decision", Decision, decision_to_record, decision_from_record)
TRAFFIC_TYPE = RecordType("Traffic", Traffic, traffic_to_record, traffic_from_record)
CONTROL_TYPES = (SIGNAL_TYPE, DECISION_TYPE, TRAFFIC_TYPE)
