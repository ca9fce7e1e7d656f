"""What the monitor found, for a notebook: windows, metrics, signals and incidents as pandas DataFrames, and plots.

from driftsonde.client import Results
results = Results("clickhouse.example", database="driftsonde")
results.metrics("fraud", metric="psi").pivot_table(index="window_start", columns="column", values="value")
results.plot("fraud", "psi", column="amount")
results.drift("fraud", "1", segment="country=DE", start=january, end=april)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from markupsafe import Markup

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.console.rendering import environment, files
from driftsonde.report.axis import axis_over
from driftsonde.report.charts import Line, line_chart
from driftsonde.report.folding import Fold, fold
from driftsonde.report.formats import name_of
from driftsonde.report.reading import series_of
from driftsonde.report.results import Series, SeriesKey

if TYPE_CHECKING:
    import pandas as pd

_COLOURS = ("one", "two", "three")
# Beyond these a plot is unreadable; the champion's newest versions come first.
_LINES = len(_COLOURS)
_BEGINNING, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, tzinfo=UTC)

_WHERE = """
WHERE model = {model:String} AND ({version:String} = '' OR version = {version:String}) AND segment = {segment:String}
      AND window_start >= {start:DateTime64(3, 'UTC')} AND window_start < {end:DateTime64(3, 'UTC')}
"""
_METRICS = f"""
SELECT toString(version) AS version, toString(variant) AS variant, toString(segment) AS segment,
       toString(column) AS column, toString(metric) AS metric, window_start, window_end,
       toInt64(n) AS n, value, lower, upper, threshold, breached, toInt64(revision) AS revision
FROM {{table}} FINAL
{_WHERE} AND ({{metric:String}} = '' OR metric = {{metric:String}})
      AND ({{every_column:Bool}} OR column = {{column:String}})
ORDER BY window_start, version, variant, column, metric
"""
_WINDOWS = f"""
SELECT toString(version) AS version, toString(variant) AS variant, toString(segment) AS segment,
       toString(column) AS column, window_start, window_end, toString(kind) AS kind, edges, categories,
       counts, reference_counts, total, total_squares, minimum, maximum, toString(baseline) AS baseline
FROM windows FINAL
{_WHERE} AND ({{every_column:Bool}} OR column = {{column:String}})
ORDER BY window_start, version, variant, column
"""
# Both read whole hours where they can, so a quarter of minute windows is a matter of less than a second.
_PERIOD = """
model = {model:String}, version = {version:String}, variant = {variant:String}, segment = {segment:String}
"""
_COUNTS = f"""
SELECT toString(column) AS column, toString(kind) AS kind, toString(role) AS role, toString(baseline) AS baseline, edges,
       categories, counts, reference_counts
FROM period_counts({_PERIOD}, from_time = {{start:DateTime64(3, 'UTC')}}, to_time = {{end:DateTime64(3, 'UTC')}})
WHERE {{every_column:Bool}} OR column = {{column:String}}
ORDER BY column, baseline
"""
_DRIFT_FROM_BASELINE = f"""
SELECT toString(column) AS column, toString(kind) AS kind, toString(role) AS role, toString(baseline) AS baseline,
       toInt64(reference_rows) AS reference_rows, toInt64(rows) AS rows, psi, js_divergence
FROM drift_from_baseline({_PERIOD}, from_time = {{start:DateTime64(3, 'UTC')}}, to_time = {{end:DateTime64(3, 'UTC')}})
ORDER BY psi DESC, column, baseline
"""
_DRIFT_BETWEEN = f"""
SELECT toString(column) AS column, toString(kind) AS kind, toString(role) AS role, toInt64(rows_a) AS reference_rows,
       toInt64(rows_b) AS rows, psi, js_divergence
FROM drift_between({_PERIOD}, from_a = {{from:DateTime64(3, 'UTC')}}, to_a = {{to:DateTime64(3, 'UTC')}},
                   from_b = {{start:DateTime64(3, 'UTC')}}, to_b = {{end:DateTime64(3, 'UTC')}})
ORDER BY psi DESC, column
"""
_SIGNALS = """
SELECT window_end, toString(kind) AS kind, toString(rule) AS rule, toString(version) AS version,
       toString(variant) AS variant, toString(segment) AS segment, since, summary, evidence, episode, id
FROM signals FINAL
WHERE model = {model:String}
ORDER BY window_end, id
"""
_INCIDENTS = """
SELECT incident AS id, version, rule, what, since, opened, acknowledged, resolved, false_alarm
FROM incident_times
LEFT ANY JOIN
(
    SELECT incident, argMax(JSONExtractString(detail, 'signal', 'rule'), timestamp) AS rule,
           argMax(JSONExtractString(detail, 'signal', 'summary'), timestamp) AS what
    FROM decisions
    WHERE model = {model:String} AND JSONExtractString(detail, 'change') = 'opened'
    GROUP BY incident
) AS said USING (incident)
WHERE model = {model:String}
ORDER BY opened, id
"""
_DECISIONS = """
SELECT timestamp, toString(kind) AS kind, toString(step) AS step, toString(version) AS version, actor,
       JSONExtractString(detail, 'reason') AS reason, incident, signal, id
FROM decisions FINAL
WHERE model = {model:String}
ORDER BY timestamp, id, step
"""


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing that a notebook shows by itself; `save` writes it as a page."""

    html: str

    def _repr_html_(self) -> str:
        return self.html

    def save(self, path: str | Path) -> None:
        Path(path).write_text(self.html, encoding="utf-8")


class Results:
    """Reads the tables that the judge and the controller write. Every method raises `StoreUnavailable` or
    `StoreRejected` (both of `driftsonde.adapters.clickhouse`) where the store can't answer. Needs pandas.

    `start` and `end` bound the windows' starts: [start, end), with a time zone; without them, all that is stored.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8123,
        *,
        database: str = "driftsonde",
        user: str = "default",
        password: str = "",
        secure: bool = False,
    ) -> None:
        self._store = Store(ClickHouseSettings(host, port, user, password, database, secure))

    def metrics(
        self,
        model: str,
        *,
        metric: str = "",
        column: str | None = None,
        version: str = "",
        segment: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
        as_judged: bool = False,
    ) -> "pd.DataFrame":
        """One row for each number of each window; `column` "" are the target's metrics, None is all. `as_judged`: as
        known when the window was judged, instead of as known now."""
        return self._metrics(model, metric, column, version, segment, start, end, as_judged).to_pandas()

    def windows(
        self,
        model: str,
        *,
        column: str | None = None,
        version: str = "",
        segment: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> "pd.DataFrame":
        """One row for each column of each window, with its counts per bin (int64 arrays) beside the baseline's."""
        params = _params(model, column, version, segment, start, end)
        return self._store.query_arrow(_WINDOWS, params).to_pandas()

    def counts(
        self,
        model: str,
        version: str,
        *,
        column: str | None = None,
        variant: str = "champion",
        segment: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> "pd.DataFrame":
        """The counts of all windows of a period added up: one row for each column and baseline."""
        params = _params(model, column, version, segment, start, end) | {"variant": variant}
        return self._store.query_arrow(_COUNTS, params).to_pandas()

    def drift(
        self,
        model: str,
        version: str,
        *,
        variant: str = "champion",
        segment: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
        against: tuple[datetime, datetime] | None = None,
    ) -> "pd.DataFrame":
        """How far each column of a period is from the baseline, or from the period `against`; the farthest first. PSI in nats,
        Jensen-Shannon divergence in bits; NaN where a side has no rows."""
        params = _params(model, None, version, segment, start, end) | {"variant": variant}
        if against is None:
            return self._store.query_arrow(_DRIFT_FROM_BASELINE, params).to_pandas()
        params |= dict(zip(("from", "to"), against, strict=True))
        return self._store.query_arrow(_DRIFT_BETWEEN, params).to_pandas()

    def signals(self, model: str) -> "pd.DataFrame":
        """What the judge said; `evidence` is JSON."""
        return self._store.query_arrow(_SIGNALS, {"model": model}).to_pandas()

    def incidents(self, model: str) -> "pd.DataFrame":
        """What people deal with, one row each: since when in event time, and when it was opened, acknowledged and
        resolved (NaT: not yet)."""
        return self._store.query_arrow(_INCIDENTS, {"model": model}).to_pandas()

    def decisions(self, model: str) -> "pd.DataFrame":
        """What was decided and done, one row a step."""
        return self._store.query_arrow(_DECISIONS, {"model": model}).to_pandas()

    def plot(
        self,
        model: str,
        metric: str,
        *,
        column: str = "",
        segment: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Plot:
        """A metric over time with its interval and its bar, a line for each version (at most three).

        ValueError: no such number is stored."""
        table = self._metrics(model, metric, column, "", segment, start, end, as_judged=False)
        found: Mapping[SeriesKey, Series] = series_of(table)
        if not found:
            raise ValueError(f"nothing is stored of {metric!r} of column {column!r} of model {model!r}")
        shown = sorted(found, key=lambda key: (key.variant != "champion", key.variant, key.version))[:_LINES]
        axis = axis_over([found[key] for key in shown])
        lines = [
            Line(
                f"{key.version} ({key.variant})",
                fold(axis, found[key], Fold.MEAN),
                css,
                band=True,
                bars=place == 0,
            )
            for place, (key, css) in enumerate(zip(shown, _COLOURS, strict=False))
        ]
        title = f"{name_of(metric)}{f' of {column}' if column else ''}: {model}"
        chart = line_chart(axis, metric, title, lines, hover=True)
        style = Markup(files()["style.css"][0])  # our own file, free of markup
        return Plot(environment().get_template("plot.html").render(chart=chart, style=style))

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def _metrics(
        self,
        model: str,
        metric: str,
        column: str | None,
        version: str,
        segment: str,
        start: datetime | None,
        end: datetime | None,
        as_judged: bool,
    ) -> pa.Table:
        params = _params(model, column, version, segment, start, end) | {"metric": metric}
        table = "metrics_as_judged" if as_judged else "metrics"
        return self._store.query_arrow(_METRICS.replace("{table}", table), params)


def _params(
    model: str, column: str | None, version: str, segment: str, start: datetime | None, end: datetime | None
) -> dict[str, object]:
    return {
        "model": model,
        "column": column or "",
        "every_column": column is None,
        "version": version,
        "segment": segment,
        "start": start or _BEGINNING,
        "end": end or _END,
    }
