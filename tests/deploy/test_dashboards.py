"""The dashboards are what the program writes, and each of their queries runs on the real engine."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.standalone.store_process import running_store
from grafana_files import GRAFANA, Json, Query, dashboards, expand, sql_queries
from monitored_fleet import HOUR, HOURS, START, insert_fleet

DASHBOARDS = dashboards()
QUERIES = sql_queries()
VARIABLES = {
    "model": "fraud",
    "version": "1",
    "variant": "champion",
    "segment": "whole model",
    "metric": "accuracy",
}
MIDDLE, END = START + HOURS // 2 * HOUR, START + HOURS * HOUR

COLUMNS = {
    "fleet.json": {
        "Watched A": "models versions",
        "Open episodes A": "models episodes",
        "Waiting for a person A": "proposals",
        "Dead letters A": "messages",
        "Models A": "model version variant windows newest_window psi_max psi_column breaches accuracy rmse label_coverage open_episodes",
        "Largest PSI of any column A": "time series psi",
        "Accuracy A": "time series accuracy",
        "Newest signals A": "window_end kind rule model version variant segment summary",
    },
    "model.json": {
        "model": "model",
        "version": "version",
        "variant": "variant",
        "segment": "name",
        "metric": "metric",
        "Signals": "time title text tags",
        "Decisions": "time title text tags",
        "Newest windows A": "windows psi_max performance lower upper label_coverage breaches",
        "Drift of each column over time (PSI) A": "time column psi",
        "PSI of the columns that drifted most, and the bar A": "time series psi",
        "Missing, unseen, out of range A": "time series rate",
        "Performance (${metric}): as known now, as judged then A": "time now lower upper bar",
        "Performance (${metric}): as known now, as judged then B": "time as_judged",
        "Labels: coverage and delay A": "time coverage delay",
        "Rows of each window A": "time rows",
        "Scores and predictions: mean of each window A": "time column mean",
        "All rows shown, against the baseline A": "column kind role baseline reference_rows rows psi js_divergence",
        "All rows shown, against the period of the same length before A": "column kind role rows_before rows psi js_divergence",
        "Statistics past their bar A": "window_start window_end column metric n value lower upper threshold revision",
        "Signals A": "window_end kind rule segment since summary episode baseline policy evidence",
        "Decisions A": "timestamp kind step mode actor version reason incident signal policy id",
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """As Grafana sees it: by a user who may only read."""
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        writer = ClickHouseSettings(process.host, process.port, database="dashboards")
        store = Store(writer)
        apply_migrations(store, schemas_directory() / "clickhouse")
        insert_fleet(store)
        store.close()
        reader = Store(replace(writer, user="reader"))
        yield reader
        reader.close()


def run(store: Store, dashboard: str, place: str, **variables: str) -> pa.Table:
    """What a query shows of the second half of the data."""
    (query,) = [query for query in QUERIES if (query.dashboard, query.place) == (dashboard, place)]
    return store.query_arrow(expand(query.sql, VARIABLES | variables, MIDDLE, END))


@pytest.mark.io
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.dashboard}: {query.place}")
def test_every_query_returns_rows_of_its_columns(store: Store, query: Query) -> None:
    result = run(store, query.dashboard, query.place)
    assert result.column_names == COLUMNS[query.dashboard][query.place].split()
    assert result.num_rows > 0
    if query.is_series:
        check_series(result)


def check_series(result: pa.Table) -> None:
    """What Grafana asks of time series: times first and in order, labels, at least one number; no point twice."""
    assert result.column_names[0] == "time"
    times: list[Any] = result["time"].to_pylist()
    assert times == sorted(times)
    kinds = {field.name: field.type for field in result.schema}
    labels = [name for name, kind in kinds.items() if pa.types.is_string(kind)]
    assert [name for name, kind in kinds.items() if pa.types.is_floating(kind)]
    points = list(zip(times, *(result[label].to_pylist() for label in labels), strict=True))
    assert len(set(points)) == len(points)


@pytest.mark.io
def test_the_fleet_shows_the_newest_numbers_of_each_model(store: Store) -> None:
    rows = {(row["model"], row["version"]): row for row in run(store, "fleet.json", "Models A").to_pylist()}
    assert set(rows) == {("fraud", "1"), ("fraud", "2"), ("demand", "7")}
    champion, demand = rows["fraud", "1"], rows["demand", "7"]
    assert champion["windows"] == 24
    assert champion["newest_window"] == END
    assert (champion["psi_column"], champion["breaches"]) == ("amount", 1)
    assert 0.2 < champion["psi_max"] < 0.5
    assert (champion["label_coverage"], champion["open_episodes"]) == (0.8, 1)
    assert (rows["fraud", "2"]["open_episodes"], demand["open_episodes"]) == (0, 0)
    assert (demand["accuracy"], demand["psi_max"]) == (None, None)
    assert demand["rmse"] == pytest.approx(4.47)


@pytest.mark.io
def test_proposals_wait_until_somebody_decides(store: Store) -> None:
    assert run(store, "fleet.json", "Waiting for a person A").to_pylist() == [{"proposals": 1}]


@pytest.mark.io
def test_the_model_dashboard_follows_its_variables(store: Store) -> None:
    newest = "Newest windows A"
    (whole,) = run(store, "model.json", newest).to_pylist()
    (canary,) = run(store, "model.json", newest, version="2", variant="canary").to_pylist()
    (segment,) = run(store, "model.json", newest, segment="country=DE").to_pylist()
    assert (whole["windows"], canary["windows"], segment["windows"]) == (24, 24, 24)
    assert len({whole["psi_max"], canary["psi_max"], segment["psi_max"]}) == 3
    (auc,) = run(store, "model.json", newest, metric="roc_auc").to_pylist()
    assert (auc["performance"], auc["lower"]) == (0.93, 0.91)
    (nothing,) = run(store, "model.json", newest, model="o'clock").to_pylist()
    assert nothing["windows"] == 0


@pytest.mark.io
def test_the_two_periods_are_the_shown_one_and_the_one_before(store: Store) -> None:
    rows = run(
        store, "model.json", "All rows shown, against the period of the same length before A"
    ).to_pylist()
    amount = rows[0]
    assert amount["column"] == "amount"
    assert 23_000 < amount["rows_before"] < 25_000 < amount["rows"]
    assert amount["psi"] > 10 * rows[1]["psi"]


@pytest.mark.io
def test_the_checked_in_dashboards_are_what_the_program_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(GRAFANA / "build_dashboards.py"), str(tmp_path)], check=True)
    written = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    kept = {name: (GRAFANA / "dashboards" / name).read_text(encoding="utf-8") for name in DASHBOARDS}
    assert kept == written


def test_every_query_has_expected_columns() -> None:
    listed = [(dashboard, place) for dashboard, places in COLUMNS.items() for place in places]
    assert Counter((query.dashboard, query.place) for query in QUERIES) == Counter(listed)


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=list(DASHBOARDS))
def test_panels_have_a_place_of_their_own(dashboard: Json) -> None:
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert 0 < place["w"] <= 24 - place["x"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=list(DASHBOARDS))
def test_variables_are_declared_before_they_are_used(dashboard: Json) -> None:
    declared: set[str] = set()
    for entry in dashboard["templating"]["list"]:
        assert used_variables(entry["query"]["rawSql"]) <= declared
        declared.add(entry["name"])
    assert used_variables(str(dashboard["panels"]) + str(dashboard["annotations"])) <= declared


def used_variables(text: str) -> set[str]:
    return {name for name in re.findall(r"\$\{(\w+)", text) if not name.startswith("__")}


def test_links_lead_to_dashboards_and_variables_that_exist() -> None:
    by_uid = {dashboard["uid"]: dashboard for dashboard in DASHBOARDS.values()}
    links = re.findall(r"/d/([\w-]+)\?([^'\"]*)", str(list(DASHBOARDS.values())))
    assert links
    for uid, parameters in links:
        names = {entry["name"] for entry in by_uid[uid]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", parameters)) <= names
