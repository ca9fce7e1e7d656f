"""The command `demo`, and a whole run of it."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.commands.demo import demo
from driftsonde.standalone.demo.data import FEATURES
from driftsonde.standalone.demo.story import SPEC
from driftsonde.standalone.store_process import running_store
from grafana_files import expand, sql_queries

HEADER = ",".join((*FEATURES, "anomaly"))


@pytest.mark.parametrize(
    ("prepare", "options", "problem"),
    [
        (lambda path: path.write_text("a,b\n"), ["--data"], "has no column f1"),
        (lambda path: path.write_text(f"{HEADER}\n1,2,3,4,5,6,7,8,9,0\n"), ["--data"], "has 1 rows"),
        (lambda path: (path.mkdir(), (path / "x").touch()), ["--out"], "is not empty"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    tmp_path: Path, prepare: Callable[[Path], object], options: list[str], problem: str
) -> None:
    path = tmp_path / "given"
    prepare(path)
    result = CliRunner().invoke(demo, [*options, str(path)])
    assert result.exit_code == 2
    assert problem in result.output


@pytest.mark.io
@pytest.mark.slow
def test_the_whole_demo_runs_and_says_so_in_json(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from driftsonde.commands.demo import demo; demo()", "--json"]
    run = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, timeout=280, check=False
    )
    assert run.returncode == 0, run.stderr + run.stdout
    result = json.loads(run.stdout)
    assert all(expectation["met"] for expectation in result["expectations"])
    assert result["false_alarms"] == 0
    assert {one["kind"] for one in result["signals"]} == {"alert", "retrain", "resolve", "rollback"}
    assert result["detection_delay"]["drift"]["windows"] == 1
    assert "Healthy" in run.stderr
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    check_dashboards(tmp_path / "out" / "store", SPEC.name)


def check_dashboards(data: Path, model: str) -> None:
    """Every query of the dashboards runs on what the demo stored, and each panel that a model has shows something."""
    now = datetime.now(UTC)
    chosen = {
        "model": model,
        "version": "1",
        "variant": "champion",
        "segment": "whole model",
        "metric": "accuracy",
        "column": FEATURES[0],
        "candidate": "2",
        "window": "all windows shown",
    }
    with running_store(data) as process:
        store = Store(ClickHouseSettings(process.host, process.port))
        shown = {
            f"{query.dashboard}: {query.place}": store.query_arrow(
                expand(query.sql, chosen, now - timedelta(hours=1), now)
            ).num_rows
            for query in sql_queries()
        }
        store.close()
    assert shown
    empty = {place for place, rows in shown.items() if not rows}
    assert not empty & {place for place in shown if "PSI" in place or "Performance" in place}, empty
