"""Grafana's own published schema (of its Foundation SDK) knows everything that our dashboards and alert rules say.

What it does not know it drops when it reads a document: so a document must come back as it was.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.alerting import Rule
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana_files import GRAFANA, Json, dashboards

# Plugins say what a query of theirs holds, and `definition` is what Grafana's editor writes beside a query.
_FREE = ("/annotations/list/target/", "/templating/list/definition")


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    register_default_plugins()


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_is_read_as_it_is_written(name: str) -> None:
    content = dashboards()[name]
    back = json.loads(json.dumps(Dashboard.from_json(content), cls=JSONEncoder))
    assert [place for place in differences(content, back) if not place.startswith(_FREE)] == []


def test_a_misspelt_option_is_found() -> None:
    content = dashboards()["model.json"]
    content["panels"][0]["options"]["colourMode"] = "value"
    back = json.loads(json.dumps(Dashboard.from_json(content), cls=JSONEncoder))
    assert "/panels/options/colourMode" in list(differences(content, back))


def test_alert_rules_are_read_as_they_are_written() -> None:
    file = GRAFANA / "provisioning" / "alerting" / "driftsonde.json"
    (group,) = json.loads(file.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]:
        back = json.loads(json.dumps(Rule.from_json(rule), cls=JSONEncoder))
        assert list(differences(rule, back)) == []


def differences(content: Any, back: Any, place: str = "") -> Iterator[str]:
    """Where something of `content` is not in `back`, or another value is."""
    if isinstance(content, dict) and isinstance(back, dict):
        for key, value in content.items():
            yield from differences(value, back.get(key, _MISSING), f"{place}/{key}")
    elif isinstance(content, list) and isinstance(back, list) and len(content) == len(back):
        for value, other in zip(content, back, strict=True):
            yield from differences(value, other, place)
    elif content != back:
        yield place


_MISSING: Json = {"": "missing"}
