"""The checked-in dashboards, their queries, and what Grafana does to a query before the data source sees it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[1]
GRAFANA = TOP / "deploy" / "grafana"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """`place` is the panel's title and the query's letter, or the name of a variable or annotation."""

    dashboard: str
    place: str
    sql: str
    is_series: bool


def dashboards() -> dict[str, Json]:
    files = sorted((GRAFANA / "dashboards").glob("*.json"))
    return {file.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def sql_queries() -> list[Query]:
    return [query for name, dashboard in dashboards().items() for query in _queries(name, dashboard)]


def expressions() -> list[str]:
    """Every PromQL expression of the dashboards."""
    return [
        target["expr"]
        for dashboard in dashboards().values()
        for panel in dashboard["panels"]
        for target in panel["targets"]
        if "expr" in target
    ]


def query_variables(dashboard: Json) -> list[Json]:
    """Those that are filled by a query; the others are texts that people may change."""
    return [entry for entry in dashboard["templating"]["list"] if entry["type"] == "query"]


def alert_queries() -> dict[str, str]:
    """The queries of Grafana's own alert rules, by the name of the rule."""
    file = GRAFANA / "provisioning" / "alerting" / "driftsonde.json"
    (group,) = json.loads(file.read_text(encoding="utf-8"))["groups"]
    return {rule["title"]: rule["data"][0]["model"]["rawSql"] for rule in group["rules"]}


def _queries(name: str, dashboard: Json) -> Iterator[Query]:
    for entry in query_variables(dashboard):
        yield Query(name, entry["name"], entry["query"]["rawSql"], False)
    for entry in dashboard["annotations"]["list"]:
        yield Query(name, entry["name"], entry["target"]["rawSql"], False)
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            if "rawSql" in target:
                place = f"{panel['title']} {target['refId']}"
                yield Query(name, place, target["rawSql"], target["format"] == 0)


def expand(sql: str, variables: Mapping[str, str], start: datetime, end: datetime) -> str:
    """The query as the data source gets it. Fails on a variable or macro that is not known here."""
    seconds = {"from": int(start.timestamp()), "to": int(end.timestamp())}

    def value(match: re.Match[str]) -> str:
        return "'" + variables[match.group(1)].replace("'", "''") + "'"

    sql = re.sub(r"\$\{(\w+):sqlstring\}", value, sql)
    sql = re.sub(r"\$\{__(from|to):date:seconds\}", lambda match: str(seconds[match.group(1)]), sql)
    between = rf"\1 >= toDateTime({seconds['from']}) AND \1 <= toDateTime({seconds['to']})"
    sql = re.sub(r"\$__timeFilter\((\w+)\)", between, sql)
    assert "$" not in sql, f"not expanded: {sql}"
    return sql
