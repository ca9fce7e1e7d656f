"""Raw events by the ids of their predictions: which part of a table a query has to read."""

# A condition for queries of `predictions` and `labels`, beside the one that the id is one of `ids`: the key of the
# messages that these ids are in. It leaves little to be read, however much is stored.
IN_PLACES_OF_IDS = """(model, toStartOfHour(timestamp), source_topic, source_partition, source_offset) IN (
    SELECT model, hour, source_topic, source_partition, source_offset FROM event_places
    WHERE id_hash IN (SELECT cityHash64(arrayJoin({ids:Array(String)})))
)"""
