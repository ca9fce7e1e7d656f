-- Raw events: the audit trail. A row is identified by where it came from, so an insert that is repeated changes nothing.
CREATE TABLE IF NOT EXISTS predictions
(
    model LowCardinality(String),
    version LowCardinality(String),
    variant LowCardinality(String),
    prediction_id String,
    timestamp DateTime64(3, 'UTC'),
    numeric_names Array(LowCardinality(String)),
    numeric_values Array(Float64),
    categorical_names Array(LowCardinality(String)),
    categorical_values Array(LowCardinality(String)),
    source_topic LowCardinality(String),
    source_partition UInt32,
    source_offset UInt64,
    source_row UInt32,
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX prediction_id_filter prediction_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (model, toStartOfHour(timestamp), source_topic, source_partition, source_offset, source_row);

-- A label is text for a classification and a number for a regression; the other column holds '' or NaN.
CREATE TABLE IF NOT EXISTS labels
(
    model LowCardinality(String),
    prediction_id String,
    timestamp DateTime64(3, 'UTC'),
    label_text LowCardinality(String),
    label_number Float64,
    source_topic LowCardinality(String),
    source_partition UInt32,
    source_offset UInt64,
    source_row UInt32,
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX prediction_id_filter prediction_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (model, toStartOfHour(timestamp), source_topic, source_partition, source_offset, source_row);

CREATE TABLE IF NOT EXISTS features
(
    view LowCardinality(String),
    version LowCardinality(String),
    online Bool,
    entity_id String,
    timestamp DateTime64(3, 'UTC'),
    numeric_names Array(LowCardinality(String)),
    numeric_values Array(Float64),
    categorical_names Array(LowCardinality(String)),
    categorical_values Array(LowCardinality(String)),
    source_topic LowCardinality(String),
    source_partition UInt32,
    source_offset UInt64,
    source_row UInt32,
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (view, toStartOfHour(timestamp), source_topic, source_partition, source_offset, source_row);

-- The counts of a column in a window: what every statistic is computed from, for any period, version and segment.
-- revision 0 is the window as first judged; a higher one has late rows and labels in it: the newest is kept.
-- kind: numeric (counts = below, bins, above, missing; edges = the bins' borders), categorical (counts = categories,
-- unseen, missing).
CREATE TABLE IF NOT EXISTS windows
(
    model LowCardinality(String),
    version LowCardinality(String),
    variant LowCardinality(String),
    segment LowCardinality(String),
    column LowCardinality(String),
    window_start DateTime64(3, 'UTC'),
    window_end DateTime64(3, 'UTC'),
    kind LowCardinality(String),
    role LowCardinality(String),
    edges Array(Float64),
    categories Array(LowCardinality(String)),
    counts Array(Int64),
    reference_counts Array(Int64),
    total Float64,
    total_squares Float64,
    minimum Float64,
    maximum Float64,
    baseline LowCardinality(String),
    revision UInt64
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(window_start)
ORDER BY (model, version, variant, segment, column, window_start, window_end);

-- What the performance of a window is computed from. classes and confusion (row by row: labels; columns: predictions; the
-- last of each for other values) of a classification; scores with their rows by label of a binary task; sums by name.
CREATE TABLE IF NOT EXISTS outcomes
(
    model LowCardinality(String),
    version LowCardinality(String),
    variant LowCardinality(String),
    segment LowCardinality(String),
    window_start DateTime64(3, 'UTC'),
    window_end DateTime64(3, 'UTC'),
    labelled UInt64,
    delay_ms Int64,
    classes Array(LowCardinality(String)),
    confusion Array(Int64),
    scores Array(Float64),
    negatives Array(Int64),
    positives Array(Int64),
    sum_names Array(LowCardinality(String)),
    sums Array(Float64),
    revision UInt64
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(window_start)
ORDER BY (model, version, variant, segment, window_start, window_end);

-- One row per window and metric. `column` is '' for the target's metrics, `segment` '' for the whole model; lower, upper
-- and threshold are NaN where there is none.
CREATE TABLE IF NOT EXISTS metrics
(
    model LowCardinality(String),
    version LowCardinality(String),
    variant LowCardinality(String),
    segment LowCardinality(String),
    column LowCardinality(String),
    metric LowCardinality(String),
    window_start DateTime64(3, 'UTC'),
    window_end DateTime64(3, 'UTC'),
    n UInt64,
    value Float64,
    lower Float64,
    upper Float64,
    threshold Float64,
    breached Bool,
    revision UInt64
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(window_start)
ORDER BY (model, version, variant, segment, column, metric, window_start, window_end);

-- The same numbers as they were when the window was judged: "as known then". Written once per window.
CREATE TABLE IF NOT EXISTS metrics_as_judged AS metrics
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(window_start)
ORDER BY (model, version, variant, segment, column, metric, window_start, window_end);

-- The judge's state of a window: merged sketches, and per source partition the last chunk folded in.
CREATE TABLE IF NOT EXISTS window_states
(
    model LowCardinality(String),
    version LowCardinality(String),
    variant LowCardinality(String),
    segment LowCardinality(String),
    window_start DateTime64(3, 'UTC'),
    sequence UInt64,
    state String CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree(sequence)
PARTITION BY toYYYYMM(window_start)
ORDER BY (model, version, variant, segment, window_start);

-- The judge's long-lived state of a model: episodes, evidence processes, how far it has judged.
CREATE TABLE IF NOT EXISTS model_states
(
    model LowCardinality(String),
    sequence UInt64,
    state String CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree(sequence)
ORDER BY model;

CREATE TABLE IF NOT EXISTS signals
(
    id String,
    kind LowCardinality(String),
    rule LowCardinality(String),
    model LowCardinality(String),
    version LowCardinality(String),
    variant LowCardinality(String),
    segment LowCardinality(String),
    window_start DateTime64(3, 'UTC'),
    window_end DateTime64(3, 'UTC'),
    since DateTime64(3, 'UTC'),
    episode String,
    summary String,
    evidence String,
    baseline LowCardinality(String),
    policy LowCardinality(String),
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (model, window_end, id);

-- What the controller decided and did; `detail` is JSON. One row per step of a decision.
CREATE TABLE IF NOT EXISTS decisions
(
    id String,
    step LowCardinality(String),
    kind LowCardinality(String),
    model LowCardinality(String),
    version LowCardinality(String),
    incident String,
    signal String,
    mode LowCardinality(String),
    actor String,
    policy LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    detail String
)
ENGINE = ReplacingMergeTree
ORDER BY (model, timestamp, id, step);

CREATE TABLE IF NOT EXISTS dead_letters
(
    source_topic LowCardinality(String),
    source_partition UInt32,
    source_offset UInt64,
    service LowCardinality(String),
    reason LowCardinality(String),
    message String,
    payload String,
    timestamp DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (source_topic, source_partition, source_offset, service);

-- How far a service has come in a partition, stored after the results that it speaks of: where it starts again, whatever
-- the consumer group's committed offset says. event_time_ms is the partition's event time at that position, -1 for none.
CREATE TABLE IF NOT EXISTS positions
(
    service LowCardinality(String),
    topic LowCardinality(String),
    partition UInt32,
    position UInt64,
    event_time_ms Int64
)
ENGINE = ReplacingMergeTree(position)
ORDER BY (service, topic, partition);
