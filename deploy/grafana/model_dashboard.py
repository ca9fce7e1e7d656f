"""One version of one model, whole or one segment of it: drift, data quality, performance, what was decided."""

import model_comparisons as comparisons
from blocks import (
    RED,
    Json,
    Panel,
    annotation,
    dashboard,
    heat_rows,
    link,
    override,
    series,
    series_sql,
    stat,
    table,
    table_sql,
    thresholds,
    variable,
)
from places import CONSOLE, DEPLOYMENTS, INCIDENT, INCIDENT_OF_SIGNAL, signal_marks, to_console
from slices import EVERY_WINDOW, MODEL, PSI_STEPS, SEGMENT, SLICE, VERSION, WHOLE, WINDOW

QUALITY = "'missing_rate', 'unseen_rate', 'out_of_range_rate'"


def model() -> Json:
    return dashboard(
        "driftsonde-model",
        "Driftsonde / Model",
        "Drift, data quality and performance of one version, and what was signalled and decided.",
        [
            [_newest()],
            [_heat_map()],
            [_top_columns(), _quality()],
            [_performance(), _labels()],
            [_rows(), _scores()],
            [comparisons.distribution(), comparisons.versions_over_time()],
            [comparisons.versions()],
            [comparisons.estimates(), comparisons.calibration()],
            [comparisons.fairness(), comparisons.importance()],
            [comparisons.from_baseline(), comparisons.against_before()],
            [_breaches()],
            [_signals()],
            [_decisions()],
        ],
        variables=[*_variables(), CONSOLE],
        annotations=[DEPLOYMENTS, *_annotations()],
        links=[
            link("Rollout", "/d/driftsonde-rollout?var-model=${model:percentencode}"),
            link("Decisions", "/d/driftsonde-governance?var-model=${model:percentencode}"),
            to_console("/models/${model:percentencode}"),
        ],
    )


def _variables() -> list[Json]:
    return [
        variable(
            "model",
            "Model",
            "SELECT DISTINCT model FROM metrics WHERE $__timeFilter(window_start) ORDER BY model",
        ),
        variable(
            "version",
            "Version",
            f"SELECT version FROM metrics WHERE {MODEL} AND $__timeFilter(window_start)"
            " GROUP BY version ORDER BY max(window_start) DESC, version DESC",
        ),
        variable(
            "variant",
            "Variant",
            f"SELECT variant FROM metrics WHERE {MODEL} AND version = ${{version:sqlstring}}"
            " AND $__timeFilter(window_start) GROUP BY variant ORDER BY max(window_start) DESC, variant",
        ),
        variable(
            "segment",
            "Segment",
            f"SELECT if(segment = '', '{WHOLE}', segment) AS name FROM metrics WHERE {VERSION}"
            " AND $__timeFilter(window_start) GROUP BY segment ORDER BY segment",
        ),
        variable(
            "metric",
            "Performance",
            f"SELECT metric FROM metrics WHERE {VERSION} AND column = '' AND $__timeFilter(window_start)"
            " AND metric NOT IN ('label_coverage', 'label_delay_s') GROUP BY metric"
            " ORDER BY metric IN ('accuracy', 'rmse') DESC, metric",
        ),
        variable(
            "column",
            "Column",
            f"SELECT column FROM metrics WHERE {VERSION} AND metric = 'psi' AND $__timeFilter(window_start)"
            " GROUP BY column ORDER BY max(value) DESC, column LIMIT 1000",
        ),
        variable(
            "window",
            "Window",
            f"SELECT '{EVERY_WINDOW}' AS name UNION ALL SELECT name FROM"
            f" (SELECT DISTINCT window_start, toString(window_start) AS name FROM metrics WHERE {SLICE}"
            " ORDER BY window_start DESC LIMIT 1000)",
        ),
    ]


def _annotations() -> list[Json]:
    return [
        signal_marks(f"{VERSION} AND segment = {SEGMENT}"),
        annotation(
            "Decisions",
            "purple",
            f"""
            SELECT timestamp AS time, concat(kind, ' ', step) AS title,
                JSONExtractString(detail, 'reason') AS text, kind AS tags
            FROM decisions FINAL
            WHERE {MODEL} AND version = ${{version:sqlstring}} AND kind IN ('retrain', 'rollback', 'promote', 'candidate')
                AND $__timeFilter(timestamp)
            ORDER BY time
            """,
        ),
    ]


def _newest() -> Panel:
    return stat(
        "Newest windows",
        table_sql(
            f"""
            SELECT
                uniqExact(window_start) AS windows,
                argMaxIf(value, (window_start, value), metric = 'psi') AS psi_max,
                argMaxIf(value, window_start, metric = ${{metric:sqlstring}} AND column = '') AS performance,
                argMaxIf(lower, window_start, metric = ${{metric:sqlstring}} AND column = '') AS lower,
                argMaxIf(upper, window_start, metric = ${{metric:sqlstring}} AND column = '') AS upper,
                argMaxIf(value, window_start, metric = 'label_coverage') AS label_coverage,
                countIf(breached) AS breaches
            FROM current_metrics
            WHERE {SLICE}
            """
        ),
        w=24,
        description="Breaches count the statistics past their bar in all windows shown; the rest is of the newest window.",
        overrides=[
            override("psi_max", decimals=3, thresholds=PSI_STEPS),
            override("label_coverage", unit="percentunit"),
            override("breaches", thresholds=thresholds((1, RED))),
            *(override(name, decimals=4) for name in ("performance", "lower", "upper")),
        ],
    )


def _heat_map() -> Panel:
    return heat_rows(
        "Drift of each column over time (PSI)",
        series_sql(
            f"""
            SELECT window_start AS time, column, value AS psi
            FROM current_metrics
            WHERE {SLICE} AND metric = 'psi' AND column IN
            (
                SELECT column FROM current_metrics WHERE {SLICE} AND metric = 'psi'
                GROUP BY column ORDER BY max(value) DESC LIMIT 40
            )
            ORDER BY time, column
            """
        ),
        label="column",
        steps=PSI_STEPS,
        description="The 40 columns that drifted most. Yellow from 0.1, red from 0.2; the bar of each window may be higher, where rows are few.",
    )


def _top_columns() -> Panel:
    return series(
        "PSI of the columns that drifted most, and the bar",
        series_sql(
            f"""
            SELECT time, series, psi
            FROM
            (
                SELECT window_start AS time, column AS series, value AS psi
                FROM current_metrics
                WHERE {SLICE} AND metric = 'psi' AND column IN
                (
                    SELECT column FROM current_metrics WHERE {SLICE} AND metric = 'psi'
                    GROUP BY column ORDER BY max(value) DESC LIMIT 8
                )
                UNION ALL
                SELECT window_start AS time, 'bar' AS series, min(threshold) AS psi
                FROM current_metrics
                WHERE {SLICE} AND metric = 'psi'
                GROUP BY time
            )
            ORDER BY time, series
            """
        ),
        label="series",
        low=0,
        description="The bar is the lowest of all columns: the practical one, or the statistical one where that is higher.",
        overrides=[
            override(
                "bar",
                color={"mode": "fixed", "fixedColor": RED},
                custom__lineStyle={"fill": "dash", "dash": [10, 10]},
            )
        ],
    )


def _quality() -> Panel:
    return series(
        "Missing, unseen, out of range",
        series_sql(
            f"""
            SELECT window_start AS time, concat(column, ' ', metric) AS series, value AS rate
            FROM current_metrics
            WHERE {SLICE} AND metric IN ({QUALITY}) AND (column, metric) IN
            (
                SELECT column, metric FROM current_metrics WHERE {SLICE} AND metric IN ({QUALITY})
                GROUP BY column, metric ORDER BY max(value) DESC LIMIT 12
            )
            ORDER BY time, series
            """
        ),
        unit="percentunit",
        label="series",
        low=0,
        description="The 12 highest rates.",
    )


def _performance() -> Panel:
    return series(
        "Performance (${metric}): as known now, as judged then",
        series_sql(
            f"""
            SELECT window_start AS time, value AS now, lower, upper, threshold AS bar
            FROM current_metrics
            WHERE {SLICE} AND column = '' AND metric = ${{metric:sqlstring}}
            ORDER BY time
            """
        ),
        series_sql(
            f"""
            SELECT window_start AS time, value AS as_judged
            FROM metrics_as_judged FINAL
            WHERE {SLICE} AND column = '' AND metric = ${{metric:sqlstring}}
            ORDER BY time
            """
        ),
        description="Alarms use the value as judged; late labels restate the value as known now.",
        overrides=[
            override("lower", custom__lineWidth=0),
            override("upper", custom__fillBelowTo="lower", custom__lineWidth=0, custom__fillOpacity=15),
            override(
                "bar",
                color={"mode": "fixed", "fixedColor": RED},
                custom__lineStyle={"fill": "dash", "dash": [10, 10]},
            ),
        ],
    )


def _labels() -> Panel:
    return series(
        "Labels: coverage and delay",
        series_sql(
            f"""
            SELECT window_start AS time, anyIf(value, metric = 'label_coverage') AS coverage,
                anyIf(value, metric = 'label_delay_s') AS delay
            FROM current_metrics
            WHERE {SLICE} AND column = '' AND metric IN ('label_coverage', 'label_delay_s')
            GROUP BY time
            ORDER BY time
            """
        ),
        unit="percentunit",
        low=0,
        overrides=[override("delay", unit="s", custom__axisPlacement="right")],
    )


def _rows() -> Panel:
    return series(
        "Rows of each window",
        series_sql(
            f"""
            SELECT window_start AS time, value AS rows
            FROM current_metrics
            WHERE {SLICE} AND column = '' AND metric = 'rows'
            ORDER BY time
            """
        ),
        bars=True,
        low=0,
    )


def _scores() -> Panel:
    return series(
        "Scores and predictions: mean of each window",
        series_sql(
            f"""
            SELECT window_start AS time, column, total / (arraySum(counts) - counts[-1]) AS mean
            FROM current_windows
            WHERE {SLICE} AND kind = 'numeric' AND arraySum(counts) > counts[-1] AND column IN
                (
                    SELECT column FROM windows
                    WHERE {SLICE} AND role IN ('score', 'prediction')
                )
            ORDER BY time, column
            """
        ),
        label="column",
    )


def _breaches() -> Panel:
    return table(
        "Statistics past their bar: ${window}",
        table_sql(
            f"""
            SELECT window_start, window_end, column, metric, n, value, lower, upper, threshold, revision
            FROM current_metrics
            WHERE {WINDOW} AND breached
            ORDER BY window_start DESC, column, metric
            LIMIT 200
            """
        ),
    )


def _signals() -> Panel:
    return table(
        "Signals",
        table_sql(
            f"""
            SELECT window_end, kind, rule, segment, since, summary, incident, episode, baseline, policy, evidence
            FROM (SELECT * FROM signals FINAL) AS said
            {INCIDENT_OF_SIGNAL}
            WHERE {VERSION} AND $__timeFilter(window_end)
            ORDER BY window_end DESC, id
            LIMIT 200
            """
        ),
        description="Of the version, all segments.",
        overrides=[INCIDENT],
    )


def _decisions() -> Panel:
    return table(
        "Decisions",
        table_sql(
            f"""
            SELECT timestamp, kind, step, mode, actor, version, JSONExtractString(detail, 'reason') AS reason,
                incident, signal, policy, id
            FROM decisions FINAL
            WHERE {MODEL} AND kind != 'notify' AND $__timeFilter(timestamp)
            ORDER BY timestamp DESC, id, step
            LIMIT 200
            """
        ),
        description="Of the model, all versions, deliveries left out.",
        overrides=[INCIDENT],
    )
