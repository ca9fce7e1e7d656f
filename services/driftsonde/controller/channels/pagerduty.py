"""PagerDuty's Events API, version 2. Its limits: 512 KB an event, 1,024 characters a summary, 255 a dedup key."""

import json
from typing import Any

from driftsonde.adapters.outbound import Request
from driftsonde.adapters.talk import Talk, ask
from driftsonde.controller.channels.notice import Event, Notice, cut, event_of, facts, subject_of, title
from driftsonde.core.iso_time import iso_milliseconds

URL = "https://events.pagerduty.com"
PATH = "/v2/enqueue"
MAX_SUMMARY = 1024
INVALID = 400

_ACTIONS = {Event.OPEN: "trigger", Event.ACKNOWLEDGE: "acknowledge", Event.CLOSE: "resolve"}


def tell(url: str, routing_key: str, notice: Notice) -> Talk:
    """Returns what is wrong; an event that PagerDuty finds invalid is not sent again, as it asks."""
    event = event_of(notice.decision)
    if event is None:
        return ""
    body = json.dumps(event_body(routing_key, event, notice), ensure_ascii=False).encode()
    reply = yield from ask(Request(url.rstrip("/") + PATH, body, accept=frozenset({INVALID}), read=True))
    return f"PagerDuty refuses the event, {reply.excerpt()}" if reply.status == INVALID else ""


def event_body(routing_key: str, event: Event, notice: Notice) -> dict[str, Any]:
    body: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": _ACTIONS[event],
        "dedup_key": subject_of(notice).key,
    }
    if event is not Event.OPEN:
        return body
    subject, decision = subject_of(notice), notice.decision
    body["payload"] = {
        "summary": cut(title(notice), MAX_SUMMARY),
        "source": f"{subject.model}/{subject.version}" if subject.version else subject.model,
        "severity": decision.detail.severity.value,
        "timestamp": iso_milliseconds(decision.timestamp_ms),
        "component": subject.model,
        "class": subject.rule.value if subject.rule else "action",
        "custom_details": {
            **facts(notice),
            **({"Segment": subject.segment} if subject.segment else {}),
            **({"Variant": subject.variant} if subject.variant else {}),
            "Decision": decision.id,
        },
    }
    body["client"] = "Driftsonde"
    if notice.link:
        body["client_url"] = notice.link
        body["links"] = [{"href": notice.link, "text": "The incident, its evidence and what was decided"}]
    return body
