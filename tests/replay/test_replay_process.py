"""Replays from file to files, on the embedded cluster with the real services."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as oracle  # type: ignore[import-untyped]  # scikit-learn ships no types
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from driftsonde.core.statistics.distances import population_stability_index

pytestmark = [pytest.mark.io, pytest.mark.timeout(600)]

IDENTICAL = ("metrics.csv", "windows.csv", "baseline.json", "signals.jsonl")
ELEC2 = Path(__file__).parents[3] / "shared" / "data" / "elec2.csv.gz"


def replay(*arguments: object) -> dict[str, Any]:
    command = [
        sys.executable,
        "-c",
        "from driftsonde.cli import main; main()",
        "replay",
        *map(str, arguments),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def write_log(path: Path, rows: int, *, shuffled: bool) -> None:
    """Three countries, two versions, a drift half-way; late labels, some missing; two rows that can't be read."""
    random = np.random.default_rng(7)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    lines = []
    for row in range(rows):
        time = start + timedelta(seconds=row * 60 + int(random.integers(50)))
        x = float(random.normal()) + (2.0 if row > rows / 2 else 0.0)
        score = float(1 / (1 + np.exp(-x)))
        label = "" if random.random() < 0.1 else int(random.random() < score)
        known = time + timedelta(minutes=int(random.integers(1, 500)))
        lines.append(
            [
                time.isoformat(),
                f"p{row}",
                "v1" if row < rows * 0.7 else "v2",
                repr(x),
                random.choice(["a", "b", ""]),
                random.choice(["FR", "DE", "IT"]),
                int(score > 0.5),
                repr(score),
                label,
                known.isoformat(),
            ]
        )
    lines[10][0] = "yesterday"
    lines[20][3] = "much"
    if shuffled:
        random.shuffle(lines)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["at", "id", "version", "x", "plan", "country", "prediction", "score", "truth", "truth_at"]
        )
        writer.writerows(lines)


def read_metrics(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "metrics.csv", keep_default_na=False, na_values={"value": [""]})


def test_two_replays_of_a_file_give_the_same_bytes_whatever_its_order(tmp_path: Path) -> None:
    options = (
        *("--timestamp", "at", "--id", "id", "--version", "version", "--label", "truth"),
        *("--label-timestamp", "truth_at", "--segment", "country", "--window", "6h", "--model", "shop"),
    )
    results = []
    for name, shuffled in (("one", False), ("two", True)):
        (tmp_path / name).mkdir()
        write_log(tmp_path / name / "log.csv", 4_000, shuffled=shuffled)
        results.append(replay(tmp_path / name / "log.csv", *options, "--out", tmp_path / name))
    for result in results:
        assert (result["rows"], result["rows_rejected"]) == (4_000, 2)
        assert len(result["rejected"]) == 2
        assert result["signals"] > 0
    assert {entry["line"] for entry in results[0]["rejected"]} == {12, 22}
    # A row number orders rows of the same time; here all times differ, so the order of the file plays no part.
    for name in IDENTICAL:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert (tmp_path / "one" / "report.html").stat().st_size > 10_000

    found = read_metrics(tmp_path / "one")
    whole = found[(found.segment == "") & (found.column == "")]
    assert whole[whole.metric == "rows"].n.sum() == 3_998
    truth = pd.read_csv(tmp_path / "one" / "log.csv")
    labelled = truth.drop(index=[10, 20]).truth.notna().sum()
    assert whole[whole.metric == "accuracy"].n.sum() == labelled
    slices = found[(found.segment != "") & (found.metric == "rows")]
    assert set(slices.segment) == {"country=FR", "country=DE", "country=IT"}
    assert slices.n.sum() == 3_998
    assert set(found.version) == {"v1", "v2"}


def test_a_real_stream_agrees_with_a_batch_recomputation(tmp_path: Path) -> None:
    if not ELEC2.exists():
        pytest.skip("../shared/data/elec2.csv.gz is not there")
    log = pd.read_csv(ELEC2)
    features = ["period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]
    third = len(log) // 3
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(log[features][:third], log.label[:third])
    log["score"] = model.predict_proba(log[features])[:, 1]
    log["prediction"] = model.predict(log[features])
    log.to_csv(tmp_path / "log.csv.gz", index=False)
    result = replay(
        *(tmp_path / "log.csv.gz", "--features", ",".join(["day", *features]), "--categorical", "day"),
        *("--label", "label", "--baseline-rows", third, "--window", "7d", "--out", tmp_path),
    )
    assert (result["rows"], result["rows_rejected"], result["events"]) == (len(log), 0, 2 * len(log))
    week_ms = 7 * 86_400_000
    time_ms = pd.to_datetime(log.timestamp).dt.as_unit("ms").astype("int64")
    log["start"] = pd.to_datetime(time_ms // week_ms * week_ms, unit="ms", utc=True)
    baseline = json.loads((tmp_path / "baseline.json").read_text())
    check_counts(tmp_path, log, third, baseline)
    check_performance(tmp_path, log)


def check_counts(out: Path, log: pd.DataFrame, third: int, baseline: dict[str, Any]) -> None:
    """Every count of windows.csv, and PSI from the counts."""
    windows = pd.read_csv(out / "windows.csv", keep_default_na=False)
    windows["start"] = pd.to_datetime(windows.window_start)
    sums = windows[(windows.kind == "sums") & (windows.column != "")]
    windows = windows[windows.kind.isin(["numeric", "categorical"])]
    for row in sums[sums.bin == "total"].itertuples():
        expected = log[log.start == row.start][row.column].sum()
        assert float(str(row.lower)) == pytest.approx(expected, rel=1e-12)
    found = read_metrics(out)
    psi = found[found.metric == "psi"].assign(start=lambda frame: pd.to_datetime(frame.window_start))
    psi_of = {(row.column, row.start): row.value for row in psi.itertuples()}
    columns = {column["name"]: column for column in baseline["columns"]}
    assert set(windows.column) == set(columns)
    assert set(windows.start) == set(log.start)
    groups: Iterable[tuple[Any, pd.DataFrame]] = windows.groupby(["column", "start"])
    for (name, start), part in groups:
        rows = log[log.start == start][name]
        column = columns[name]
        counts = batch_counts(column, rows)
        assert part["count"].tolist() == counts, (name, start)
        reference = batch_counts(column, log[name][:third])
        assert part.reference_count.tolist() == reference == column["counts"]
        value = population_stability_index(
            np.array(compared(column, reference)), np.array(compared(column, counts))
        )
        assert psi_of[name, start] == pytest.approx(value, abs=1e-9)


def batch_counts(column: dict[str, Any], rows: "pd.Series[Any]") -> list[int]:
    if column["kind"] == "categorical":
        texts = rows.astype(str)
        known = [int((texts == category).sum()) for category in column["categories"]]
        return [*known, len(rows) - sum(known), 0]
    edges = column["edges"]
    inner = [int(((rows >= low) & (rows < high)).sum()) for low, high in pairwise(edges)]
    return [int((rows < edges[0]).sum()), *inner, int((rows >= edges[-1]).sum()), int(rows.isna().sum())]


def compared(column: dict[str, Any], counts: list[int]) -> list[int]:
    """The bins that distances compare: outliers join the outer bins."""
    if column["kind"] == "categorical":
        return counts
    inner = counts[1:-2]
    inner[0] += counts[0]
    inner[-1] += counts[-2]
    return [*inner, counts[-1]]


def check_performance(out: Path, log: pd.DataFrame) -> None:
    found = read_metrics(out)
    target = found[found.column == ""].assign(start=lambda frame: pd.to_datetime(frame.window_start))
    by_window: Iterable[tuple[Any, pd.DataFrame]] = log.groupby("start")
    for start, rows in by_window:
        mine = target[target.start == start].set_index("metric")
        truth, guess, score = rows.label, rows.prediction, rows.score
        exact = {
            "rows": len(rows),
            "accuracy": oracle.accuracy_score(truth, guess),
            "precision": oracle.precision_score(truth, guess, zero_division=np.nan),
            "recall": oracle.recall_score(truth, guess, zero_division=np.nan),
            "f1": oracle.f1_score(truth, guess, zero_division=np.nan),
            "log_loss": oracle.log_loss(truth, score, labels=[0, 1]),
            "brier": oracle.brier_score_loss(truth, score),
            "label_coverage": 1.0,
        }
        for name, value in exact.items():
            assert mine.value[name] == pytest.approx(value, abs=1e-9, nan_ok=True), (name, start)
            assert mine.n[name] == len(rows), (name, start)
        if truth.nunique() == 2:
            # Exact below 2,048 distinct scores, as here.
            assert mine.value["roc_auc"] == pytest.approx(oracle.roc_auc_score(truth, score), abs=1e-9), start
            assert mine.n["roc_auc"] == len(rows)
    check_outcome_counts(out, log, target)


def check_outcome_counts(out: Path, log: pd.DataFrame, target: pd.DataFrame) -> None:
    """Performance can be recomputed from windows.csv alone."""
    windows = pd.read_csv(out / "windows.csv", keep_default_na=False)
    windows = windows[(windows.segment == "") & (windows.column == "")]
    accuracy = target[target.metric == "accuracy"].set_index("window_start").value
    loss = target[target.metric == "log_loss"].set_index("window_start").value
    auc = target[target.metric == "roc_auc"].set_index("window_start").value
    seen = 0.0
    for start, rows in windows.groupby("window_start"):
        confusion = rows[rows.kind == "confusion"]
        labelled = confusion["count"].sum()
        right = confusion[confusion.bin == confusion.category]["count"].sum()
        assert accuracy[start] == pytest.approx(right / labelled)
        scores = rows[rows.kind == "scores"]
        values = scores.lower.astype(float)
        truth = np.repeat((scores.bin == "positive").to_numpy(), scores["count"])
        if 0 < truth.sum() < len(truth):
            expected = oracle.roc_auc_score(truth, np.repeat(values.to_numpy(), scores["count"]))
            assert auc[start] == pytest.approx(expected, abs=1e-9)
        (total,) = rows[(rows.kind == "sums") & (rows.bin == "log_loss")].lower.astype(float)
        assert loss[start] == pytest.approx(total / labelled)
        seen += labelled
    assert seen == len(log)
