-- Drift over long periods of many small windows. Codecs as measured (`python -m bench queries`): counts are small, so their
-- high bits are cut off in blocks (T64); times grow by equal steps. What is stored already changes with its next merge.
ALTER TABLE windows
    MODIFY COLUMN window_start DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN window_end DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN edges Array(Float64) CODEC(ZSTD(1)),
    MODIFY COLUMN counts Array(Int64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN reference_counts Array(Int64) CODEC(ZSTD(1)),
    MODIFY COLUMN total Float64 CODEC(ZSTD(1)),
    MODIFY COLUMN total_squares Float64 CODEC(ZSTD(1)),
    MODIFY COLUMN minimum Float64 CODEC(ZSTD(1)),
    MODIFY COLUMN maximum Float64 CODEC(ZSTD(1)),
    MODIFY COLUMN revision UInt64 CODEC(T64, ZSTD(1));

ALTER TABLE metrics
    MODIFY COLUMN window_start DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN window_end DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN n UInt64 CODEC(T64, ZSTD(1)),
    MODIFY COLUMN value Float64 CODEC(ZSTD(1)),
    MODIFY COLUMN lower Float64 CODEC(ZSTD(1)),
    MODIFY COLUMN upper Float64 CODEC(ZSTD(1)),
    MODIFY COLUMN threshold Float64 CODEC(ZSTD(1)),
    MODIFY COLUMN revision UInt64 CODEC(T64, ZSTD(1));

ALTER TABLE metrics_as_judged
    MODIFY COLUMN window_start DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN window_end DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN n UInt64 CODEC(T64, ZSTD(1)),
    MODIFY COLUMN value Float64 CODEC(ZSTD(1)),
    MODIFY COLUMN lower Float64 CODEC(ZSTD(1)),
    MODIFY COLUMN upper Float64 CODEC(ZSTD(1)),
    MODIFY COLUMN threshold Float64 CODEC(ZSTD(1)),
    MODIFY COLUMN revision UInt64 CODEC(T64, ZSTD(1));

-- As before (0002), but the counts are added up first, over the windows of one baseline, whose bins are the same; only
-- then are the outer bins joined: once a column, not once a window.
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
    WITH
        (is_numeric, all_counts) -> if(is_numeric, arrayConcat(
            arrayMap(
                (count, bin) -> count
                    + if(bin = 1, all_counts[1], 0)
                    + if(bin = length(all_counts) - 3, all_counts[-2], 0),
                arraySlice(all_counts, 2, length(all_counts) - 3),
                arrayEnumerate(arraySlice(all_counts, 2, length(all_counts) - 3))),
            [all_counts[-1]]), all_counts) AS compared
    SELECT column, kind, role, compared(kind = 'numeric', sums_a) AS a, compared(kind = 'numeric', sums_b) AS b
    FROM
    (
        SELECT
            column,
            kind,
            role,
            sumForEach(arrayResize(counts_a, bin_count, 0)) AS sums_a,
            sumForEach(arrayResize(counts_b, bin_count, 0)) AS sums_b
        FROM
        (
            SELECT
                column,
                kind,
                role,
                any(edges) AS bin_edges,
                any(categories) AS bin_categories,
                any(length(counts)) AS bin_count,
                sumForEachIf(counts,
                    window_start >= {from_a:DateTime64(3, 'UTC')} AND window_start < {to_a:DateTime64(3, 'UTC')}) AS counts_a,
                sumForEachIf(counts,
                    window_start >= {from_b:DateTime64(3, 'UTC')} AND window_start < {to_b:DateTime64(3, 'UTC')}) AS counts_b
            FROM windows FINAL
            WHERE model = {model:String} AND version = {version:String}
                AND variant = {variant:String} AND segment = {segment:String}
                AND ((window_start >= {from_a:DateTime64(3, 'UTC')} AND window_start < {to_a:DateTime64(3, 'UTC')})
                    OR (window_start >= {from_b:DateTime64(3, 'UTC')} AND window_start < {to_b:DateTime64(3, 'UTC')}))
            GROUP BY column, kind, role, baseline
        )
        GROUP BY column, kind, role, bin_edges, bin_categories
    )
);

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
    WITH
        (is_numeric, all_counts) -> if(is_numeric, arrayConcat(
            arrayMap(
                (count, bin) -> count
                    + if(bin = 1, all_counts[1], 0)
                    + if(bin = length(all_counts) - 3, all_counts[-2], 0),
                arraySlice(all_counts, 2, length(all_counts) - 3),
                arrayEnumerate(arraySlice(all_counts, 2, length(all_counts) - 3))),
            [all_counts[-1]]), all_counts) AS compared
    SELECT
        column,
        kind,
        role,
        baseline,
        compared(kind = 'numeric', reference_sums) AS a,
        compared(kind = 'numeric', sums) AS b
    FROM
    (
        SELECT column, kind, role, baseline, any(reference_counts) AS reference_sums, sumForEach(counts) AS sums
        FROM windows FINAL
        WHERE model = {model:String} AND version = {version:String}
            AND variant = {variant:String} AND segment = {segment:String}
            AND window_start >= {from_time:DateTime64(3, 'UTC')} AND window_start < {to_time:DateTime64(3, 'UTC')}
        GROUP BY column, kind, role, baseline
    )
);
