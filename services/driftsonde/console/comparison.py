"""A new version against the champion, window by window: the sequence of intervals that rollouts are decided by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftsonde.adapters.clickhouse import Store
from driftsonde.core.contest import PAIRED_DIFFERENCE
from driftsonde.core.spec import CanaryRule
from driftsonde.core.statistics.anytime import mean_difference_sequence
from driftsonde.report.axis import TimeAxis, axis_over
from driftsonde.report.charts import Chart, Line, line_chart
from driftsonde.report.folding import Fold, fold
from driftsonde.report.formats import format_metric, format_time
from driftsonde.report.results import Series

METRIC = "accuracy_difference"
# The table beside the drawing has the newest so many windows.
MOST_ROWS = 240

# As the judge saw them: labels that came later change what is known, not what was decided. n x accuracy is the number of
# correct rows again, a whole number.
_OUTCOMES = """
SELECT toUnixTimestamp64Milli(window_start) AS start_ms, toUnixTimestamp64Milli(max(window_end)) AS end_ms,
       toInt64(sumIf(n, variant = 'champion')) AS champion_labelled,
       toInt64(round(sumIf(n * value, variant = 'champion'))) AS champion_correct,
       toInt64(sumIf(n, variant != 'champion')) AS labelled,
       toInt64(round(sumIf(n * value, variant != 'champion'))) AS correct
FROM metrics_as_judged FINAL
WHERE model = {model:String} AND segment = '' AND column = '' AND metric = 'accuracy' AND n > 0
      AND toUnixTimestamp64Milli(window_end) > {since_ms:Int64}
      AND (variant = 'champion' OR (version = {version:String} AND variant IN ('canary', 'shadow')))
GROUP BY window_start
HAVING champion_labelled > 0 AND labelled > 0
ORDER BY window_start
"""


@dataclass(frozen=True, slots=True)
class ArmsWindow:
    """Labelled rows and the correct ones of both, in one window that both have served."""

    start_ms: int
    end_ms: int
    champion_labelled: int
    champion_correct: int
    labelled: int
    correct: int


# The judge's own interval after each window, of the rows that both answered.
_PAIRED = """
SELECT toUnixTimestamp64Milli(window_start) AS start_ms, toUnixTimestamp64Milli(window_end) AS end_ms, n, value, lower, upper,
       threshold
FROM metrics_as_judged FINAL
WHERE model = {model:String} AND version = {version:String} AND variant = 'shadow' AND segment = '' AND column = ''
      AND metric = {metric:String} AND toUnixTimestamp64Milli(window_end) > {since_ms:Int64}
ORDER BY window_start
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """The sequence as a page shows it. `favours`: the new version is not worse, with confidence; `labelled`: rows of the new
    version so far; `rows`: one a window, newest first, at most `MOST_ROWS`."""

    chart: Chart
    sentence: str
    favours: bool
    labelled: int
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_arms(store: Store, model: str, version: str, since_ms: int = 0) -> list[ArmsWindow]:
    """In the order of event time, of the windows that end after `since_ms`, as far back as results are kept. Raises what
    `Store` raises."""
    rows = store.query_rows(_OUTCOMES, {"model": model, "version": version, "since_ms": since_ms})
    return [ArmsWindow(*(int(value) for value in row)) for row in rows]


def read_pairs(store: Store, model: str, version: str, rule: CanaryRule, since_ms: int = 0) -> Series | None:
    """New version minus champion where it shadowed, as the judge saw it (see `core.contest`), of the windows that end after
    `since_ms`; None without pairs. Raises what `Store` raises."""
    asked: dict[str, object] = {
        "model": model,
        "version": version,
        "metric": PAIRED_DIFFERENCE,
        "since_ms": since_ms,
    }
    rows = store.query_rows(_PAIRED, asked)
    if not rows:
        return None
    starts, ends, n, *numbers = zip(*rows, strict=True)
    value, lower, upper, threshold = (np.array(column, dtype=np.float64) for column in numbers)
    counts = np.array(n, dtype=np.int64)
    breached = (counts >= rule.min_labels) & (upper < threshold)
    times = (np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64))
    return Series(*times, counts, value, lower, upper, threshold, breached)


def sequence_of(windows: Sequence[ArmsWindow], rule: CanaryRule) -> Series:
    """New version minus champion over all windows so far: the judge's own interval (see `core.judging.compare_canary`),
    which ends with the window that it asks for a rollback in. `n`: labelled rows of the new version so far."""
    totals = np.cumsum(
        [(w.champion_labelled, w.champion_correct, w.labelled, w.correct) for w in windows], axis=0
    ).tolist()
    values, intervals, breached = list[float](), list[tuple[float, float]](), list[bool]()
    for champion_labelled, champion_correct, labelled, correct in totals:
        interval = mean_difference_sequence(
            champion_labelled, champion_correct, labelled, correct, rule.alpha
        )
        values.append(correct / labelled - champion_correct / champion_labelled)
        intervals.append((interval.lower, interval.upper))
        breached.append(labelled >= rule.min_labels and interval.upper < -rule.margin)
        if breached[-1]:
            break
    count = len(values)
    bounds = np.array(intervals, dtype=np.float64).reshape(count, 2)
    return Series(
        starts_ms=np.array([w.start_ms for w in windows[:count]], dtype=np.int64),
        ends_ms=np.array([w.end_ms for w in windows[:count]], dtype=np.int64),
        n=np.array([total[2] for total in totals[:count]], dtype=np.int64),
        value=np.array(values, dtype=np.float64),
        lower=bounds[:, 0],
        upper=bounds[:, 1],
        threshold=np.full(count, -rule.margin),
        breached=np.array(breached, dtype=np.bool_),
    )


def shown(sequence: Series, rule: CanaryRule) -> Shown:
    """The drawing, what it says in a sentence, and its numbers. The sequence has at least one window."""
    axis = axis_over([sequence])
    points = fold(axis, _last_of_each_cell(axis, sequence), Fold.MEAN)
    chart = line_chart(
        axis,
        METRIC,
        "New version minus champion, accuracy",
        [Line("difference", points, "one", band=True, bars=True)],
        hover=True,
        include=(0.0, points[-1].lower, points[-1].upper),
    )
    rows = [
        (
            format_time(int(sequence.starts_ms[place])),
            f"{int(sequence.n[place]):,}",
            format_metric(METRIC, float(sequence.value[place])),
            f"{format_metric(METRIC, float(sequence.lower[place]))} to "
            f"{format_metric(METRIC, float(sequence.upper[place]))}",
        )
        for place in reversed(range(len(sequence.n)))
    ]
    header = ("Window", "Labelled so far", "Difference", "Interval")
    labelled = int(sequence.n[-1])
    favours = labelled >= rule.min_labels and float(sequence.lower[-1]) > -rule.margin
    return Shown(chart, _sentence(sequence, rule), favours, labelled, header, tuple(rows[:MOST_ROWS]))


def _last_of_each_cell(axis: TimeAxis, sequence: Series) -> Series:
    """Each entry holds all before it, so the last of a cell says what the cell says."""
    cells = axis.cells_of(sequence.starts_ms)
    last = np.flatnonzero(np.append(np.diff(cells) > 0, True))
    return sequence.take(last.astype(np.int64))


def _sentence(sequence: Series, rule: CanaryRule) -> str:
    lower, upper, labelled = float(sequence.lower[-1]), float(sequence.upper[-1]), int(sequence.n[-1])
    margin = f"{100 * rule.margin:.1f} points"
    if sequence.breached[-1]:
        return (
            f"Worse than the champion by more than {margin}, with confidence: the judge asks for a rollback."
        )
    if labelled < rule.min_labels:
        return f"{labelled:,} of the {rule.min_labels:,} labelled rows that a judgement needs."
    if lower > -rule.margin:
        return f"Not worse than the champion by more than {margin}, with confidence."
    if upper < 0:
        return f"Worse than the champion; by more than {margin} is not shown yet."
    return f"Undecided: it may still be worse by more than {margin}."
