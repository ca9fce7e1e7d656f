"""The demo's result as one JSON object."""

from collections.abc import Sequence
from typing import Any

from driftsonde.core.control.canonical import to_object, to_plain
from driftsonde.core.signals import Signal, SignalKind
from driftsonde.standalone.demo.control_log import Seen
from driftsonde.standalone.demo.expectations import Expectation
from driftsonde.standalone.demo.facts import Facts, timeline


def summarise(facts: Facts, expectations: Sequence[Expectation], wall_s: float) -> dict[str, Any]:
    """Times are milliseconds since the epoch, UTC; what is not known is null."""
    totals = facts.totals
    return {
        "ok": all(expectation.met for expectation in expectations),
        "wall_s": round(wall_s, 1),
        "events_produced": totals.predictions + totals.labels,
        "totals": to_object(totals) | {"rows_per_s": round(totals.rows_per_s, 1)},
        "window_ms": facts.window_ms,
        "windows": len({verdict.window_start_ms for verdict in facts.verdicts}),
        "verdicts": [to_object(verdict) for verdict in facts.verdicts],
        "signals": [_signal(seen) for seen in facts.signals],
        "decisions": [
            {"at_ms": seen.at_ms}
            | {
                name: to_plain(getattr(seen.event, name))
                for name in ("id", "step", "kind", "model", "version", "incident", "signal", "mode", "actor")
            }
            | {"reason": seen.event.detail.reason}
            for seen in facts.decisions
        ],
        "deliveries": [
            {"at_ms": one.at_ms, "endpoint": one.endpoint, "id": one.id, "type": one.type, "verified": True}
            for one in facts.deliveries
        ],
        "deliveries_refused": facts.refused,
        "detection_delay": {
            "drift": _delay(facts, SignalKind.ALERT),
            "retrain": _delay(facts, SignalKind.RETRAIN),
            "rollback": _delay(facts, SignalKind.ROLLBACK),
        },
        "false_alarms": len(facts.false_alarms()),
        "timeline": [to_object(happening) for happening in timeline(facts)],
        "expectations": [to_object(expectation) for expectation in expectations],
    }


def _signal(seen: Seen[Signal]) -> dict[str, Any]:
    """A signal with its strongest evidence."""
    signal = seen.event
    strongest = signal.evidence[0] if signal.evidence else None
    return {
        "at_ms": seen.at_ms,
        "id": signal.id,
        "kind": signal.kind.value,
        "rule": signal.rule.value,
        "model": signal.model,
        "version": signal.version,
        "variant": signal.variant.value,
        "window": {"start_ms": signal.window_start_ms, "end_ms": signal.window_end_ms},
        "column": strongest and strongest.column,
        "statistic": strongest and strongest.statistic,
        "value": to_plain(strongest and strongest.value),
        "threshold": to_plain(strongest and strongest.threshold),
        "summary": signal.summary,
    }


def _delay(facts: Facts, kind: SignalKind) -> dict[str, Any]:
    """From the cause to the publication of the first such signal."""
    seen = facts.first(kind)
    cause_ms = facts.cause_ms(seen.event) if seen else None
    if seen is None or cause_ms is None:
        return {"windows": None, "seconds": None}
    return {"windows": facts.windows_after_cause(seen.event), "seconds": (seen.at_ms - cause_ms) / 1000}
