"""What the webhooks say: from a decision to the bytes of a body.

A body is made from the decision alone, so a try after a restart sends the same bytes under the same id.
"""

import json
from collections.abc import Sequence
from typing import Any

from driftsonde.adapters.training import TrainingOrder
from driftsonde.core.control.canonical import to_object, to_plain
from driftsonde.core.control.decisions import Change, Decision, Kind
from driftsonde.core.control.state import Effect
from driftsonde.core.control.traffic import Traffic
from driftsonde.core.iso_time import iso_milliseconds
from driftsonde.core.signals import Signal

# A receiver wants a message, not an archive: Standard Webhooks asks for less than 20 kB.
MAX_EVIDENCE = 20
MAX_DIGEST = 60
RETRAIN_REQUESTED = "retrain.requested"


def body_of(effect: Effect, first: Decision) -> bytes:
    """The body for an effect; `first` is the decision's first step, which has the evidence."""
    decision = effect.decision
    return _as_json(
        RETRAIN_REQUESTED if effect.action else notice_type(decision),
        decision,
        retrain_data(decision, first) if effect.action else _notice_data(decision, first),
    )


def digest_body(decisions: Sequence[Decision]) -> bytes:
    """The body about several steps, oldest first; what has no room is counted."""
    items = [
        {"type": notice_type(decision), "timestamp": iso_milliseconds(decision.timestamp_ms)}
        | {key: value for key, value in _decision_data(decision).items() if value}
        for decision in decisions[:MAX_DIGEST]
    ]
    return _as_json("digest", decisions[-1], {"items": items, "total": len(decisions)})


def traffic_body(traffic: Traffic, decision: Decision) -> bytes:
    """The body for a serving system: the split that it is to serve."""
    return _as_json("traffic.changed", decision, to_object(traffic))


def _as_json(message_type: str, decision: Decision, data: dict[str, Any]) -> bytes:
    body = {"type": message_type, "timestamp": iso_milliseconds(decision.timestamp_ms), "data": data}
    return json.dumps(body, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def notice_type(decision: Decision) -> str:
    """An alert or its end is news of the incident; anything else is news of the decision."""
    if (
        decision.kind in (Kind.ALERT, Kind.RESOLVE, Kind.FALSE_ALARM, Kind.ACKNOWLEDGE)
        and decision.detail.change is not Change.NONE
    ):
        return f"incident.{decision.detail.change}"
    return f"{decision.kind}.{decision.step}"


def _notice_data(decision: Decision, first: Decision) -> dict[str, Any]:
    data = _decision_data(decision)
    data["incident"] = (
        {"id": decision.incident, "change": decision.detail.change.value} if decision.incident else None
    )
    data["cost"] = first.detail.impact
    data["traffic"] = to_plain(decision.detail.traffic)
    data["signal"] = _signal_data(first.detail.signal)
    return data


def retrain_data(decision: Decision, first: Decision) -> dict[str, Any]:
    """What a training pipeline needs: why, which columns, which data."""
    signal = first.detail.signal
    data = _decision_data(decision)
    data["incident"] = {"id": decision.incident, "change": ""}
    data["signal"] = _signal_data(signal)
    data["columns"] = (
        [] if signal is None else sorted({entry.column for entry in signal.evidence if entry.column})
    )
    data["window"] = (
        None
        if signal is None
        else {"start": iso_milliseconds(signal.since_ms), "end": iso_milliseconds(signal.window_end_ms)}
    )
    return data


def training_order(decision: Decision, first: Decision) -> TrainingOrder:
    """The same for those who train without a webhook."""
    data = retrain_data(decision, first)
    window = data["window"] or {"start": "", "end": ""}
    return TrainingOrder(
        id=decision.id,
        model=decision.model,
        version=decision.version,
        incident=decision.incident,
        reason=first.detail.signal.summary if first.detail.signal is not None else decision.detail.reason,
        columns=tuple(data["columns"]),
        window_start=window["start"],
        window_end=window["end"],
    )


def _decision_data(decision: Decision) -> dict[str, Any]:
    return {
        "decision": decision.id,
        "kind": decision.kind.value,
        "step": decision.step.value,
        "model": decision.model,
        "version": decision.version,
        "mode": decision.mode and decision.mode.value,
        "severity": decision.detail.severity.value,
        "actor": decision.actor,
        "policy": decision.policy,
        "reason": decision.detail.reason,
        "expires": iso_milliseconds(decision.detail.expires_ms) if decision.detail.expires_ms else None,
    }


def _signal_data(signal: Signal | None) -> dict[str, Any] | None:
    if signal is None:
        return None
    return {
        "id": signal.id,
        "kind": signal.kind.value,
        "rule": signal.rule.value,
        "variant": signal.variant.value,
        "segment": signal.segment,
        "summary": signal.summary,
        "since": iso_milliseconds(signal.since_ms),
        "window_start": iso_milliseconds(signal.window_start_ms),
        "window_end": iso_milliseconds(signal.window_end_ms),
        "baseline": signal.baseline,
        "evidence": [to_plain(entry) for entry in signal.evidence[:MAX_EVIDENCE]],
        "evidence_total": len(signal.evidence),
    }
