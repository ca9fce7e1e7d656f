"""Registered models and random logs of their events, for the tests of sketcher and judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt

from driftsonde.core.baseline import Baseline
from driftsonde.core.baseline_builder import ReferenceRows, build_baseline
from driftsonde.core.events import (
    CategoricalColumn,
    Column,
    Heartbeat,
    LabelBatch,
    NumericColumn,
    PredictionBatch,
    Role,
    Variant,
)
from driftsonde.core.join import Stream
from driftsonde.core.outcomes import Outcomes, sketch_outcomes
from driftsonde.core.plan import Plan, plan_for
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import (
    CanaryRule,
    DriftRule,
    ModelSpec,
    PerformanceRule,
    Policy,
    QualityRule,
    Task,
)
from driftsonde.core.strata import one_stratum
from driftsonde.sketcher.messages import Message

SECOND_MS = 1_000
# All times are whole ticks, so that they often meet a bound exactly.
TICK_MS = 500
START_MS = 1_000_000
END_MS = 100_000_000
RECORDED_MS = END_MS

# Bars so low that random windows keep passing them and coming back.
TOUCHY = Policy(
    drift=DriftRule(psi=0.4, alpha=0.9, min_rows=2, alert_after=1, retrain_after=2, resolve_after=1),
    quality=QualityRule(missing_rate=0.0, unseen_rate=0.0, out_of_range_rate=0.0),
    performance=PerformanceRule(
        drop=0.2, confidence=0.05, min_labels=2, alert_after=1, retrain_after=2, resolve_after=1
    ),
    canary=CanaryRule(margin=-1.5, alpha=0.9, min_labels=3),
)
SHOP = ModelSpec(
    "shop",
    Task.BINARY,
    window_ms=60 * SECOND_MS,
    lateness_ms=10 * SECOND_MS,
    label_wait_ms=60 * SECOND_MS,
    classes=("no", "yes"),
    segments=("country",),
    policy=TOUCHY,
)
RAIN = ModelSpec(
    "rain",
    Task.REGRESSION,
    window_ms=25 * SECOND_MS,
    lateness_ms=4 * SECOND_MS,
    label_wait_ms=30 * SECOND_MS,
    policy=TOUCHY,
)
ROLES = {
    "prediction": Role.PREDICTION,
    "label": Role.PREDICTION,
    "score": Role.SCORE,
    "country": Role.SEGMENT,
    "sex": Role.PROTECTED,
}
GROUPS = ("f", "m", None)
STREAMS = (
    Stream("shop", "1", Variant.CHAMPION),
    Stream("shop", "2", Variant.CANARY),
    Stream("shop", "3", Variant.SHADOW),
    Stream("rain", "1", Variant.CHAMPION),
)


def numeric(name: str, values: Sequence[float], role: Role = Role.FEATURE) -> NumericColumn:
    return NumericColumn(name, ROLES.get(name, role), np.array(values, dtype=np.float64))


def categorical(name: str, values: Sequence[str | None], role: Role = Role.FEATURE) -> CategoricalColumn:
    names = tuple(dict.fromkeys(value for value in values if value is not None))
    codes = [-1 if value is None else names.index(value) for value in values]
    return CategoricalColumn(name, ROLES.get(name, role), np.array(codes, dtype=np.int32), names)


def pick(rng: np.random.Generator, options: Sequence[str | None], count: int) -> list[str | None]:
    return [options[n] for n in rng.integers(0, len(options), count).tolist()]


def plan_of(
    spec: ModelSpec, version: str, *columns: Column, labels: Column | None = None, end_ms: int = 0
) -> Plan:
    """The plan of a version whose baseline is of these rows, the last of them just before `end_ms`."""
    first = columns[0]
    rows = len(first.values if isinstance(first, NumericColumn) else first.codes)
    times = np.arange(end_ms - rows, end_ms, dtype=np.int64)
    baseline = build_baseline(spec, version, ReferenceRows(times, columns, labels), "a test")
    return plan_for(spec, baseline, baseline_id(baseline), "policy")


def outcomes_sketch(
    plan: Plan,
    predictions: npt.ArrayLike,
    labels: npt.ArrayLike,
    scores: npt.ArrayLike | None = None,
    signs: npt.ArrayLike | None = None,
) -> Sketch:
    """The sketch of joined rows: values as in `Outcomes`, delays of 0, 1, 2, … seconds."""
    predicted = np.asarray(predictions, dtype=np.float64)
    rows = len(predicted)
    outcomes = Outcomes(
        predicted,
        np.asarray(labels, dtype=np.float64),
        np.full(rows, np.nan) if scores is None else np.asarray(scores, dtype=np.float64),
        np.arange(rows, dtype=np.int64) * 1000,
        np.ones(rows, dtype=np.int64) if signs is None else np.asarray(signs, dtype=np.int64),
    )
    (sketch,) = sketch_outcomes(plan.outcomes, outcomes, one_stratum(rows))
    return sketch


def baseline_id(baseline: Baseline) -> str:
    return f"{baseline.model}/{baseline.version}"


def _plans() -> Mapping[tuple[str, str], Plan]:
    rng = np.random.default_rng(5)
    rows = 400
    shop = (
        numeric("price", rng.lognormal(size=rows).tolist()),
        categorical("colour", rng.choice(["red", "blue"], rows).tolist()),
        numeric("score", rng.random(rows).tolist()),
        categorical("country", rng.choice(["DE", "FR", "(other)"], rows).tolist()),
        categorical("prediction", rng.choice(["no", "yes"], rows).tolist()),
        categorical("sex", pick(rng, GROUPS, rows)),
    )
    rain = (numeric("pressure", rng.normal(size=rows).tolist()), numeric("prediction", [0.0] * rows))
    rained = numeric("label", rng.normal(size=rows).tolist())
    # Version 3 has no baseline.
    return {
        ("shop", "1"): plan_of(SHOP, "1", *shop, labels=shop[-2]),
        ("shop", "2"): plan_of(SHOP, "2", *shop[1:], shop[0]),
        ("shop", "3"): plan_for(SHOP, None, "", "policy"),
        ("shop", ""): plan_for(SHOP, None, "", "policy"),
        ("rain", "1"): plan_of(RAIN, "1", *rain, labels=rained),
        ("rain", ""): plan_for(RAIN, None, "", "policy"),
    }


PLANS = _plans()


def plans(model: str, version: str) -> Plan | None:
    return PLANS.get((model, version))


@dataclass(frozen=True, slots=True)
class Log:
    """The messages of one partition of both topics, by rising offset. `None` stands for one that can't be decoded."""

    predictions: tuple[tuple[int, Message | None], ...]
    labels: tuple[tuple[int, Message | None], ...]


@dataclass(frozen=True, slots=True)
class _Sent:
    """A prediction that was sent when the partition's event time was `arrived_ms`."""

    stream: Stream
    id: str
    timestamp_ms: int
    arrived_ms: int
    copied: bool


def random_log(
    rng: np.random.Generator,
    messages: int = 40,
    heartbeats: bool = True,
    streams: Sequence[Stream] = STREAMS,
    early: float = 0.1,
    shadows_after_ms: int = 0,
) -> Log:
    """Rows out of order and late, repeated and of several versions, clocks that are wrong, gaps between offsets;
    labels that are early (that share of them), late, corrected, unknown, or of no known class. Copies come within the
    lateness, those of shadows within so much more."""
    sent: list[_Sent] = []
    predictions: list[tuple[int, Message | None]] = []
    clock_ms, event_time_ms, offset = START_MS, -1, 0
    for _ in range(messages):
        clock_ms += int(rng.integers(0, 24)) * TICK_MS
        offset += 1 + int(rng.random() < 0.15) * int(rng.integers(1, 9))
        event = _random_prediction(rng, clock_ms, event_time_ms, sent, streams, shadows_after_ms)
        if isinstance(event, Heartbeat) and not heartbeats:
            continue
        predictions.append((offset, None if event is None else Message(offset, RECORDED_MS, event)))
        if isinstance(event, PredictionBatch) and event.model != "unknown":
            newest_ms = int(event.timestamps_ms.max())
            if newest_ms <= END_MS:
                event_time_ms = max(event_time_ms, newest_ms)
        elif isinstance(event, Heartbeat):
            event_time_ms = max(event_time_ms, event.timestamp_ms)
    predictions.append((offset + 1, Message(offset + 1, RECORDED_MS, Heartbeat(END_MS))))
    return Log(tuple(predictions), tuple(_random_labels(rng, sent, early)))


def _random_prediction(
    rng: np.random.Generator,
    clock_ms: int,
    event_time_ms: int,
    sent: list[_Sent],
    streams: Sequence[Stream],
    shadows_after_ms: int,
) -> PredictionBatch | Heartbeat | None:
    kind = rng.random()
    if kind < 0.03:
        return None
    if kind < 0.06:
        return Heartbeat(clock_ms)
    stream = streams[int(rng.integers(len(streams)))]
    rows = int(rng.integers(1, 5))
    late_ms = np.where(rng.random(rows) < 0.2, rng.integers(0, rng.choice([40, 300]), rows) * TICK_MS, 0)
    times = clock_ms - rng.integers(0, 6, rows) * TICK_MS - late_ms
    ids = [f"{stream.model[0]}{len(sent) + row}" for row in range(rows)]
    copied_for_ms = (SHOP if stream.model == "shop" else RAIN).lateness_ms
    copied_for_ms += shadows_after_ms if stream.variant is Variant.SHADOW else 0
    recent = [
        entry
        for entry in sent
        if entry.stream.model == stream.model
        and not entry.copied
        and entry.arrived_ms > event_time_ms - copied_for_ms
    ]
    for row in range(rows):
        if recent and rng.random() < 0.35:  # sent again, or by another version
            copied = recent[int(rng.integers(len(recent)))]
            ids[row], times[row] = copied.id, copied.timestamp_ms
    if kind < 0.09:
        return random_predictions(rng, Stream("unknown", "1", Variant.CHAMPION), ids, times)
    if kind < 0.12:
        times[0] = END_MS + 60 * SECOND_MS  # a clock from the future
        return random_predictions(rng, stream, ids, times)
    known = {entry.id for entry in sent}
    sent.extend(
        _Sent(stream, i, int(t), event_time_ms, i in known) for i, t in zip(ids, times.tolist(), strict=True)
    )
    return random_predictions(rng, stream, ids, times)


def random_predictions(
    rng: np.random.Generator, stream: Stream, ids: Sequence[str], times: Sequence[int] | np.ndarray
) -> PredictionBatch:
    rows = len(ids)
    values = np.where(rng.random(rows) < 0.1, np.nan, rng.lognormal(sigma=4, size=rows))
    columns: tuple[Column, ...]
    if stream.model == "shop":
        columns = (
            numeric("price", np.where(rng.random(rows) < 0.05, np.inf, values).tolist()),
            categorical("country", pick(rng, ["DE", "FR", "IT", "(other)", None], rows)),
            categorical("colour", pick(rng, ["red", "green", "blue", None], rows)),
            categorical("prediction", pick(rng, ["no", "yes", "what", None], rows)),
            numeric("score", np.where(rng.random(rows) < 0.2, np.nan, rng.random(rows)).tolist()),
            categorical("sex", [GROUPS[crc32(i.encode()) % 3] for i in ids]),
        )
        columns = columns if rng.random() < 0.8 else columns[1:]
    else:
        columns = (
            numeric("pressure", values.tolist()),
            numeric("prediction", rng.normal(size=rows).tolist()),
        )
    return PredictionBatch(
        stream.model,
        stream.version,
        stream.variant,
        tuple(ids),
        np.array(times, dtype=np.int64),
        columns,
    )


def _random_labels(
    rng: np.random.Generator, sent: Sequence[_Sent], early: float
) -> list[tuple[int, Message | None]]:
    """Labels of about two thirds of the predictions, in about the order of their time."""
    wanted: list[tuple[int, str, str]] = []
    for entry in sent:
        for _ in range(int(rng.choice([0, 1, 1, 2]))):
            delay_ms = int(rng.exponential(20 * SECOND_MS)) if rng.random() < 1 - early else -5 * SECOND_MS
            wanted.append((entry.timestamp_ms + delay_ms // TICK_MS * TICK_MS, entry.stream.model, entry.id))
    wanted.extend((START_MS + 1000 * n, "shop", f"never-{n}") for n in range(3))
    jitter = rng.integers(0, 40 * SECOND_MS, len(wanted))
    order = sorted(range(len(wanted)), key=lambda n: (wanted[n][0] + int(jitter[n]), n))
    labels: list[tuple[int, Message | None]] = []
    offset = 0
    while order:
        count = int(rng.integers(1, 6))
        taken, order = order[:count], order[count:]
        for model in ("shop", "rain"):
            rows = [wanted[n] for n in taken if wanted[n][1] == model]
            if rows:
                offset += 1 + int(rng.random() < 0.1) * int(rng.integers(1, 9))
                labels.append((offset, Message(offset, RECORDED_MS, _labels(rng, model, rows))))
        if rng.random() < 0.05:
            offset += 1
            labels.append((offset, None))
    labels.append((offset + 1, Message(offset + 1, RECORDED_MS, Heartbeat(END_MS))))
    return labels


def _labels(rng: np.random.Generator, model: str, rows: Sequence[tuple[int, str, str]]) -> LabelBatch:
    label: Column
    if model == "shop":
        label = categorical("label", pick(rng, ["no", "yes", "yes", "what", None], len(rows)))
    else:
        label = numeric(
            "label", np.where(rng.random(len(rows)) < 0.1, np.inf, rng.normal(size=len(rows))).tolist()
        )
    return LabelBatch(
        model,
        tuple(i for _, _, i in rows),
        np.array([max(0, time_ms) for time_ms, _, _ in rows], dtype=np.int64),
        label,
    )
