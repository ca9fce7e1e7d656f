"""One version of one model, whole or one segment of it: drift, data quality, performance, what was decided."""

from blocks import (
    RED,
    YELLOW,
    Json,
    Panel,
    annotation,
    bars,
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
from places import CONSOLE, DEPLOYMENTS, INCIDENT, INCIDENT_OF_SIGNAL, to_console

WHOLE = "whole model"  # how the segment '' is called in the list
MODEL = "model = ${model:sqlstring}"
VERSION = f"{MODEL} AND version = ${{version:sqlstring}} AND variant = ${{variant:sqlstring}}"
SEGMENT = f"if(${{segment:sqlstring}} = '{WHOLE}', '', ${{segment:sqlstring}})"
SLICE = f"{VERSION} AND segment = {SEGMENT} AND $__timeFilter(window_start)"
VIEW_SLICE = f"{VERSION.replace(' AND', ',')}, segment = {SEGMENT}"
# Unix seconds: independent of the server's time zone.
FROM, TO = "${__from:date:seconds}", "${__to:date:seconds}"

PSI_STEPS = thresholds((0.1, YELLOW), (0.2, RED))
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
            [_distribution(), _versions_over_time()],
            [_versions()],
            [_estimates(), _calibration()],
            [_fairness(), _importance()],
            [_from_baseline(), _against_before()],
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
    ]


def _annotations() -> list[Json]:
    return [
        annotation(
            "Signals",
            "red",
            f"""
            SELECT window_end AS time, concat(kind, ': ', rule) AS title, summary AS text, kind AS tags
            FROM signals FINAL
            WHERE {VERSION} AND segment = {SEGMENT} AND $__timeFilter(window_end)
            ORDER BY time
            """,
        ),
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
            SELECT window_start AS time, toFloat64(max(arraySum(counts))) AS rows
            FROM current_windows
            WHERE {SLICE}
            GROUP BY time
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
            WHERE {SLICE} AND kind = 'numeric' AND role IN ('score', 'prediction')
                AND arraySum(counts) > counts[-1]
            ORDER BY time, column
            """
        ),
        label="column",
    )


def _from_baseline() -> Panel:
    return table(
        "All rows shown, against the baseline",
        table_sql(
            f"""
            SELECT column, kind, role, baseline, reference_rows, rows, psi, js_divergence
            FROM drift_from_baseline({VIEW_SLICE}, from_time = {FROM}, to_time = {TO})
            ORDER BY psi DESC
            LIMIT 100
            """
        ),
        w=12,
        overrides=[override("psi", decimals=4), override("js_divergence", decimals=4)],
    )


def _against_before() -> Panel:
    return table(
        "All rows shown, against the period of the same length before",
        table_sql(
            f"""
            SELECT column, kind, role, rows_a AS rows_before, rows_b AS rows, psi, js_divergence
            FROM drift_between({VIEW_SLICE}, from_a = 2 * {FROM} - {TO}, to_a = {FROM}, from_b = {FROM}, to_b = {TO})
            ORDER BY psi DESC
            LIMIT 100
            """
        ),
        w=12,
        overrides=[override("psi", decimals=4), override("js_divergence", decimals=4)],
    )


def _distribution() -> Panel:
    return bars(
        "Distribution of ${column}: the windows shown, and the baseline",
        table_sql(
            f"""
            SELECT bin, count / rows AS shown, before / reference_rows AS baseline
            FROM
            (
                SELECT
                    if(kind = 'numeric',
                        arrayConcat(
                            [concat('below ', toString(edges[1]))],
                            arrayMap((low, high) -> concat(toString(low), ' to ', toString(high)),
                                arrayPopBack(edges), arrayPopFront(edges)),
                            [concat('from ', toString(edges[-1])), 'missing']),
                        arrayConcat(categories, ['unseen', 'missing'])) AS names,
                    sumForEach(counts) AS shown_counts,
                    any(reference_counts) AS reference,
                    arraySum(shown_counts) AS rows,
                    arraySum(reference) AS reference_rows
                FROM current_windows
                WHERE {SLICE} AND column = ${{column:sqlstring}}
                GROUP BY kind, edges, categories
                ORDER BY max(window_end) DESC
                LIMIT 1
            )
            ARRAY JOIN names AS bin, shown_counts AS count, reference AS before
            LIMIT 100
            """
        ),
        x="bin",
        description="Shares of the rows; of the newest baseline's bins, where a new one has changed them.",
    )


def _versions_over_time() -> Panel:
    return series(
        "Versions side by side (${metric})",
        series_sql(
            f"""
            SELECT window_start AS time, concat(version, ' ', variant) AS series, value AS performance
            FROM current_metrics
            WHERE {MODEL} AND segment = {SEGMENT} AND column = '' AND metric = ${{metric:sqlstring}}
                AND $__timeFilter(window_start)
            ORDER BY time, series
            """
        ),
        h=10,
        label="series",
        description="Every version of the model in every role.",
    )


def _versions() -> Panel:
    return table(
        "Versions side by side: all windows shown",
        table_sql(
            f"""
            SELECT
                version, variant,
                min(window_start) AS since, max(window_end) AS until,
                sumIf(n, metric = ${{metric:sqlstring}} AND column = '') AS labelled,
                sumIf(n * value, metric = ${{metric:sqlstring}} AND column = '' AND n > 0) / labelled AS performance,
                maxIf(value, metric = 'psi') AS psi_max,
                argMaxIf(column, value, metric = 'psi') AS psi_column,
                countIf(breached) AS breaches,
                avgIf(value, metric = 'label_coverage') AS label_coverage
            FROM current_metrics
            WHERE {MODEL} AND segment = {SEGMENT} AND $__timeFilter(window_start)
            GROUP BY version, variant
            ORDER BY since, version, variant
            """
        ),
        h=6,
        description="Performance is the chosen metric's mean over the windows, weighted by labelled rows.",
        overrides=[
            override("psi_max", decimals=3, thresholds=PSI_STEPS),
            override("label_coverage", unit="percentunit"),
            override("performance", decimals=4),
        ],
    )


def _estimates() -> Panel:
    return series(
        "Estimated without labels, measured, and the gap",
        series_sql(
            f"""
            SELECT window_start AS time, metric, value AS number
            FROM current_metrics
            WHERE {SLICE} AND column = ''
                AND metric IN ('accuracy', 'estimated_accuracy', 'accuracy_gap', 'mae', 'estimated_mae', 'mae_gap')
                AND isFinite(value)
            ORDER BY time, metric
            """
        ),
        label="metric",
        description="The estimate is there before the labels are. A gap that stays away from zero is concept drift: the same inputs, other outcomes.",
    )


def _calibration() -> Panel:
    return series(
        "Calibration error of the scores",
        series_sql(
            f"""
            SELECT window_start AS time, value AS calibration_error, lower, upper
            FROM current_metrics
            WHERE {SLICE} AND column = '' AND metric = 'calibration_error' AND isFinite(value)
            ORDER BY time
            """
        ),
        low=0,
        description="How far scores are from the rates that they promise, in ten bins, with its interval.",
        overrides=[
            override("lower", custom__lineWidth=0),
            override("upper", custom__fillBelowTo="lower", custom__lineWidth=0, custom__fillOpacity=15),
        ],
    )


def _fairness() -> Panel:
    return series(
        "Fairness between protected groups",
        series_sql(
            f"""
            SELECT window_start AS time, concat(column, ' ', metric) AS series, value AS difference
            FROM current_metrics
            WHERE {VERSION} AND segment = '' AND $__timeFilter(window_start) AND isFinite(value)
                AND metric IN ('demographic_parity_difference', 'demographic_parity_ratio',
                    'equal_opportunity_difference', 'equalised_odds_difference', 'predictive_parity_difference')
            ORDER BY time, series
            """
        ),
        label="series",
        description="Of the whole model. A difference of 0, and a ratio of 1, is equal treatment; windows whose groups have too few labelled rows have no value.",
    )


def _importance() -> Panel:
    return series(
        "Attributions against the baseline",
        series_sql(
            f"""
            SELECT window_start AS time, if(column = '', 'ranking (NDCG)', column) AS series, value AS ratio
            FROM current_metrics
            WHERE {SLICE} AND metric IN ('attribution_ndcg', 'importance_ratio') AND isFinite(value)
                AND (column = '' OR column IN
                (
                    SELECT column FROM current_metrics WHERE {SLICE} AND metric = 'importance_ratio'
                    GROUP BY column ORDER BY max(abs(log(greatest(value, 1e-9)))) DESC LIMIT 10
                ))
            ORDER BY time, series
            """
        ),
        label="series",
        low=0,
        description="Importance of a feature over that in the baseline, of the 10 that changed most; and how alike the ranking is (1 = the same).",
    )


def _breaches() -> Panel:
    return table(
        "Statistics past their bar",
        table_sql(
            f"""
            SELECT window_start, window_end, column, metric, n, value, lower, upper, threshold, revision
            FROM current_metrics
            WHERE {SLICE} AND breached
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
