-- What the sketcher needs to go on exactly as it would have without a restart.

-- gate_ms: the event time of predictions that the labels below the position were joined at. chunk_messages: the size of the
-- chunks that were folded, 0 where that is not known; it must not change. recent_messages: 64-bit digests of the newest
-- messages of predictions below the position, the oldest first.
ALTER TABLE positions ADD COLUMN IF NOT EXISTS gate_ms Int64 DEFAULT -1;

ALTER TABLE positions ADD COLUMN IF NOT EXISTS chunk_messages UInt32 DEFAULT 0;

ALTER TABLE positions ADD COLUMN IF NOT EXISTS recent_messages Array(UInt64) DEFAULT [];

-- Before offset `position` the event time of a partition of predictions first came to the second that begins at time_ms.
CREATE TABLE IF NOT EXISTS event_times
(
    topic LowCardinality(String),
    partition UInt32,
    position UInt64,
    time_ms Int64
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, position);

-- Labels without a prediction, by id: the newest row of an id below a position of `labels` says whether one waited there.
-- label is the number of the class, or the value of a regression.
CREATE TABLE IF NOT EXISTS unmatched_labels
(
    topic LowCardinality(String),
    partition UInt32,
    position UInt64,
    model LowCardinality(String),
    prediction_id String,
    waiting Bool,
    label Float64,
    time_ms Int64,
    expires_ms Int64
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, model, prediction_id, position);
