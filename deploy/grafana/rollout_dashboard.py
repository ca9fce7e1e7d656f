"""A new version against the champion: the evidence, the split, and what moved it."""

from blocks import (
    Json,
    Panel,
    dashboard,
    link,
    override,
    series,
    series_sql,
    stat,
    table,
    table_sql,
    variable,
)
from places import CONSOLE, DEPLOYMENTS, INCIDENT, signal_marks, to_console
from slices import MODEL

from driftsonde.core.spec import CanaryRule
from driftsonde.core.statistics.anytime import normal_mixture_rho

CANDIDATE = "version = ${candidate:sqlstring} AND variant IN ('canary', 'shadow')"
WHOLE = f"{MODEL} AND segment = '' AND column = ''"
ALPHA = CanaryRule().alpha
# Of `mean_difference_sequence` with its defaults: each arm at half of alpha, shortest at 1,000 rows.
_RHO = normal_mixture_rho(250.0, ALPHA / 2)


def _radius(n: str) -> str:
    return f"sqrt(({n} / 4 + {_RHO!r}) * (log1p({n} / 4 / {_RHO!r}) - 2 * log({ALPHA / 2!r}))) / {n}"


# Labelled and correct rows so far, of both, after each window that both have served, as the judge saw them.
SO_FAR = f"""
SELECT
    window_start,
    sum(b_n) OVER before AS labelled,
    sum(b_correct) OVER before / labelled - sum(a_correct) OVER before / sum(a_n) OVER before AS difference,
    {_radius("labelled")} AS radius_b,
    {_radius("(sum(a_n) OVER before)")} AS radius_a,
    least(1., sum(b_correct) OVER before / labelled + radius_b)
        - greatest(0., sum(a_correct) OVER before / sum(a_n) OVER before - radius_a) AS upper,
    greatest(0., sum(b_correct) OVER before / labelled - radius_b)
        - least(1., sum(a_correct) OVER before / sum(a_n) OVER before + radius_a) AS lower
FROM
(
    SELECT
        window_start,
        toFloat64(sumIf(n, variant = 'champion')) AS a_n,
        sumIf(round(n * value), variant = 'champion') AS a_correct,
        toFloat64(sumIf(n, variant != 'champion')) AS b_n,
        sumIf(round(n * value), variant != 'champion') AS b_correct
    FROM metrics_as_judged FINAL
    WHERE {WHOLE} AND metric = 'accuracy' AND n > 0 AND (variant = 'champion' OR ({CANDIDATE}))
    GROUP BY window_start
    HAVING a_n > 0 AND b_n > 0
)
WINDOW before AS (ORDER BY window_start ROWS UNBOUNDED PRECEDING)
"""


def rollout() -> Json:
    return dashboard(
        "driftsonde-rollout",
        "Driftsonde / Rollout",
        "A new version on its way from shadow through canary to champion.",
        [
            [_newest()],
            [_sequence()],
            [_split(), _by_window()],
            [_side_by_side()],
            [_moves()],
            [_signals()],
        ],
        variables=[
            variable(
                "model",
                "Model",
                "SELECT model FROM metrics WHERE $__timeFilter(window_start) GROUP BY model"
                " ORDER BY countIf(variant != 'champion') > 0 DESC, model",
            ),
            variable(
                "candidate",
                "New version",
                f"SELECT version FROM metrics WHERE {MODEL} AND variant IN ('canary', 'shadow')"
                " AND $__timeFilter(window_start) GROUP BY version ORDER BY max(window_start) DESC, version DESC",
            ),
            CONSOLE,
        ],
        annotations=[
            DEPLOYMENTS,
            signal_marks(f"{MODEL} AND version = ${{candidate:sqlstring}}"),
        ],
        links=[
            link("Model", "/d/driftsonde-model?var-model=${model:percentencode}"),
            to_console("/rollouts/${model:percentencode}"),
        ],
    )


def _newest() -> Panel:
    return stat(
        "So far",
        table_sql(
            f"""
            SELECT labelled, difference, lower, upper
            FROM ({SO_FAR})
            ORDER BY window_start DESC
            LIMIT 1
            """
        ),
        w=24,
        description="Accuracy of the new version minus the champion's, over all windows that both have served.",
        overrides=[
            override(name, unit="percentunit", decimals=2) for name in ("difference", "lower", "upper")
        ],
    )


def _sequence() -> Panel:
    return series(
        "New version minus champion: accuracy, with the confidence sequence",
        series_sql(
            f"""
            SELECT window_start AS time, difference, lower, upper
            FROM ({SO_FAR})
            WHERE $__timeFilter(window_start)
            ORDER BY time
            """
        ),
        w=24,
        h=10,
        unit="percentunit",
        description=f"The interval holds at every window at once, at the default level of {ALPHA:.0%}; the console has the model's own level and margin.",
        overrides=[
            override("lower", custom__lineWidth=0),
            override("upper", custom__fillBelowTo="lower", custom__lineWidth=0, custom__fillOpacity=15),
        ],
    )


def _split() -> Panel:
    return series(
        "Requests by version",
        series_sql(
            f"""
            SELECT timestamp AS time, JSONExtractString(share, 'version') AS version, max(JSONExtractFloat(share, 'weight')) AS weight
            FROM decisions FINAL
            ARRAY JOIN JSONExtractArrayRaw(detail, 'traffic', 'split') AS share
            WHERE {MODEL} AND step IN ('decided', 'approved') AND $__timeFilter(timestamp)
            GROUP BY time, version
            ORDER BY time, version
            """
        ),
        unit="percentunit",
        label="version",
        low=0,
        description="As decided; a split holds until the next one.",
        overrides=[
            {
                "matcher": {"id": "byRegexp", "options": ".*"},
                "properties": [{"id": "custom.lineInterpolation", "value": "stepAfter"}],
            }
        ],
    )


def _by_window() -> Panel:
    return series(
        "Accuracy of each window",
        series_sql(
            f"""
            SELECT window_start AS time, concat(version, ' ', variant) AS series, value AS accuracy
            FROM current_metrics
            WHERE {WHOLE} AND metric = 'accuracy' AND (variant = 'champion' OR ({CANDIDATE}))
                AND $__timeFilter(window_start) AND isFinite(value)
            ORDER BY time, series
            """
        ),
        unit="percentunit",
        label="series",
    )


def _side_by_side() -> Panel:
    return table(
        "Every number of both: means over the windows shown, weighted by rows",
        table_sql(
            f"""
            SELECT
                metric,
                sumIf(n * value, variant = 'champion') / sumIf(n, variant = 'champion') AS champion,
                sumIf(n * value, variant != 'champion') / sumIf(n, variant != 'champion') AS candidate,
                candidate - champion AS difference
            FROM current_metrics
            WHERE {WHOLE} AND (variant = 'champion' OR ({CANDIDATE})) AND isFinite(value) AND n > 0
                AND $__timeFilter(window_start)
            GROUP BY metric
            HAVING countIf(variant = 'champion') > 0 AND countIf(variant != 'champion') > 0
            ORDER BY metric IN ('accuracy', 'rmse') DESC, metric
            """
        ),
        overrides=[override(name, decimals=4) for name in ("champion", "candidate", "difference")],
    )


def _moves() -> Panel:
    return table(
        "What moved it",
        table_sql(
            f"""
            SELECT timestamp, kind, step, version, actor, JSONExtractString(detail, 'reason') AS reason,
                JSONExtractString(detail, 'rollout', 'status') AS status, JSONExtractUInt(detail, 'rollout', 'stage') AS stage, incident
            FROM decisions FINAL
            WHERE {MODEL} AND kind IN ('rollout', 'promote', 'rollback', 'traffic') AND $__timeFilter(timestamp)
            ORDER BY timestamp DESC, id, step
            LIMIT 200
            """
        ),
        overrides=[INCIDENT],
    )


def _signals() -> Panel:
    return table(
        "What the judge said",
        table_sql(
            f"""
            SELECT window_end, kind, rule, variant, summary,
                JSONExtractFloat(evidence, 1, 'value') AS difference, JSONExtractFloat(evidence, 1, 'lower') AS lower,
                JSONExtractFloat(evidence, 1, 'upper') AS upper, JSONExtractFloat(evidence, 1, 'threshold') AS bar
            FROM signals FINAL
            WHERE {MODEL} AND version = ${{candidate:sqlstring}} AND rule = 'canary' AND $__timeFilter(window_end)
            ORDER BY window_end DESC, id
            LIMIT 200
            """
        ),
        overrides=[
            override(name, unit="percentunit", decimals=2) for name in ("difference", "lower", "upper", "bar")
        ],
    )
