"""The dashboards are what the program writes, and each of their queries runs on the real engine."""

import json
import re
import subprocess
import sys
import time
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
from driftsonde.core.statistics.anytime import mean_difference_sequence
from driftsonde.standalone.store_process import running_store
from grafana_files import (
    GRAFANA,
    Json,
    Query,
    alert_queries,
    dashboards,
    expand,
    query_variables,
    sql_queries,
)
from monitored_fleet import DRIFT_FROM, HOUR, HOURS, START, insert_fleet

DASHBOARDS = dashboards()
QUERIES = sql_queries()
VARIABLES = {
    "model": "fraud",
    "version": "1",
    "variant": "champion",
    "segment": "whole model",
    "metric": "accuracy",
    "column": "amount",
    "window": "all windows shown",
    "candidate": "2",
}
MIDDLE, END = START + HOURS // 2 * HOUR, START + HOURS * HOUR

# How long a query may take on the fleet's two days; what Grafana's user may take in production is in users.xml.
MOST_S = 5.0

COLUMNS = {
    "fleet.json": {
        "Deployments": "time title text tags",
        "Watched A": "models versions",
        "Open episodes A": "models episodes",
        "Waiting for a person A": "proposals",
        "Dead letters A": "messages",
        "Open incidents A": "opened model acknowledged incident",
        "Models A": "model version variant health windows newest_window psi_max psi_column breaches accuracy rmse label_coverage open_episodes",
        "Largest PSI of any column A": "time series psi",
        "Accuracy A": "time series accuracy",
        "Newest signals A": "window_end kind rule model version variant segment summary incident",
    },
    "model.json": {
        "model": "model",
        "version": "version",
        "variant": "variant",
        "segment": "name",
        "metric": "metric",
        "column": "column",
        "window": "name",
        "Deployments": "time title text tags",
        "Signals": "time title text tags",
        "Decisions": "time title text tags",
        "Distribution of ${column}: ${window}, and the baseline A": "bin shown baseline",
        "Versions side by side (${metric}) A": "time series performance",
        "Versions side by side: all windows shown A": "version variant since until labelled performance psi_max psi_column breaches label_coverage",
        "Estimated without labels, measured, and the gap A": "time metric number",
        "Calibration error of the scores A": "time calibration_error lower upper",
        "Fairness between protected groups A": "time series difference",
        "Attributions against the baseline A": "time series ratio",
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
        "Statistics past their bar: ${window} A": "window_start window_end column metric n value lower upper threshold revision",
        "Signals A": "window_end kind rule segment since summary incident episode baseline policy evidence",
        "Decisions A": "timestamp kind step mode actor version reason incident signal policy id",
    },
    "rollout.json": {
        "model": "model",
        "candidate": "version",
        "Deployments": "time title text tags",
        "Signals": "time title text tags",
        "So far A": "labelled difference lower upper",
        "New version minus champion: accuracy, with the confidence sequence A": "time difference lower upper",
        "Requests by version A": "time version weight",
        "Accuracy of each window A": "time series accuracy",
        "Every number of both: means over the windows shown, weighted by rows A": "metric champion candidate difference",
        "What moved it A": "timestamp kind step version actor reason status stage incident",
        "What the judge said A": "window_end kind rule variant summary difference lower upper bar",
    },
    "governance.json": {
        "model": "model",
        "Deployments": "time title text tags",
        "Waiting for a person A": "proposals",
        "Automation stopped A": "stopped",
        "Audit log: links missing or broken A": "missing broken",
        "Refused to people A": "refusals",
        "Decisions a day A": "time series decisions",
        "Who decided A": "actor steps models newest",
        "Proposals A": "proposed kind model version state by answered_after_min incident id",
        "Decisions A": "timestamp model version kind step mode actor reason incident policy sequence id",
        "Scorecard: incidents by month A": "month model incidents open_incidents false_alarms detect_s acknowledge_s resolve_s",
        "Scorecard: what was done by month A": "month model retrainings retrainings_failed promotions near_misses by_people",
        "The audit log of each model A": "model links missing broken newest",
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
    start_s = time.perf_counter()
    result = run(store, query.dashboard, query.place)
    assert time.perf_counter() - start_s < MOST_S
    assert result.column_names == COLUMNS[query.dashboard][query.place].split()
    assert result.num_rows > 0
    if query.is_series:
        check_series(result)


@pytest.mark.io
def test_every_query_runs_where_there_is_nothing_to_show(store: Store) -> None:
    nobody = dict.fromkeys(VARIABLES, "nobody")
    for query in QUERIES:
        result = store.query_arrow(expand(query.sql, nobody, END, END + HOUR))
        assert result.column_names == COLUMNS[query.dashboard][query.place].split()


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
    assert [row["health"] for row in (champion, rows["fraud", "2"])] == ["alert", "silent"]  # it is long ago
    (incident,) = run(store, "fleet.json", "Open incidents A").to_pylist()
    assert (incident["model"], incident["incident"], incident["acknowledged"]) == ("fraud", "i1", None)
    assert champion["newest_window"] == END
    assert (champion["psi_column"], champion["breaches"]) == ("amount", 1)
    assert 0.2 < champion["psi_max"] < 0.5
    assert (champion["label_coverage"], champion["open_episodes"]) == (0.8, 1)
    assert (rows["fraud", "2"]["open_episodes"], demand["open_episodes"]) == (0, 0)
    assert (demand["accuracy"], demand["psi_max"]) == (None, None)
    assert demand["rmse"] == pytest.approx(4.47)


@pytest.mark.io
@pytest.mark.parametrize("place", [("fleet.json", "Newest signals A"), ("model.json", "Signals A")])
def test_a_signal_leads_to_its_incident(store: Store, place: tuple[str, str]) -> None:
    incidents = {row["kind"]: row["incident"] for row in run(store, *place).to_pylist()}
    assert incidents["retrain"] == "i1"
    assert incidents["alert"] == ""
    (dashboard,) = [entry for name, entry in DASHBOARDS.items() if name == place[0]]
    (panel,) = [panel for panel in dashboard["panels"] if panel["title"] == place[1].removesuffix(" A")]
    assert "${console:raw}/incidents/${__value.text}" in str(panel["fieldConfig"])


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
    kept = {"dashboards": GRAFANA / "dashboards", "alerting": GRAFANA / "provisioning" / "alerting"}
    for name in kept:
        (tmp_path / name).mkdir()
    command: list[str | Path] = [
        sys.executable,
        GRAFANA / "build_dashboards.py",
        *(tmp_path / name for name in kept),
    ]
    subprocess.run(command, check=True)
    for name, folder in kept.items():
        assert texts_of(folder) == texts_of(tmp_path / name)


def texts_of(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}


@pytest.mark.io
def test_the_interval_of_the_rollout_is_the_judges(store: Store) -> None:
    shown = "New version minus champion: accuracy, with the confidence sequence A"
    rows = run(store, "rollout.json", shown).to_pylist()
    assert len(rows) == HOURS // 2
    arms = store.query_rows(
        "SELECT variant, toInt64(sum(n)), toInt64(round(sum(n * value))) FROM metrics_as_judged FINAL"
        " WHERE model = 'fraud' AND segment = '' AND metric = 'accuracy' AND window_start >= {start:DateTime64(3, 'UTC')}"
        " GROUP BY variant ORDER BY variant",
        {"start": MIDDLE},
    )
    (_, n_b, right_b), (_, n_a, right_a) = arms
    interval = mean_difference_sequence(n_a, right_a, n_b, right_b, 0.05)
    assert rows[-1]["lower"] == pytest.approx(interval.lower)
    assert rows[-1]["upper"] == pytest.approx(interval.upper)
    assert rows[-1]["difference"] == pytest.approx(right_b / n_b - right_a / n_a)
    (newest,) = run(store, "rollout.json", "So far A").to_pylist()
    assert newest["labelled"] == n_b


@pytest.mark.io
def test_a_distribution_is_shares_of_the_rows_and_of_the_baseline(store: Store) -> None:
    place = "Distribution of ${column}: ${window}, and the baseline A"
    for column, bins, first in (("amount", 7, "below 0"), ("country", 5, "AT")):
        rows = run(store, "model.json", place, column=column).to_pylist()
        assert [rows[0]["bin"], rows[-1]["bin"]] == [first, "missing"]
        assert len(rows) == bins
        for side in ("shown", "baseline"):
            assert sum(row[side] for row in rows) == pytest.approx(1.0)


@pytest.mark.io
def test_a_window_can_be_chosen(store: Store) -> None:
    names = [row["name"] for row in run(store, "model.json", "window").to_pylist()]
    assert len(names) == 1 + HOURS // 2
    assert (names[0], names[1]) == ("all windows shown", f"{END - HOUR:%Y-%m-%d %H:%M:%S}.000")
    place = "Statistics past their bar: ${window} A"
    assert run(store, "model.json", place).num_rows == HOURS - DRIFT_FROM
    (one,) = run(store, "model.json", place, window=names[1]).to_pylist()
    assert one["window_start"] == END - HOUR
    distribution = "Distribution of ${column}: ${window}, and the baseline A"
    shares = [run(store, "model.json", distribution, window=name)["shown"].to_pylist() for name in names[:2]]
    assert shares[0] != shares[1]


@pytest.mark.io
def test_governance_sees_gaps_in_the_audit_log_and_follows_its_model(store: Store) -> None:
    place = "Audit log: links missing or broken A"
    everything = {"model": "all models"}
    assert run(store, "governance.json", place, **everything).to_pylist() == [{"missing": 0, "broken": 0}]
    logs = run(store, "governance.json", "The audit log of each model A", **everything).to_pylist()
    assert {(row["model"], row["links"]) for row in logs} == {("fraud", 6), ("*", 3)}
    waiting = {
        name: run(store, "governance.json", "Waiting for a person A", model=name).to_pylist()[0]["proposals"]
        for name in ("all models", "fraud", "demand")
    }
    assert waiting == {"all models": 1, "fraud": 1, "demand": 0}
    proposals = run(store, "governance.json", "Proposals A").to_pylist()
    assert [(row["state"], row["by"]) for row in proposals] == [("proposed", ""), ("approved", "ada")]
    assert proposals[1]["answered_after_min"] == 60


@pytest.mark.io
@pytest.mark.parametrize(("name", "sql"), alert_queries().items())
def test_alert_rules_find_what_lies_about(store: Store, name: str, sql: str) -> None:
    """The fleet's week is long ago: everything in it has been left lying, but its audit log is whole."""
    assert "$" not in sql
    rows = store.query_arrow(sql).to_pylist()
    found = {"DriftsondeAuditGap": 0, "DriftsondeModelSilent": 0}
    assert len(rows) == found.get(name, 1)
    for row in rows:
        *labels, number = row.values()
        assert all(isinstance(label, str) for label in labels)
        assert isinstance(number, float)
        assert number > 0


def test_alert_rules_are_what_grafana_reads() -> None:
    file = GRAFANA / "provisioning" / "alerting" / "driftsonde.json"
    text = file.read_text(encoding="utf-8")
    assert "$" not in text, "Grafana would put an environment variable there"
    (group,) = json.loads(text)["groups"]
    headings = re.findall(
        r"^#+ (.*)$", (GRAFANA.parent / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    for rule in group["rules"]:
        references = {entry["refId"] for entry in rule["data"]}
        assert rule["condition"] in references
        assert rule["data"][-1]["model"]["expression"] in references
        assert rule["annotations"]["runbook_url"].partition("#")[2] in {name.lower() for name in headings}


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
    for entry in query_variables(dashboard):
        assert used_variables(entry["query"]["rawSql"]) <= declared
        declared.add(entry["name"])
    declared = {entry["name"] for entry in dashboard["templating"]["list"]}
    assert used_variables(str(dashboard["links"])) <= declared
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
