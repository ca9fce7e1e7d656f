"""What the vendors' documents say a request has to look like, as checks that say what is wrong.

PagerDuty: the Events API v2 in the repository PagerDuty/api-schema (reference/events-v2), and the limits of its overview.
Opsgenie: its alert API, version 2. Slack: the Block Kit reference. Alertmanager: api/v2/openapi.yaml of
prometheus/alertmanager, where `postableAlert` is defined.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fake_api import Call

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def check_pagerduty(call: Call, routing_key: str) -> None:
    assert (call.method, call.path) == ("POST", "/v2/enqueue")
    assert call.headers["content-type"] == "application/json"
    assert len(call.raw) <= 512 * 1024
    body = call.body
    _only(body, {"payload", "routing_key", "event_action", "dedup_key", "client", "client_url", "links"})
    assert body["routing_key"] == routing_key
    assert len(routing_key) == 32
    assert body["event_action"] in ("trigger", "acknowledge", "resolve")
    assert 0 < len(body["dedup_key"]) <= 255
    if body["event_action"] != "trigger":
        assert "payload" not in body
        return
    payload = body["payload"]
    _only(
        payload,
        {"summary", "source", "severity", "timestamp", "component", "group", "class"},
        "custom_details",
    )
    assert 0 < len(payload["summary"]) <= 1024
    assert payload["severity"] in ("critical", "error", "warning", "info")
    assert payload["source"]
    _time(payload["timestamp"])
    assert all(isinstance(value, str) for value in payload["custom_details"].values())
    for link in body.get("links", ()):
        _only(link, {"href", "text"})
        _url(link["href"])


def check_opsgenie(call: Call, key: str) -> None:
    assert call.method == "POST"
    assert call.headers["authorization"] == f"GenieKey {key}"
    assert call.headers["content-type"] == "application/json"
    address, body = urlsplit(call.path), call.body
    if address.path == "/v2/alerts":
        fields = {"message", "alias", "description", "tags", "entity", "source", "priority", "details"}
        _only(body, fields)
        assert 0 < len(body["message"]) <= 130
        assert 0 < len(body["alias"]) <= 512
        assert len(body["description"]) <= 15_000
        assert len(body["tags"]) <= 20
        assert all(0 < len(tag) <= 50 for tag in body["tags"])
        assert len(body["entity"]) <= 512
        assert body["priority"] in ("P1", "P2", "P3", "P4", "P5")
        assert sum(len(name) + len(value) for name, value in body["details"].items()) <= 8_000
        return
    match = re.fullmatch(r"/v2/alerts/([^/]{1,512})/(acknowledge|close)", address.path)
    assert match, call.path
    assert parse_qs(address.query) == {"identifierType": ["alias"]}
    _only(body, {"user", "source", "note"})
    assert len(body["source"]) <= 100
    assert len(body["note"]) <= 25_000


def check_slack(call: Call) -> None:
    assert call.method == "POST"
    assert call.headers["content-type"] == "application/json"
    _only(call.body, {"text", "blocks"})
    assert 0 < len(call.body["text"]) <= 40_000
    assert 0 < len(call.body["blocks"]) <= 50
    for block in call.body["blocks"]:
        _BLOCKS[block["type"]](block)


def _header(block: Mapping[str, Any]) -> None:
    _only(block, {"type", "text"})
    _text(block["text"], "plain_text", 150)


def _section(block: Mapping[str, Any]) -> None:
    _only(block, {"type", "text"})
    _text(block["text"], "mrkdwn", 3_000)


def _context(block: Mapping[str, Any]) -> None:
    _only(block, {"type", "elements"})
    assert 0 < len(block["elements"]) <= 10
    for element in block["elements"]:
        _text(element, "mrkdwn", 3_000)


def _actions(block: Mapping[str, Any]) -> None:
    _only(block, {"type", "elements"})
    assert 0 < len(block["elements"]) <= 25
    for button in block["elements"]:
        _only(button, {"type", "text", "url", "action_id"})
        assert button["type"] == "button"
        _text(button["text"], "plain_text", 75)
        assert len(button["url"]) <= 3_000
        _url(button["url"])


_BLOCKS = {"header": _header, "section": _section, "context": _context, "actions": _actions}


def _text(value: Mapping[str, Any], kind: str, most: int) -> None:
    _only(value, {"type", "text", "emoji"})
    assert value["type"] == kind
    assert 0 < len(value["text"]) <= most
    if kind == "mrkdwn":  # what is not a link or an entity of ours has to be escaped
        bare = re.sub(r"<https?://[^<>]*>", "", value["text"])
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", bare), value["text"]
        assert "emoji" not in value


def check_alertmanager(call: Call) -> None:
    assert (call.method, call.path) == ("POST", "/api/v2/alerts")
    assert call.headers["content-type"] == "application/json"
    assert call.body
    for alert in call.body:
        _only(alert, {"labels", "annotations", "startsAt", "endsAt", "generatorURL"})
        assert alert["labels"]["alertname"]
        for name, value in alert["labels"].items():
            assert _LABEL.fullmatch(name)
            assert isinstance(value, str)
            assert value
        for name, value in alert["annotations"].items():
            assert _LABEL.fullmatch(name)
            assert isinstance(value, str)
        assert _time(alert["startsAt"]) <= _time(alert["endsAt"])
        if "generatorURL" in alert:
            _url(alert["generatorURL"])


def _only(value: Mapping[str, Any], allowed: set[str], *more: str) -> None:
    unknown = set(value) - allowed - set(more)
    assert not unknown, f"{sorted(unknown)} in {json.dumps(value)[:200]}"


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    assert time.tzinfo is not None
    return time


def _url(text: str) -> None:
    assert urlsplit(text).scheme in ("http", "https")
    assert urlsplit(text).netloc
