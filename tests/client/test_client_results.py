"""What a notebook reads, from the engine."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.client import Results
from driftsonde.standalone.store_process import running_store
from monitored_fleet import DRIFT_FROM, HOUR, HOURS, START, insert_fleet

pytestmark = pytest.mark.io


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        store = Store(ClickHouseSettings(process.host, process.port, database="notebook"))
        apply_migrations(store, schemas_directory() / "clickhouse")
        insert_fleet(store)
        store.close()
        results = Results(process.host, process.port, database="notebook")
        yield results
        results.close()


def test_metrics_are_a_frame(results: Results) -> None:
    frame = results.metrics("fraud", metric="psi", column="amount", version="1")
    assert list(frame.window_start) == [START + hour * HOUR for hour in range(HOURS)]
    assert frame.breached.sum() == HOURS - DRIFT_FROM
    by_column = results.metrics("fraud", metric="psi").pivot_table(
        index="window_start", columns="column", values="value"
    )
    assert list(by_column.columns) == ["amount", "country", "score"]
    target = results.metrics("fraud", column="", segment="country=DE", end=START + 2 * HOUR)
    assert {"accuracy", "roc_auc", "label_coverage", "label_delay_s"} < set(target.metric)
    assert len(target) == 2 * target.metric.nunique()


def test_windows_have_counts_beside_the_baselines(results: Results) -> None:
    frame = results.windows("fraud", column="country", version="2", start=START + (HOURS - 1) * HOUR)
    (row,) = frame.to_dict("records")
    assert list(row["categories"]) == ["AT", "CH", "DE"]
    assert list(row["reference_counts"]) == [300, 100, 550, 10, 40]
    assert 800 < sum(row["counts"]) < 1200


def test_the_counts_of_a_period_are_its_windows_added_up(results: Results) -> None:
    end = START + (HOURS - 1) * HOUR
    frame = results.counts("fraud", "1", column="country", end=end)
    (row,) = frame.to_dict("records")
    windows = results.windows("fraud", column="country", version="1", end=end)
    assert len(windows) == HOURS - 1
    assert list(row["counts"]) == [sum(bin_counts) for bin_counts in zip(*windows.counts, strict=True)]
    assert list(row["reference_counts"]) == list(windows.reference_counts[0])
    assert set(results.counts("fraud", "1").column) == {"amount", "country", "score"}


def test_drift_of_a_period_from_the_baseline_and_from_another_period(results: Results) -> None:
    changed = START + DRIFT_FROM * HOUR
    before, after = results.drift("fraud", "1", end=changed), results.drift("fraud", "1", start=changed)
    assert after.column[0] == "amount"
    assert after.psi[0] > 10 * before.psi.max()
    between = results.drift("fraud", "1", start=changed, against=(START, changed))
    assert between.column[0] == "amount"
    assert between.psi[0] == pytest.approx(after.psi[0], rel=0.5)
    rows = dict(zip(before.column, before.rows, strict=True))
    assert dict(zip(between.column, between.reference_rows, strict=True)) == rows
    assert results.drift("fraud", "1", variant="shadow").empty


def test_signals_and_decisions_in_the_order_of_time(results: Results) -> None:
    assert list(results.signals("fraud").kind) == ["alert", "resolve", "alert", "retrain", "promote"]
    by_people = [actor != "controller" for actor in results.decisions("fraud").actor]
    assert by_people == [True, True, False, False, True, False]
    assert results.signals("demand").empty


def test_incidents_with_their_times(results: Results) -> None:
    (incident,) = results.incidents("fraud").to_dict("records")
    assert (incident["id"], incident["version"], incident["rule"]) == ("i1", "1", "drift")
    assert (incident["since"], incident["opened"]) == (START + 35 * HOUR, START + 37 * HOUR)
    assert pd.isna(incident["resolved"])
    assert incident["what"] == "alert of fraud"
    assert results.incidents("demand").empty


def test_a_plot_shows_the_versions_side_by_side(results: Results, tmp_path: Path) -> None:
    plot = results.plot("fraud", "accuracy")
    html = plot._repr_html_()
    assert "<svg" in html
    assert "1 (champion)" in html
    assert "2 (canary)" in html
    plot.save(tmp_path / "plot.html")
    assert (tmp_path / "plot.html").read_text() == html
    with pytest.raises(ValueError, match="'nonsense'"):
        results.plot("fraud", "nonsense")


def test_a_serving_process_does_not_load_what_only_notebooks_need() -> None:
    code = "import sys; from driftsonde.client import Monitor; print([m for m in ('clickhouse_connect', 'jinja2', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
