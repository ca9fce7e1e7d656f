"""A small, realistic content of the store: a binary model with a drifting champion, a canary and a segment, and a
regression model. Statistics come from the real functions; the times are a fixed week."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from control_examples import signal
from driftsonde.adapters.clickhouse import Store
from driftsonde.core.control.canonical import detail_to_json
from driftsonde.core.control.decisions import Change, Detail, Switch
from driftsonde.core.control.rollout import advanced, begun, split_of
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Ints, Variant
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS, RolloutRule
from driftsonde.core.statistics.distances import jensen_shannon_divergence, population_stability_index
from driftsonde.core.statistics.intervals import wilson

START = datetime(2026, 3, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = 48
DRIFT_FROM = 36  # hours after START
EDGES = [0.0, 10.0, 20.0, 50.0, 100.0]
COUNTRIES = ["AT", "CH", "DE"]

Row = dict[str, object]


def insert_fleet(store: Store, start: datetime = START) -> None:
    """Fill the tables that dashboards read; the week begins at `start`."""

    def insert(table: str, rows: list[Row]) -> None:
        moved = [{name: _moved(value, start - START) for name, value in row.items()} for row in rows]
        store.insert_arrow(table, pa.Table.from_pylist(moved))

    generator = np.random.default_rng(11)
    windows: list[Row] = []
    metrics: list[Row] = []
    for version, variant, segment, first in (
        ("1", "champion", "", 0),
        ("1", "champion", "country=DE", 0),
        ("2", "canary", "", 24),
    ):
        key: Row = {"model": "fraud", "version": version, "variant": variant, "segment": segment}
        for hour in range(first, HOURS):
            window_rows, window_metrics = _window(key, hour, generator)
            windows += window_rows
            metrics += window_metrics
    demand: Row = {"model": "demand", "version": "7", "variant": "champion", "segment": ""}
    metrics += [
        _metric(demand, "", "rmse", hour, 200, 4.0 + hour / 100, 3.8, 5.0, 6.0) for hour in range(HOURS)
    ]
    insert("windows", windows)
    insert("metrics", metrics)
    judged = [{**row, "revision": 0} for row in metrics if row["column"] == ""]
    insert("metrics_as_judged", judged)
    insert("signals", _signals())
    insert("decisions", _decisions())
    insert("dead_letters", [_dead_letter(offset) for offset in range(3)])


def _moved(value: object, by: timedelta) -> object:
    return value + by if isinstance(value, datetime) else value


def _window(key: Row, hour: int, generator: np.random.Generator) -> tuple[list[Row], list[Row]]:
    shift = 3.0 if hour >= DRIFT_FROM else 1.0
    references = {
        "amount": [20, 300, 400, 200, 60, 10, 10],
        "score": [0, 700, 200, 70, 30, 0, 0],
        "country": [300, 100, 550, 10, 40],
    }
    scales = {
        "amount": np.array([1, 1, 1, shift, shift, shift, shift]),
        "score": np.ones(7),
        "country": np.ones(5),
    }
    rows: list[Row] = []
    metrics: list[Row] = []
    for column, reference in references.items():
        counts = generator.poisson(np.array(reference) * scales[column])
        rows.append(_counts(key, column, hour, reference, counts.tolist()))
        bins = (
            (np.array(reference), counts)
            if column == "country"
            else (_joined(np.array(reference)), _joined(counts))
        )
        n = int(counts.sum())
        psi = population_stability_index(*bins)
        metrics.append(_metric(key, column, "psi", hour, n, psi, threshold=0.2))
        metrics.append(_metric(key, column, "js_divergence", hour, n, jensen_shannon_divergence(*bins)))
        missing = wilson(int(counts[-1]), n, 0.99)
        bounds = (missing.lower, missing.upper)
        metrics.append(_metric(key, column, "missing_rate", hour, n, counts[-1] / n, *bounds, threshold=0.1))
        other = "unseen_rate" if column == "country" else "out_of_range_rate"
        metrics.append(_metric(key, column, other, hour, n, counts[-2] / n, threshold=0.1))
    correct = int(generator.binomial(800, 0.9))
    interval = wilson(correct, 800, 0.99)
    accuracy = (correct / 800, interval.lower, interval.upper, 0.85)
    metrics.append(_metric(key, "", "rows", hour, 1000, 1000.0))
    metrics.append(_metric(key, "", "accuracy", hour, 800, *accuracy))
    metrics.append(_metric(key, "", "roc_auc", hour, 800, 0.93, 0.91, 0.95))
    metrics.append(_metric(key, "", "estimated_accuracy", hour, 1000, 0.9, 0.88, 0.92))
    gap = correct / 800 - 0.9
    metrics.append(_metric(key, "", "accuracy_gap", hour, 800, gap, gap - 0.03, gap + 0.03))
    metrics.append(_metric(key, "", "calibration_error", hour, 800, 0.03, 0.01, 0.06))
    metrics.append(_metric(key, "", "attribution_ndcg", hour, 1000, 0.99))
    metrics.append(_metric(key, "amount", "importance_ratio", hour, 1000, 1.1))
    metrics += [
        _metric(key, "country", f"{name}_difference", hour, 800, 0.04, 0.01, 0.09)
        for name in ("demographic_parity", "equal_opportunity")
    ]
    metrics.append(_metric(key, "", "label_coverage", hour, 1000, 0.8))
    metrics.append(_metric(key, "", "label_delay_s", hour, 800, 5400.0))
    return rows, metrics


def _joined(counts: Ints) -> Ints:
    """The bins that distances compare, of a numeric column."""
    return np.array([counts[0] + counts[1], *counts[2:-3], counts[-3] + counts[-2], counts[-1]])


def _counts(key: Row, column: str, hour: int, reference: list[int], counts: list[int]) -> Row:
    numeric = column != "country"
    return {
        **key,
        "column": column,
        "window_start": START + hour * HOUR,
        "window_end": START + (hour + 1) * HOUR,
        "kind": "numeric" if numeric else "categorical",
        "role": "score" if column == "score" else "feature",
        "edges": EDGES if numeric else [],
        "categories": [] if numeric else COUNTRIES,
        "counts": counts,
        "reference_counts": reference,
        "total": 12.5 * sum(counts) if numeric else math.nan,
        "total_squares": 300.0 * sum(counts) if numeric else math.nan,
        "minimum": -1.0 if numeric else math.nan,
        "maximum": 120.0 if numeric else math.nan,
        "baseline": "0123456789abcdef",
        "revision": 1,
    }


def _metric(
    key: Row,
    column: str,
    metric: str,
    hour: int,
    n: int,
    value: float,
    lower: float = math.nan,
    upper: float = math.nan,
    threshold: float = math.nan,
) -> Row:
    return {
        **key,
        "column": column,
        "metric": metric,
        "window_start": START + hour * HOUR,
        "window_end": START + (hour + 1) * HOUR,
        "n": n,
        "value": float(value),
        "lower": lower,
        "upper": upper,
        "threshold": threshold,
        "breached": metric == "psi" and value > threshold,
        "revision": 1,
    }


def _signals() -> list[Row]:
    """A resolved episode, one that is still open, and a new version that is found good enough."""
    steps = [("alert", "e1", 5), ("resolve", "e1", 8), ("alert", "e2", 36), ("retrain", "e2", 38)]
    drift = [
        _signal(kind, "drift", "1", "champion", episode, hour, _evidence(hour))
        for kind, episode, hour in steps
    ]
    difference = {**_evidence(40), "column": "", "statistic": "accuracy_difference", "value": 0.002}
    difference |= {"threshold": -0.02, "lower": -0.015, "upper": 0.02}
    return [*drift, _signal("promote", "canary", "2", "canary", "e3", 40, difference)]


def _signal(kind: str, rule: str, version: str, variant: str, episode: str, hour: int, evidence: Row) -> Row:
    return {
        "id": f"s{hour}",
        "kind": kind,
        "rule": rule,
        "model": "fraud",
        "version": version,
        "variant": variant,
        "segment": "",
        "window_start": START + hour * HOUR,
        "window_end": START + (hour + 1) * HOUR,
        "since": START + hour * HOUR,
        "episode": episode,
        "summary": f"{rule} ({kind})",
        "evidence": json.dumps([evidence]),
        "baseline": "0123456789abcdef",
        "policy": "fedcba9876543210",
    }


def _evidence(hour: int) -> Row:
    start_ms = int((START + hour * HOUR).timestamp() * 1000)
    return {
        "window_start_ms": start_ms,
        "window_end_ms": start_ms + HOUR // timedelta(milliseconds=1),
        "column": "amount",
        "statistic": "psi",
        "value": 0.5,
        "threshold": 0.2,
        "lower": None,
        "upper": None,
        "n": 1000,
    }


def _decisions() -> list[Row]:
    """An incident, one proposal that was approved, one that waits, a version on its way, and what people were refused.
    Each model's decisions are a chain; hashes are named after their place in it."""
    recommended = Detail(reason="the policy recommends")
    fraud = [
        ("r1", "decided", "rollout", "2", 24, "ada", _rollout(0)),
        ("r2", "decided", "rollout", "2", 30, "ada", _rollout(1)),
        ("a1", "decided", "alert", "1", 37, "controller", _opened()),
        ("d1", "proposed", "retrain", "1", 38, "controller", recommended),
        ("d1", "approved", "retrain", "1", 39, "ada", recommended),
        ("d2", "proposed", "retrain", "1", 40, "controller", recommended),
    ]
    everywhere = [
        ("n1", "rejected", "refusal", "", 41, "bob", Detail(reason="stop: this needs the role admin")),
        ("n2", "decided", "automation", "", 42, "ada", Detail(switch=Switch.STOPPED)),
        ("n3", "decided", "automation", "", 43, "ada", Detail(switch=Switch.RUNNING)),
    ]
    return [
        {
            "id": decision,
            "step": step,
            "kind": kind,
            "model": model,
            "version": version,
            "incident": "i1" if version == "1" else "",
            "signal": "s38" if version == "1" else "",
            "mode": "recommend" if version == "1" else "",
            "actor": actor,
            "policy": "fedcba9876543210",
            "timestamp": START + hour * HOUR,
            "detail": detail_to_json(detail),
            "sequence": place,
            "previous": f"{model} {place - 1}" if place > 1 else "",
            "hash": f"{model} {place}",
        }
        for model, steps in (("fraud", fraud), ("*", everywhere))
        for place, (decision, step, kind, version, hour, actor, detail) in enumerate(steps, 1)
    ]


def _rollout(stage: int) -> Detail:
    traffic = Traffic("fraud", (Share("1", Variant.CHAMPION, 1.0),), 1, "r0")
    rollout = begun("r1", traffic, "2", RolloutRule(), int((START + 24 * HOUR).timestamp() * 1000))
    for _ in range(stage):
        rollout = advanced(rollout, rollout.since_ms + 6 * HOUR_MS, 0)
    split = Traffic("fraud", split_of(rollout, traffic.split), stage + 2, f"r{stage + 1}")
    return Detail(reason=f"version 2: {rollout.at}", rollout=rollout, traffic=split)


def _opened() -> Detail:
    said = signal(SignalKind.ALERT, hour=36)
    since_ms = int((START + 35 * HOUR).timestamp() * 1000)
    return Detail(reason=said.summary, change=Change.OPENED, signal=replace(said, since_ms=since_ms))


def _dead_letter(offset: int) -> Row:
    return {
        "source_topic": "predictions",
        "source_partition": 0,
        "source_offset": offset,
        "service": "sketcher",
        "reason": "undecodable",
        "message": "not ours",
        "payload": "??",
        "timestamp": START + HOUR,
    }
