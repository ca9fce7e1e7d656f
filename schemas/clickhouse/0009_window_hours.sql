-- Drift over long periods from the counts of whole hours: 60 times fewer rows than the minute windows that they add up.

-- The counts of all windows of an hour by the window's start, as `windows FINAL` had them: one row for each column and
-- baseline. Written by the judge with the revision of the hour in `rolled_hours`; a row of another revision is not to be
-- used.
CREATE TABLE IF NOT EXISTS window_hours
(
    model LowCardinality(String),
    version LowCardinality(String),
    variant LowCardinality(String),
    segment LowCardinality(String),
    column LowCardinality(String),
    hour DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    baseline LowCardinality(String),
    kind LowCardinality(String),
    role LowCardinality(String),
    edges Array(Float64) CODEC(ZSTD(1)),
    categories Array(LowCardinality(String)),
    counts Array(Int64) CODEC(T64, ZSTD(1)),
    reference_counts Array(Int64) CODEC(ZSTD(1)),
    windows UInt32 CODEC(T64, ZSTD(1)),
    revision UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(hour)
ORDER BY (model, version, variant, segment, column, hour, baseline);

-- Which hours of a model `window_hours` can be used for: those whose newest revision is odd. The judge writes an even one
-- before it stores a window of the hour, late ones too, and the next odd one once the hour has been added up since.
CREATE TABLE IF NOT EXISTS rolled_hours
(
    model LowCardinality(String),
    hour DateTime('UTC'),
    revision UInt64
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY (model, hour);

-- The counts of each column of one slice, added up over the windows that start in a period: of whole hours from their rows;
-- from the windows themselves of the hours that the period cuts, and of those that were not added up since they changed.
--   SELECT * FROM period_counts(model = 'm', version = '1', variant = 'champion', segment = '',
--       from_time = '2026-01-01', to_time = '2026-04-01')
CREATE OR REPLACE VIEW period_counts AS
WITH
    toDateTime64(intDiv(toUnixTimestamp64Milli({from_time:DateTime64(3, 'UTC')}) + 3599999, 3600000) * 3600, 3, 'UTC')
        AS hours_begin,
    toDateTime64(least(
        intDiv(toUnixTimestamp64Milli({to_time:DateTime64(3, 'UTC')}), 3600000),
        (SELECT ifNull(toInt64(intDiv(toUnixTimestamp(maxOrNull(hour)), 3600)) + 1, 0) FROM rolled_hours WHERE model = {model:String})
    ) * 3600, 3, 'UTC') AS hours_end
SELECT
    column,
    kind,
    role,
    baseline,
    anyIf(bin_edges, has_bins) AS edges,
    anyIf(bin_categories, has_bins) AS categories,
    anyIf(bin_references, has_bins) AS reference_counts,
    sumForEach(bin_counts) AS counts
FROM
(
    SELECT column, kind, role, baseline, counts AS bin_counts,
        false AS has_bins, [0.] AS bin_edges, [''] AS bin_categories, [0] AS bin_references
    FROM window_hours FINAL
    PREWHERE model = {model:String} AND version = {version:String}
        AND variant = {variant:String} AND segment = {segment:String}
        AND hour >= hours_begin AND hour < hours_end
    WHERE (hour, revision) IN
    (
        SELECT hour, max(revision) FROM rolled_hours WHERE model = {model:String}
        GROUP BY hour HAVING max(revision) % 2 = 1
    )
    UNION ALL
    SELECT column, kind, role, baseline, counts, false, [0.], [''], [0]
    FROM windows FINAL
    PREWHERE model = {model:String} AND version = {version:String}
        AND variant = {variant:String} AND segment = {segment:String}
        AND window_start >= {from_time:DateTime64(3, 'UTC')} AND window_start < {to_time:DateTime64(3, 'UTC')}
        AND (window_start < hours_begin OR window_start >= hours_end OR toStartOfHour(window_start) IN
        (
            SELECT hour FROM rolled_hours WHERE model = {model:String}
            GROUP BY hour HAVING max(revision) % 2 = 0
        ))
    UNION ALL
    SELECT column, kind, role, baseline, [], true, edges, categories, reference_counts
    FROM window_hours
    PREWHERE model = {model:String} AND version = {version:String}
        AND variant = {variant:String} AND segment = {segment:String}
    UNION ALL
    SELECT column, kind, role, baseline, [], true, edges, categories, reference_counts
    FROM windows
    PREWHERE model = {model:String} AND version = {version:String}
        AND variant = {variant:String} AND segment = {segment:String}
        AND window_start >= {from_time:DateTime64(3, 'UTC')} AND window_start < {to_time:DateTime64(3, 'UTC')}
        AND (window_start < hours_begin OR window_start >= hours_end OR toStartOfHour(window_start) IN
        (
            SELECT hour FROM rolled_hours WHERE model = {model:String}
            GROUP BY hour HAVING max(revision) % 2 = 0
        ))
        AND (column, baseline) NOT IN
        (
            SELECT column, baseline FROM window_hours
            WHERE model = {model:String} AND version = {version:String}
                AND variant = {variant:String} AND segment = {segment:String}
        )
)
GROUP BY column, kind, role, baseline
HAVING length(counts) > 0;

-- Drift of each column between the periods a and b of one slice:
--   SELECT * FROM drift_between(model = 'm', version = '1', variant = 'champion', segment = '',
--       from_a = '2026-01-01', to_a = '2026-01-08', from_b = '2026-01-08', to_b = '2026-01-15')
-- A period is [from, to): the windows that start in it; UTC, as text or as Unix seconds. psi: population stability index with
-- Jeffreys smoothing, in nats. js_divergence: Jensen-Shannon, base 2. Both are NaN where a side has no rows. A column whose
-- bins were changed by a new baseline has a row for each set of bins.
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
        SELECT column, kind, role, sumForEach(counts_a) AS sums_a, sumForEach(counts_b) AS sums_b
        FROM
        (
            SELECT column, kind, role, edges, categories, counts AS counts_a, arrayResize([0], length(counts), 0) AS counts_b
            FROM period_counts(model = {model:String}, version = {version:String}, variant = {variant:String},
                segment = {segment:String}, from_time = {from_a:DateTime64(3, 'UTC')}, to_time = {to_a:DateTime64(3, 'UTC')})
            UNION ALL
            SELECT column, kind, role, edges, categories, arrayResize([0], length(counts), 0) AS counts_a, counts AS counts_b
            FROM period_counts(model = {model:String}, version = {version:String}, variant = {variant:String},
                segment = {segment:String}, from_time = {from_b:DateTime64(3, 'UTC')}, to_time = {to_b:DateTime64(3, 'UTC')})
        )
        GROUP BY column, kind, role, edges, categories
    )
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
        compared(kind = 'numeric', reference_counts) AS a,
        compared(kind = 'numeric', counts) AS b
    FROM period_counts(model = {model:String}, version = {version:String}, variant = {variant:String},
        segment = {segment:String}, from_time = {from_time:DateTime64(3, 'UTC')}, to_time = {to_time:DateTime64(3, 'UTC')})
);

-- What was stored before there were hours is to be added up, like every hour that has changed.
INSERT INTO rolled_hours SELECT DISTINCT model, toStartOfHour(window_start), 0 FROM windows;
