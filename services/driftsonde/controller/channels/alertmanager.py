"""Alertmanager's API, version 2: an alert is its labels, so nothing that changes may be one of them.

Alertmanager keeps alerts in memory and forgets an alert that its sender does not repeat by `endsAt`. An incident can last
for days and is told when something happens, so the end is put far away; its real end comes with the incident's.
"""

import json
from typing import Any

from driftsonde.adapters.outbound import Request
from driftsonde.adapters.talk import Talk, ask
from driftsonde.controller.channels.notice import Event, Notice, event_of, facts, subject_of, title
from driftsonde.controller.messages import iso
from driftsonde.core.signals import Rule

PATH = "/api/v2/alerts"
OPEN_FOR_MS = 30 * 86_400_000
INVALID = 400
NAMES = {
    Rule.DRIFT: "ModelDrift",
    Rule.QUALITY: "ModelDataQuality",
    Rule.PERFORMANCE: "ModelPerformance",
    Rule.CANARY: "ModelCanary",
    None: "ModelActionFailed",
}


def tell(url: str, token: str, notice: Notice) -> Talk:
    """An acknowledgement is nothing to Alertmanager, which knows silences."""
    event = event_of(notice.decision)
    if event not in (Event.OPEN, Event.CLOSE):
        return ""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body = json.dumps([alert(event, notice)], ensure_ascii=False).encode()
    reply = yield from ask(
        Request(url.rstrip("/") + PATH, body, headers=headers, accept=frozenset({INVALID}), read=True)
    )
    return f"Alertmanager refuses the alert, {reply.excerpt()}" if reply.status == INVALID else ""


def alert(event: Event, notice: Notice) -> dict[str, Any]:
    subject, decision = subject_of(notice), notice.decision
    labels = {
        "alertname": NAMES[subject.rule],
        "model": subject.model,
        "version": subject.version,
        "variant": subject.variant,
        "segment": subject.segment,
        "severity": decision.detail.severity.value,
        "incident": subject.key,
        "source": "driftsonde",
    }
    known = {label.lower().replace(" ", "_"): text for label, text in facts(notice).items()}
    since_ms = decision.timestamp_ms
    if notice.incident is not None and subject.rule is not None:
        since_ms = min(since_ms, notice.incident.opened_ms)
    ends_ms = decision.timestamp_ms + (OPEN_FOR_MS if event is Event.OPEN else 0)
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {"summary": title(notice), "decision": decision.id, **known},
        "startsAt": iso(since_ms),
        "endsAt": iso(ends_ms),
        **({"generatorURL": notice.link} if notice.link else {}),
    }
