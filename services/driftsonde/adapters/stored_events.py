"""Raw events by the ids of their predictions: which part of a table a query has to read."""

from collections.abc import Sequence

from driftsonde.adapters.topics import LABELS, PREDICTIONS, Topic

# A field of a request is refused by ClickHouse if it is longer than 128 kB: so many ids make one.
_IDS_PER_FIELD = 1_000
_FIELDS = 20

# What is read for an id grows less than the number of ids that are asked for at once.
IDS_PER_QUERY = _IDS_PER_FIELD * _FIELDS

# The ids of `id_parameters`, as an array.
IDS = f"arrayConcat({', '.join(f'{{ids_{field}:Array(String)}}' for field in range(_FIELDS))})"


def id_parameters(ids: Sequence[str]) -> dict[str, object]:
    """The parameters of a query with `IDS` in it; at most `IDS_PER_QUERY`."""
    return {
        f"ids_{field}": list(ids[field * _IDS_PER_FIELD : (field + 1) * _IDS_PER_FIELD])
        for field in range(_FIELDS)
    }


def _in_places_of_ids(topic: Topic) -> str:
    return f"""source_topic = '{topic.name}' AND (toStartOfHour(timestamp), source_partition, source_offset) IN (
    SELECT hour, source_partition, source_offset FROM event_places
    WHERE source_topic = '{topic.name}' AND id_hash IN (SELECT cityHash64(arrayJoin({IDS})))
)"""


# Conditions for queries of the tables `predictions` and `labels`, beside the one that the id is one of `IDS`: the key of the
# messages that these ids are in. They leave little to be read, however much is stored.
IN_PREDICTIONS_OF_IDS = _in_places_of_ids(PREDICTIONS)
IN_LABELS_OF_IDS = _in_places_of_ids(LABELS)
