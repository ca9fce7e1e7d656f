-- What dashboards and people read: the newest revision of each row, and drift between any two periods from stored counts.
-- A period is [from, to): the windows that start in it. Its bounds are UTC, as text or as Unix seconds.
CREATE OR REPLACE VIEW current_metrics AS
SELECT * FROM metrics FINAL;

-- bins, reference_bins: the counts in the bins that distances compare. The rows below and above a numeric column's range
-- join the outer bins; missing and unseen values are bins of their own.
CREATE OR REPLACE VIEW current_windows AS
WITH
    (all_counts) -> arrayConcat(
        arrayMap(
            (count, bin) -> count
                + if(bin = 1, all_counts[1], 0)
                + if(bin = length(all_counts) - 3, all_counts[-2], 0),
            arraySlice(all_counts, 2, length(all_counts) - 3),
            arrayEnumerate(arraySlice(all_counts, 2, length(all_counts) - 3))),
        [all_counts[-1]]) AS joined
SELECT
    *,
    if(kind = 'numeric', joined(counts), counts) AS bins,
    if(kind = 'numeric', joined(reference_counts), reference_counts) AS reference_bins
FROM windows FINAL;

-- Drift of each column between the periods a and b of one slice:
--   SELECT * FROM drift_between(model = 'm', version = '1', variant = 'champion', segment = '',
--       from_a = '2026-01-01', to_a = '2026-01-08', from_b = '2026-01-08', to_b = '2026-01-15')
-- psi: population stability index with Jeffreys smoothing, in nats. js_divergence: Jensen-Shannon, base 2. Both are NaN
-- where a side has no rows. A column whose bins were changed by a new baseline has a row for each set of bins.
CREATE OR REPLACE VIEW drift_between AS
SELECT
    column,
    kind,
    role,
    arraySum(a) AS rows_a,
    arraySum(b) AS rows_b,
    if(rows_a = 0 OR rows_b = 0, nan, arraySum(
        (x, y) -> ((y + 0.5) / (rows_b + length(b) / 2) - (x + 0.5) / (rows_a + length(a) / 2))
            * (log((y + 0.5) / (rows_b + length(b) / 2)) - log((x + 0.5) / (rows_a + length(a) / 2))),
        a, b)) AS psi,
    if(rows_a = 0 OR rows_b = 0, nan, least(1., greatest(0., arraySum(
        (x, y) -> if(x = 0, 0., 2 * x / rows_a * log2(2 * x / rows_a / (x / rows_a + y / rows_b)))
            + if(y = 0, 0., 2 * y / rows_b * log2(2 * y / rows_b / (x / rows_a + y / rows_b))),
        a, b) / 4))) AS js_divergence
FROM
(
    SELECT
        column,
        kind,
        role,
        sumForEach(arrayMap(count -> if(in_a, count, 0), bins)) AS a,
        sumForEach(arrayMap(count -> if(in_b, count, 0), bins)) AS b
    FROM
    (
        SELECT
            *,
            window_start >= {from_a:DateTime64(3, 'UTC')} AND window_start < {to_a:DateTime64(3, 'UTC')} AS in_a,
            window_start >= {from_b:DateTime64(3, 'UTC')} AND window_start < {to_b:DateTime64(3, 'UTC')} AS in_b
        FROM current_windows
        WHERE model = {model:String} AND version = {version:String}
            AND variant = {variant:String} AND segment = {segment:String}
    )
    WHERE in_a OR in_b
    GROUP BY column, kind, role, edges, categories
);

-- The same of one period against the baseline that its windows were held against; one row for each baseline.
CREATE OR REPLACE VIEW drift_from_baseline AS
SELECT
    column,
    kind,
    role,
    baseline,
    arraySum(a) AS reference_rows,
    arraySum(b) AS rows,
    if(reference_rows = 0 OR rows = 0, nan, arraySum(
        (x, y) -> ((y + 0.5) / (rows + length(b) / 2) - (x + 0.5) / (reference_rows + length(a) / 2))
            * (log((y + 0.5) / (rows + length(b) / 2)) - log((x + 0.5) / (reference_rows + length(a) / 2))),
        a, b)) AS psi,
    if(reference_rows = 0 OR rows = 0, nan, least(1., greatest(0., arraySum(
        (x, y) -> if(x = 0, 0., 2 * x / reference_rows * log2(2 * x / reference_rows / (x / reference_rows + y / rows)))
            + if(y = 0, 0., 2 * y / rows * log2(2 * y / rows / (x / reference_rows + y / rows))),
        a, b) / 4))) AS js_divergence
FROM
(
    SELECT column, kind, role, baseline, reference_bins AS a, sumForEach(bins) AS b
    FROM current_windows
    WHERE model = {model:String} AND version = {version:String}
        AND variant = {variant:String} AND segment = {segment:String}
        AND window_start >= {from_time:DateTime64(3, 'UTC')} AND window_start < {to_time:DateTime64(3, 'UTC')}
    GROUP BY column, kind, role, edges, categories, baseline, reference_bins
);
