"""A directory of result files with a story in it: a sensor changes its unit, accuracy falls, a canary is worse.

All numbers follow from the seed and are computed by the core's own statistics from the counts in windows.csv.
"""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from driftsonde.adapters.specs import baseline_to_json
from driftsonde.adapters.wire_control import decision_to_record
from driftsonde.core.baseline import Baseline, CategoricalReference, Lineage, NumericReference, Performance
from driftsonde.core.control.canonical import to_object
from driftsonde.core.control.decisions import Change, Decision, Detail, Kind, Step
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Ints, Role, Variant
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind, derive_id
from driftsonde.core.spec import Mode
from driftsonde.core.statistics import distances, intervals
from driftsonde.core.verdict import distance_bins
from driftsonde.replay.results import METRIC_COLUMNS, WINDOW_COLUMNS, bin_rows, format_float, format_time

HOUR_MS = 3_600_000
START_MS = 1_772_438_400_000
MODEL = "demand"
_BINS = 10
_CITIES = ("Adelaide", "Brisbane", "Melbourne", "Sydney")


@dataclass(frozen=True, slots=True)
class Story:
    """Windows are numbered from 0; the fault holds in [fault, repaired)."""

    windows: int = 240
    columns: int = 8
    segments: tuple[str, ...] = ("region=north", "region=south", "region=west")
    rows: int = 600
    fault: int = 150
    repaired: int = 204
    labels: bool = True
    signals: bool = True
    canary: bool = True
    seed: int = 7
    baseline_windows: int = 48
    names: tuple[str, ...] = field(default=("temperature", "humidity", "price", "load", "wind", "city"))

    def column_names(self) -> tuple[str, ...]:
        spare = tuple(f"feature_{number:02d}" for number in range(len(self.names), self.columns))
        return (*self.names[: self.columns], *spare)

    def start_of(self, window: int) -> int:
        return START_MS + window * HOUR_MS


def write_sample(directory: Path, story: Story | None = None) -> Path:
    """Write the five files into the directory and return it."""
    story = story or Story()
    rng = np.random.default_rng(story.seed)
    references = [_reference(rng, name) for name in story.column_names()]
    metrics: list[tuple[Any, ...]] = []
    bins: list[tuple[Any, ...]] = []
    for window in range(story.windows):
        for segment in ("", *story.segments):
            rows = story.rows if not segment else story.rows // len(story.segments)
            share = 0.55 + 0.45 * math.sin(window / 24 * math.pi) ** 2
            _add_inputs(rng, story, window, segment, int(rows * share), references, metrics, bins)
            _add_outcomes(rng, story, window, segment, int(rows * share), metrics)
        if story.canary and story.labels and 180 <= window < 192:
            _add_performance(rng, story, window, ("2", "canary", ""), 60, 0.71, metrics)
    _write_csv(directory / "metrics.csv", METRIC_COLUMNS, metrics)
    _write_csv(directory / "windows.csv", WINDOW_COLUMNS, bins)
    (directory / "baseline.json").write_text(baseline_to_json(_baseline(story, references)), encoding="utf-8")
    signals = list(_signals(story, metrics)) if story.signals else []
    _write_lines(directory / "signals.jsonl", [to_object(signal) for signal in signals])
    decisions = [dict(decision_to_record(decision)) for decision in _decisions(signals)]
    unpacked = [record | {"detail": json.loads(record["detail"])} for record in decisions]
    _write_lines(directory / "decisions.jsonl", unpacked)
    return directory


def _reference(rng: np.random.Generator, name: str) -> NumericReference | CategoricalReference:
    if name == "city":
        counts = rng.multinomial(24_000, [0.15, 0.2, 0.3, 0.35])
        return CategoricalReference(name, Role.FEATURE, _CITIES, np.array([*counts, 0, 12], dtype=np.int64))
    low, width = float(rng.uniform(-5, 5)), float(rng.uniform(1, 30))
    edges = np.round(low + width * np.linspace(0, 1, _BINS + 1) ** 1.3, 3)
    counts = rng.multinomial(23_900, np.full(_BINS, 1 / _BINS))
    return NumericReference(
        name, Role.FEATURE, edges, np.array([8, *counts, 12, 80], dtype=np.int64), 0.0, 0.0, low, low + width
    )


def _baseline(story: Story, references: Sequence[NumericReference | CategoricalReference]) -> Baseline:
    lineage = Lineage(
        source="demand-2026-03.csv, first 24,000 rows",
        fingerprint="6f1c2a97b0d14e55",
        start_ms=START_MS,
        end_ms=story.start_of(story.baseline_windows),
        code_revision="3f0c1d2",
    )
    performance = Performance("accuracy", 0.912, 21_730) if story.labels else None
    return Baseline(MODEL, "1", 24_000, tuple(references), (), performance, lineage)


def _add_inputs(
    rng: np.random.Generator,
    story: Story,
    window: int,
    segment: str,
    rows: int,
    references: Sequence[NumericReference | CategoricalReference],
    metrics: list[tuple[Any, ...]],
    bins: list[tuple[Any, ...]],
) -> None:
    times = (format_time(story.start_of(window)), format_time(story.start_of(window + 1)))
    for place, reference in enumerate(references):
        counts = _counts(rng, story, window, rows, place, reference)
        key = (MODEL, "1", "champion", segment, reference.name)
        edges = reference.edges.tolist() if isinstance(reference, NumericReference) else []
        categories = list(reference.categories) if isinstance(reference, CategoricalReference) else []
        kind = "numeric" if edges else "categorical"
        rows_of_bins = bin_rows(kind, edges, categories, counts.tolist(), reference.counts.tolist())
        bins.extend((*key, *times, kind, *row, 0) for row in rows_of_bins)
        judged = window >= story.baseline_windows
        for name, n, *numbers, breached in _drift_metrics(reference, counts, len(references), judged):
            metrics.append((*key, name, *times, n, *map(format_float, numbers), _flag(breached), 0))


def _counts(
    rng: np.random.Generator,
    story: Story,
    window: int,
    rows: int,
    place: int,
    reference: NumericReference | CategoricalReference,
) -> Ints:
    shares = (reference.counts + 0.5) / (reference.counts + 0.5).sum()
    broken = story.fault <= window < story.repaired
    if broken and place == 0:
        shares = np.array([0.0, *(0.015 * 2.0 ** -np.arange(_BINS)[::-1]), 0.9, 0.004])
    elif broken and place == 1:
        shares = shares * 0.72
        shares[-1] += 0.28
    elif reference.name == "price" and window > 120:
        tilt = 1 + min(0.75, (window - 120) / 130) * np.linspace(-1, 1, len(shares))
        shares = shares * tilt
    elif reference.name == "city" and broken:
        shares = shares * 0.85
        shares[-2] += 0.15
    return rng.multinomial(rows, shares / shares.sum()).astype(np.int64)


def _drift_metrics(
    reference: NumericReference | CategoricalReference, counts: Ints, tests: int, judged: bool
) -> Iterator[tuple[Any, ...]]:
    before, after = distance_bins(reference, reference.counts), distance_bins(reference, counts)
    n, m = int(before.sum()), int(after.sum())
    bar = max(0.2, distances.population_stability_index_critical(len(before), n, m, 0.01 / tests))
    psi = distances.population_stability_index(before, after)
    nan = math.nan
    yield "psi", m, psi, nan, nan, bar, judged and psi > bar
    yield "js_divergence", m, distances.jensen_shannon_divergence(before, after), nan, nan, nan, False
    rates = [("missing_rate", counts[-1], reference.counts[-1])]
    if isinstance(reference, NumericReference):
        yield "ks", m, distances.kolmogorov_smirnov(before[:-1], after[:-1]), nan, nan, nan, False
        moved = distances.wasserstein_distance(reference.edges, before[:-1], after[:-1])
        yield "wasserstein", m, moved, nan, nan, nan, False
        rates.append(
            ("out_of_range_rate", counts[0] + counts[-2], reference.counts[0] + reference.counts[-2])
        )
    else:
        rates.append(("unseen_rate", counts[-2], reference.counts[-2]))
    for name, count, was in rates:
        interval = intervals.wilson(int(count), m, 0.99)
        allowed = int(was) / n + 0.1
        yield (
            name,
            m,
            int(count) / m,
            interval.lower,
            interval.upper,
            allowed,
            judged and interval.lower > allowed,
        )


def _add_outcomes(
    rng: np.random.Generator,
    story: Story,
    window: int,
    segment: str,
    rows: int,
    metrics: list[tuple[Any, ...]],
) -> None:
    if not story.labels:
        return
    accuracy = 0.91 - (0.13 if story.fault <= window < story.repaired else 0.0)
    accuracy -= 0.05 if segment == "region=west" else 0.0
    labelled = int(rows * (0.86 + 0.08 * math.sin(window / 9)))
    _add_performance(rng, story, window, ("1", "champion", segment), labelled, accuracy, metrics)
    times = (format_time(story.start_of(window)), format_time(story.start_of(window + 1)))
    key = (MODEL, "1", "champion", segment, "")
    for name, n, value in (
        ("label_coverage", rows, labelled / rows),
        ("label_delay_s", labelled, float(rng.uniform(1500, 2400))),
    ):
        metrics.append((*key, name, *times, n, format_float(value), "", "", "", "false", 0))


def _add_performance(
    rng: np.random.Generator,
    story: Story,
    window: int,
    which: tuple[str, str, str],
    labelled: int,
    accuracy: float,
    metrics: list[tuple[Any, ...]],
) -> None:
    times = (format_time(story.start_of(window)), format_time(story.start_of(window + 1)))
    correct = int(rng.binomial(labelled, accuracy))
    interval = intervals.wilson(correct, labelled, 0.99)
    bar = 0.862
    breached = window >= story.baseline_windows and labelled >= 100 and interval.upper < bar
    value = correct / labelled
    key = (MODEL, *which, "")
    numbers = map(format_float, (value, interval.lower, interval.upper, bar))
    metrics.append((*key, "accuracy", *times, labelled, *numbers, _flag(breached), 0))
    lost = 0.95 - value
    for name, usual, half in (
        ("precision", 0.91 - lost, 0.04),
        ("recall", 0.88 - lost, 0.05),
        ("f1", 0.9 - lost, 0.04),
        ("roc_auc", 0.95 - lost, 0.02),
        ("log_loss", 0.24 + 2 * lost, math.nan),
        ("brier", 0.09 + lost / 2, math.nan),
    ):
        noisy = usual + float(rng.normal(0, 0.01))
        shown = (noisy, noisy - half, noisy + half, math.nan)
        metrics.append((*key, name, *times, labelled, *map(format_float, shown), "false", 0))


def _signals(story: Story, metrics: Sequence[tuple[Any, ...]]) -> Iterator[Signal]:
    drift, since = Rule.DRIFT, story.fault
    yield _signal(story, metrics, SignalKind.ALERT, drift, since, since, ("psi",))
    yield _signal(story, metrics, SignalKind.RETRAIN, drift, since, since + 2, ("psi",))
    yield _signal(story, metrics, SignalKind.RESOLVE, drift, since, story.repaired + 2, ("psi",))
    rates = ("missing_rate", "out_of_range_rate", "unseen_rate")
    yield _signal(story, metrics, SignalKind.ALERT, Rule.QUALITY, since, since, rates)
    yield _signal(story, metrics, SignalKind.RESOLVE, Rule.QUALITY, since, story.repaired + 2, rates)
    if story.labels:
        fall = since + 1
        yield _signal(story, metrics, SignalKind.ALERT, Rule.PERFORMANCE, fall, fall, ("accuracy",))
        yield _signal(story, metrics, SignalKind.RETRAIN, Rule.PERFORMANCE, fall, fall + 2, ("accuracy",))
        yield _signal(
            story, metrics, SignalKind.RESOLVE, Rule.PERFORMANCE, fall, story.repaired + 2, ("accuracy",)
        )
    if story.canary and story.labels:
        worse = Evidence(
            window_start_ms=story.start_of(191),
            window_end_ms=story.start_of(192),
            column="",
            statistic="accuracy_difference",
            value=-0.0712,
            threshold=-0.02,
            lower=-0.121,
            upper=-0.024,
            n=720,
        )
        yield _made(
            story, SignalKind.ROLLBACK, Rule.CANARY, 180, 191, (worse,), version="2", variant=Variant.CANARY
        )


def _signal(
    story: Story,
    metrics: Sequence[tuple[Any, ...]],
    kind: SignalKind,
    rule: Rule,
    since: int,
    window: int,
    names: tuple[str, ...],
) -> Signal:
    moment = format_time(story.start_of(window))
    rows = [row for row in metrics if row[6] == moment and row[3] == "" and row[1] == "1" and row[5] in names]
    breached = [row for row in rows if row[13] == "true"] or rows
    evidence = tuple(
        Evidence(
            window_start_ms=story.start_of(window),
            window_end_ms=story.start_of(window + 1),
            column=row[4],
            statistic=row[5],
            value=_number(row[9]),
            threshold=_number(row[12]),
            lower=_number(row[10]),
            upper=_number(row[11]),
            n=row[8],
        )
        for row in breached[:4]
    )
    return _made(story, kind, rule, since, window, evidence)


def _made(
    story: Story,
    kind: SignalKind,
    rule: Rule,
    since: int,
    window: int,
    evidence: tuple[Evidence, ...],
    *,
    version: str = "1",
    variant: Variant = Variant.CHAMPION,
) -> Signal:
    episode = derive_id("episode", rule, since, version)
    began = format_time(story.start_of(since))
    numbers = ", ".join(
        f"{e.statistic} of {e.column} {e.value:.4g} (limit {e.threshold:.4g})" for e in evidence
    )
    back = f"back within its limits, after an incident since {began}"
    return Signal(
        id=derive_id(kind, episode),
        kind=kind,
        rule=rule,
        model=MODEL,
        version=version,
        variant=variant,
        segment="",
        window_start_ms=story.start_of(window),
        window_end_ms=story.start_of(window + 1),
        since_ms=story.start_of(since),
        episode=episode,
        summary=f"{rule}: {back}" if kind is SignalKind.RESOLVE else f"{rule} since {began}: {numbers}",
        evidence=evidence,
        baseline="5d41402abc4b2a76",
        policy="b9719d911017c592",
    )


def _decisions(signals: Sequence[Signal]) -> Iterator[Decision]:
    for signal in signals:
        base = Decision(
            id=derive_id("decision", signal.id),
            step=Step.DECIDED,
            kind=Kind(signal.kind.value),
            model=MODEL,
            version=signal.version,
            incident=derive_id("incident", signal.episode),
            signal=signal.id,
            mode=None,
            actor="controller",
            policy=signal.policy,
            timestamp_ms=signal.window_end_ms + 4_000,
            detail=Detail(reason="the policy says so", change=Change.UPDATED, signal=signal),
        )
        yield from _steps(base, signal)


def _steps(base: Decision, signal: Signal) -> Iterator[Decision]:
    def step(name: Step, kind: Kind, mode: Mode | None, detail: Detail, later_s: int) -> Decision:
        return Decision(
            *(base.id, name, kind, base.model, base.version, base.incident, base.signal, mode, base.actor),
            *(base.policy, base.timestamp_ms + 1000 * later_s, detail),
        )

    if signal.kind is SignalKind.ROLLBACK:
        traffic = Traffic(MODEL, (Share("1", Variant.CHAMPION, 1.0),), 3, base.id)
        detail = Detail(reason="the policy acts by itself", signal=signal, traffic=traffic)
        yield step(Step.DECIDED, Kind.ROLLBACK, Mode.AUTO, detail, 0)
        yield step(Step.PERFORMED, Kind.ROLLBACK, Mode.AUTO, Detail(traffic=traffic), 1)
    elif signal.kind is SignalKind.RETRAIN:
        yield step(Step.PROPOSED, Kind.RETRAIN, Mode.RECOMMEND, Detail(reason="the policy asks a person"), 0)
        yield step(Step.APPROVED, Kind.RETRAIN, Mode.RECOMMEND, Detail(reason="approved by ada"), 840)
        yield step(Step.PERFORMED, Kind.RETRAIN, Mode.RECOMMEND, Detail(reason="webhook: 202"), 843)
    else:
        yield base
    yield step(
        Step.PERFORMED, Kind.NOTIFY, None, Detail(target="oncall", attempts=2, reason="webhook: 200"), 5
    )


def _flag(breached: bool) -> str:
    return "true" if breached else "false"


def _number(text: str) -> float:
    return float(text) if text else math.nan


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_lines(path: Path, records: Sequence[dict[str, Any]]) -> None:
    path.write_text(
        "".join(json.dumps(record, sort_keys=True) + "\n" for record in records), encoding="utf-8"
    )
