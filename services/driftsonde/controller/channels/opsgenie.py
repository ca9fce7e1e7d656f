"""Opsgenie's alert API, and that of its successor in Jira Service Management, which takes the same requests.

Its limits: 130 characters a message, 512 an alias or entity, 15,000 a description, 8,000 the details, 50 a tag.
"""

import json
from typing import Any

from driftsonde.adapters.outbound import Request
from driftsonde.adapters.talk import Talk, ask
from driftsonde.controller.channels.notice import Event, Notice, cut, event_of, facts, subject_of, title
from driftsonde.core.control.decisions import Severity

URL = "https://api.opsgenie.com"
PATH = "/v2/alerts"
MAX_MESSAGE, MAX_DESCRIPTION, MAX_TAG, MAX_ENTITY, MAX_NOTE = 130, 15_000, 50, 512, 25_000
# A request that can't be read or has an invalid field: it will be no better next time.
INVALID = frozenset({400, 422})

_PRIORITIES = {Severity.CRITICAL: "P1", Severity.WARNING: "P3", Severity.INFO: "P5"}
_ENDINGS = {Event.ACKNOWLEDGE: "acknowledge", Event.CLOSE: "close"}


def tell(url: str, key: str, notice: Notice) -> Talk:
    event = event_of(notice.decision)
    if event is None:
        return ""
    path, body = alert_request(event, notice)
    headers = {"authorization": f"GenieKey {key}"}
    content = json.dumps(body, ensure_ascii=False).encode()
    reply = yield from ask(
        Request(url.rstrip("/") + path, content, headers=headers, accept=INVALID, read=True)
    )
    return f"Opsgenie refuses the request, {reply.excerpt()}" if reply.status in INVALID else ""


def alert_request(event: Event, notice: Notice) -> tuple[str, dict[str, Any]]:
    """Path and body. The alias is hexadecimal, so it stands in a path as it is."""
    subject, known = subject_of(notice), facts(notice)
    if event is not Event.OPEN:
        note = "\n".join((title(notice), *known.values()))
        path = f"{PATH}/{subject.key}/{_ENDINGS[event]}?identifierType=alias"
        return path, {"source": "driftsonde", "note": cut(note, MAX_NOTE)}
    text = "\n\n".join(f"{label}: {value}" for label, value in known.items())
    tags = (subject.model, subject.rule or "action", notice.decision.detail.severity)
    return PATH, {
        "message": cut(title(notice), MAX_MESSAGE),
        "alias": subject.key,
        "description": cut(f"{text}\n\n{notice.link}".strip(), MAX_DESCRIPTION),
        "tags": [cut(tag, MAX_TAG) for tag in tags],
        "entity": cut(f"{subject.model}/{subject.version}", MAX_ENTITY),
        "source": "driftsonde",
        "priority": _PRIORITIES[notice.decision.detail.severity],
        "details": {
            "decision": notice.decision.id,
            "model": cut(subject.model, MAX_ENTITY),
            "version": cut(subject.version, MAX_ENTITY),
            "segment": cut(subject.segment, MAX_ENTITY),
            "link": cut(notice.link, 2_000),
        },
    }
