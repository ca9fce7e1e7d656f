"""One version of one model beside something: its baseline, the time before, its other versions, an estimate, its groups."""

from blocks import Panel, bars, override, series, series_sql, table, table_sql
from slices import FROM, MODEL, PSI_STEPS, SEGMENT, SLICE, TO, VERSION, VIEW_SLICE, WINDOW


def from_baseline() -> Panel:
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


def against_before() -> Panel:
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


def distribution() -> Panel:
    return bars(
        "Distribution of ${column}: ${window}, and the baseline",
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
                WHERE {WINDOW} AND column = ${{column:sqlstring}}
                GROUP BY kind, edges, categories
                ORDER BY max(window_end) DESC
                LIMIT 1
            )
            ARRAY JOIN names AS bin, shown_counts AS count, reference AS before
            LIMIT 100
            """
        ),
        x="bin",
        description="Shares of the rows of the window that is chosen above; of the newest baseline's bins, where a new one has changed them.",
    )


def versions_over_time() -> Panel:
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


def versions() -> Panel:
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


def estimates() -> Panel:
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


def calibration() -> Panel:
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


def fairness() -> Panel:
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


def importance() -> Panel:
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
