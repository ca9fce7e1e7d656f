-- Where the rows of an id are: predictions and labels are ordered by time, and to look for thousands of ids there would read
-- all of them.

-- id_hash is cityHash64 of a prediction's id; the rest is of the key of `predictions` and `labels`. Ids that are asked
-- for lie anywhere in the order of hashes, so what is read for each of them is kept small.
CREATE TABLE IF NOT EXISTS event_places
(
    source_topic LowCardinality(String),
    id_hash UInt64,
    hour DateTime('UTC'),
    source_partition UInt32,
    source_offset UInt64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(hour)
PRIMARY KEY (source_topic, id_hash)
ORDER BY (source_topic, id_hash, hour, source_partition, source_offset)
SETTINGS index_granularity = 256, min_compress_block_size = 4096;

-- A place that is told twice is the same row.
CREATE MATERIALIZED VIEW IF NOT EXISTS prediction_places TO event_places AS
SELECT
    source_topic,
    cityHash64(prediction_id) AS id_hash,
    toStartOfHour(timestamp) AS hour,
    source_partition,
    source_offset
FROM predictions;

CREATE MATERIALIZED VIEW IF NOT EXISTS label_places TO event_places AS
SELECT
    source_topic,
    cityHash64(prediction_id) AS id_hash,
    toStartOfHour(timestamp) AS hour,
    source_partition,
    source_offset
FROM labels;

INSERT INTO event_places (source_topic, id_hash, hour, source_partition, source_offset)
SELECT source_topic, cityHash64(prediction_id), toStartOfHour(timestamp), source_partition, source_offset
FROM predictions
SETTINGS max_partitions_per_insert_block = 0;

INSERT INTO event_places (source_topic, id_hash, hour, source_partition, source_offset)
SELECT source_topic, cityHash64(prediction_id), toStartOfHour(timestamp), source_partition, source_offset
FROM labels
SETTINGS max_partitions_per_insert_block = 0;

-- For more than a few ids these found something in every part of the tables.
ALTER TABLE predictions DROP INDEX IF EXISTS prediction_id_filter;

ALTER TABLE labels DROP INDEX IF EXISTS prediction_id_filter;
