"""What dashboards are made of: queries, panels, variables and their layout, as Grafana's JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

CLICKHOUSE = {"type": "grafana-clickhouse-datasource", "uid": "clickhouse"}
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24
_TABLE, _TIME_SERIES = 1, 0  # the plugin's numbers for how a result is to be read

GREEN, YELLOW, RED = "green", "#EAB839", "red"


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel without its place; `w` of 24 columns, `h` in Grafana's rows."""

    title: str
    kind: str
    targets: tuple[Json, ...]
    w: int
    h: int
    description: str = ""
    defaults: Json | None = None
    overrides: tuple[Json, ...] = ()
    options: Json | None = None

    def at(self, number: int, x: int, y: int) -> Json:
        """The panel's JSON, with its identity and its place."""
        return {
            "id": number,
            "title": self.title,
            "description": self.description,
            "type": self.kind,
            "datasource": self.targets[0]["datasource"],
            "gridPos": {"x": x, "y": y, "w": self.w, "h": self.h},
            "fieldConfig": {"defaults": self.defaults or {}, "overrides": list(self.overrides)},
            "options": self.options or {},
            "targets": [
                {**target, "refId": chr(ord("A") + place)} for place, target in enumerate(self.targets)
            ],
        }


def table_sql(sql: str) -> Json:
    return {"datasource": CLICKHOUSE, "editorType": "sql", "format": _TABLE, "rawSql": _tidy(sql)}


def series_sql(sql: str) -> Json:
    """The first column is `time`, text columns become labels, numbers become series; sorted by time."""
    return {"datasource": CLICKHOUSE, "editorType": "sql", "format": _TIME_SERIES, "rawSql": _tidy(sql)}


def promql(expr: str, legend: str, *, instant: bool = False) -> Json:
    return {
        "datasource": PROMETHEUS,
        "expr": expr,
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
        **({"format": "table"} if instant else {}),
    }


def thresholds(*steps: tuple[float, str], first: str = GREEN) -> Json:
    """Colours from each value upwards; `first` below all."""
    return {
        "mode": "absolute",
        "steps": [
            {"color": first, "value": None},
            *({"color": color, "value": value} for value, color in steps),
        ],
    }


def values(colours: Mapping[str, str]) -> Json:
    """The colour of each text of a field."""
    options = {
        text: {"text": text, "color": colour, "index": place}
        for place, (text, colour) in enumerate(colours.items())
    }
    return {"type": "value", "options": options}


def override(field: str, **properties: Any) -> Json:
    """Properties of the field with this name; "__" in a name stands for "."."""
    return {
        "matcher": {"id": "byName", "options": field},
        "properties": [{"id": name.replace("__", "."), "value": value} for name, value in properties.items()],
    }


def series(
    title: str,
    *targets: Json,
    w: int = 12,
    h: int = 8,
    unit: str = "short",
    label: str = "",
    description: str = "",
    overrides: Sequence[Json] = (),
    bars: bool = False,
    low: float | None = None,
) -> Panel:
    """Lines (or bars) over time; `label` names the label that a series is called by."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 60 if bars else 5,
        "lineWidth": 2,
        "showPoints": "auto",
        "spanNulls": False,
    }
    defaults: Json = {"unit": unit, "custom": custom}
    if label:
        defaults["displayName"] = f"${{__field.labels.{label}}}"
    if low is not None:
        defaults["min"] = low
    options = {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel(title, "timeseries", targets, w, h, description, defaults, tuple(overrides), options)


def table(
    title: str,
    target: Json,
    *,
    w: int = 24,
    h: int = 8,
    description: str = "",
    overrides: Sequence[Json] = (),
) -> Panel:
    defaults: Json = {"custom": {"align": "auto", "filterable": True}}
    options: Json = {"showHeader": True, "cellHeight": "sm"}
    return Panel(title, "table", (target,), w, h, description, defaults, tuple(overrides), options)


def stat(
    title: str,
    target: Json,
    *,
    w: int = 6,
    h: int = 4,
    unit: str = "short",
    description: str = "",
    overrides: Sequence[Json] = (),
    steps: Json | None = None,
) -> Panel:
    """The newest value of every number in the result, large."""
    defaults: Json = {"unit": unit, "thresholds": steps or thresholds(first="text")}
    options: Json = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "value_and_name",
    }
    return Panel(title, "stat", (target,), w, h, description, defaults, tuple(overrides), options)


def heat_rows(
    title: str, target: Json, *, label: str, steps: Json, w: int = 24, h: int = 10, description: str = ""
) -> Panel:
    """One row for each value of a label, one coloured cell for each time."""
    defaults: Json = {
        "displayName": f"${{__field.labels.{label}}}",
        "decimals": 2,
        "color": {"mode": "thresholds"},
        "thresholds": steps,
        "custom": {"fillOpacity": 80, "lineWidth": 0},
    }
    options: Json = {"showValue": "never", "rowHeight": 0.9, "legend": {"showLegend": False}}
    return Panel(title, "status-history", (target,), w, h, description, defaults, (), options)


def variable(name: str, label: str, sql: str) -> Json:
    """A list to choose one value from, filled by a query."""
    query = _tidy(sql)
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": CLICKHOUSE,
        "definition": query,
        "query": {"editorType": "sql", "rawSql": query, "refId": name},
        "refresh": 2,
        "sort": 0,
        "multi": False,
        "includeAll": False,
        "options": [],
        "current": {},
    }


def annotation(name: str, color: str, sql: str) -> Json:
    """Marks on all graphs; the query's columns are time, title, text, tags."""
    return {
        "name": name,
        "datasource": CLICKHOUSE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "target": {**table_sql(sql), "refId": name},
    }


def bars(
    title: str,
    target: Json,
    *,
    x: str,
    w: int = 12,
    h: int = 10,
    unit: str = "percentunit",
    description: str = "",
) -> Panel:
    """One group of bars for each text in the field `x`, one bar for each number."""
    defaults: Json = {"unit": unit, "min": 0, "custom": {"fillOpacity": 80, "lineWidth": 0}}
    options: Json = {
        "xField": x,
        "orientation": "horizontal",
        "showValue": "never",
        "groupWidth": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom"},
    }
    return Panel(title, "barchart", (target,), w, h, description, defaults, (), options)


def address(name: str, label: str, value: str) -> Json:
    """A text that whoever looks may change: where something else is found."""
    current = {"text": value, "value": value}
    return {
        "name": name,
        "label": label,
        "type": "textbox",
        "query": value,
        "current": current,
        "options": [{**current, "selected": True}],
    }


def link(title: str, url: str, *, icon: str = "dashboard") -> Json:
    """A link above a dashboard, which takes the shown time along."""
    return {"type": "link", "title": title, "url": url, "icon": icon, "keepTime": True, "targetBlank": False}


def dashboard(
    uid: str,
    title: str,
    description: str,
    rows: Sequence[Sequence[Panel]],
    *,
    variables: Sequence[Json] = (),
    annotations: Sequence[Json] = (),
    links: Sequence[Json] = (),
    time_from: str = "now-7d",
) -> Json:
    """A dashboard whose panels stand in rows, each row as high as its highest panel and spread over the width."""
    panels: list[Json] = []
    y = 0
    for row in rows:
        x = 0
        for panel in row:
            panels.append(panel.at(len(panels) + 1, x, y))
            x += panel.w
        y += max(panel.h for panel in row)
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["driftsonde"],
        "schemaVersion": 41,
        "timezone": "utc",
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": time_from, "to": "now"},
        "links": [
            {
                "type": "dashboards",
                "tags": ["driftsonde"],
                "title": "Driftsonde",
                "asDropdown": True,
                "keepTime": True,
            },
            *links,
        ],
        "templating": {"list": list(variables)},
        "annotations": {"list": list(annotations)},
        "panels": panels,
    }


def _tidy(sql: str) -> str:
    lines = [line.rstrip() for line in sql.strip("\n").splitlines()]
    indent = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return "\n".join(line[indent:] for line in lines).strip()
