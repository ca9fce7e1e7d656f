"""Slack's incoming webhooks, with blocks. Its limits: 50 blocks, 150 characters a header, 3,000 a section's text."""

import json
from typing import Any

from driftsonde.adapters.outbound import Request
from driftsonde.adapters.talk import Talk, ask
from driftsonde.controller.channels.notice import Notice, cut, facts, minute, title
from driftsonde.core.control.decisions import Severity

MAX_HEADER, MAX_TEXT, MAX_BLOCKS, MAX_FALLBACK = 150, 3_000, 50, 4_000
MAX_URL = 3_000
# What is wrong with the message, the app or the channel stays wrong until a person does something.
REFUSED = frozenset({400, 403, 404})

_MARKS = {Severity.CRITICAL: ":red_circle:", Severity.WARNING: ":large_yellow_circle:", Severity.INFO: ""}


def tell(url: str, notice: Notice) -> Talk:
    return _post(url, message(notice))


def tell_digest(url: str, notices: tuple[Notice, ...]) -> Talk:
    return _post(url, digest(notices))


def message(notice: Notice) -> dict[str, Any]:
    headline = title(notice)
    sections = [_section(f"*{label}*\n{escape(text)}") for label, text in facts(notice).items()]
    where = f"decision `{notice.decision.id}`, {minute(notice.decision.timestamp_ms)}"
    blocks = [
        _header(notice.decision.detail.severity, headline),
        *sections,
        {"type": "context", "elements": [{"type": "mrkdwn", "text": where}]},
        *_button(notice.link),
    ]
    return {"text": cut(escape(headline), MAX_FALLBACK), "blocks": blocks}


def digest(notices: tuple[Notice, ...]) -> dict[str, Any]:
    """What came since the last one, oldest first; what has no room is counted."""
    headline = f"{len(notices)} notices of Driftsonde"
    lines = [_line(notice) for notice in notices]
    room = MAX_BLOCKS - 2
    sections = [_section(line) for line in lines[:room]]
    more = [_section(f"and {len(lines) - room} more")] if len(lines) > room else []
    return {"text": headline, "blocks": [_header(Severity.INFO, headline), *sections, *more]}


def escape(text: str) -> str:
    """
    >>> escape("a < b & c")
    'a &lt; b &amp; c'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _post(url: str, content: dict[str, Any]) -> Talk:
    body = json.dumps(content, ensure_ascii=False).encode()
    reply = yield from ask(Request(url, body, accept=REFUSED, read=True))
    return f"Slack refuses the message, {reply.excerpt()}" if reply.status in REFUSED else ""


def _header(severity: Severity, text: str) -> dict[str, Any]:
    marked = f"{_MARKS[severity]} {text}".strip()
    return {"type": "header", "text": {"type": "plain_text", "text": cut(marked, MAX_HEADER), "emoji": True}}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text, MAX_TEXT)}}


def _line(notice: Notice) -> str:
    text = f"{minute(notice.decision.timestamp_ms)}  {escape(title(notice))}"
    linked = f"{text}  <{notice.link}|look>"
    return linked if notice.link and len(linked) <= MAX_TEXT else text


def _button(link: str) -> list[dict[str, Any]]:
    if not link or len(link) > MAX_URL:
        return []
    button = {"type": "button", "text": {"type": "plain_text", "text": "Look at it"}, "url": link}
    return [{"type": "actions", "elements": [button]}]
