"""Raw events by the ids of their predictions: which part of a table a query has to read."""

from driftsonde.adapters.topics import LABELS, PREDICTIONS, Topic


def _in_places_of_ids(topic: Topic) -> str:
    return f"""source_topic = '{topic.name}' AND (toStartOfHour(timestamp), source_partition, source_offset) IN (
    SELECT hour, source_partition, source_offset FROM event_places
    WHERE id_hash IN (SELECT cityHash64('{topic.name}', arrayJoin({{ids:Array(String)}})))
)"""


# Conditions for queries of the tables `predictions` and `labels`, beside the one that the id is one of `ids`: the key of the
# messages that these ids are in. They leave little to be read, however much is stored.
IN_PREDICTIONS_OF_IDS = _in_places_of_ids(PREDICTIONS)
IN_LABELS_OF_IDS = _in_places_of_ids(LABELS)
