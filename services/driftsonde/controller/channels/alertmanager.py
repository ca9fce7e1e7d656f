"""Alertmanager's API, version 2: an alert is its labels, so nothing that changes may be one of them.

Alertmanager keeps alerts in memory alone, and ends an alert by itself that its sender does not repeat by `endsAt`. So what
is open is told again and again (`standing`), each time with an end that lies a day ahead: a controller that is away for
less ends nothing, and what nobody repeats any more is over after a day. The real end comes with the incident's.
"""

import json
from typing import Any

from driftsonde.adapters.outbound import Request
from driftsonde.adapters.talk import Talk, ask
from driftsonde.controller.channels.notice import Event, Notice, event_of, facts, subject_of, title
from driftsonde.core.iso_time import iso_milliseconds
from driftsonde.core.signals import Rule

PATH = "/api/v2/alerts"
KEPT_MS = 86_400_000
REPEAT_MS = 5 * 60_000
INVALID = 400
NAMES = {
    Rule.DRIFT: "ModelDrift",
    Rule.QUALITY: "ModelDataQuality",
    Rule.PERFORMANCE: "ModelPerformance",
    Rule.CANARY: "ModelCanary",
    Rule.FAIRNESS: "ModelFairness",
    Rule.MULTIVARIATE: "ModelMultivariateDrift",
    None: "ModelActionFailed",
}


def tell(url: str, token: str, notice: Notice, now_ms: int) -> Talk:
    """An acknowledgement is nothing to Alertmanager, which knows silences."""
    event = event_of(notice.decision)
    if event not in (Event.OPEN, Event.CLOSE):
        return ""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body = json.dumps([alert(event, notice, now_ms)], ensure_ascii=False).encode()
    reply = yield from ask(
        Request(url.rstrip("/") + PATH, body, headers=headers, accept=frozenset({INVALID}), read=True)
    )
    return f"Alertmanager refuses the alert, {reply.excerpt()}" if reply.status == INVALID else ""


def alert(event: Event, notice: Notice, now_ms: int) -> dict[str, Any]:
    subject, decision = subject_of(notice), notice.decision
    labels = {
        "alertname": NAMES[subject.rule],
        "model": subject.model,
        "version": subject.version,
        "variant": subject.variant,
        "segment": subject.segment,
        "severity": notice.severity.value,
        "incident": subject.key,
        "source": "driftsonde",
    }
    known = {label.lower().replace(" ", "_"): text for label, text in facts(notice).items()}
    since_ms = decision.timestamp_ms
    if notice.incident is not None and subject.rule is not None:
        since_ms = min(since_ms, notice.incident.opened_ms)
    ends_ms = max(now_ms, decision.timestamp_ms) + KEPT_MS if event is Event.OPEN else decision.timestamp_ms
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {"summary": title(notice), "decision": decision.id, **known},
        "startsAt": iso_milliseconds(since_ms),
        "endsAt": iso_milliseconds(ends_ms),
        **({"generatorURL": notice.link} if notice.link else {}),
    }
