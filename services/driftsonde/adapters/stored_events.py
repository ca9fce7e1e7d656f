"""Raw events by the ids of their predictions: which part of a table a query has to read."""

from collections.abc import Iterable, Iterator

from driftsonde.adapters.topics import LABELS, PREDICTIONS, Topic

# A field of a request is refused by ClickHouse if it is longer than 128 kB (http_max_field_value_size).
_FIELD_BYTES = 100_000
_IDS_PER_FIELD = 1_000
# What is read for an id grows less than the number of ids that are asked for at once.
_FIELDS = 20

# The ids of `id_portions`, as an array.
IDS = f"arrayConcat({', '.join(f'{{ids_{field}:Array(String)}}' for field in range(_FIELDS))})"


def id_portions(ids: Iterable[str]) -> Iterator[dict[str, object]]:
    """The parameters of each of the queries with `IDS` in it that all the ids take."""
    fields: list[list[str]] = []
    room = 0
    for prediction_id in ids:
        size = _written_bytes(prediction_id)
        if size > room or len(fields[-1]) == _IDS_PER_FIELD:
            fields.append([])
            room = _FIELD_BYTES
        fields[-1].append(prediction_id)
        room -= size
    for first in range(0, len(fields), _FIELDS):
        portion = fields[first : first + _FIELDS]
        yield {f"ids_{field}": portion[field] if field < len(portion) else [] for field in range(_FIELDS)}


def _written_bytes(prediction_id: str) -> int:
    """At most, with quotes and a comma: letters, digits and hyphens are written as they are, others may be escaped twice."""
    plain = len(prediction_id.encode())
    return 4 + (plain if prediction_id.replace("-", "").isalnum() else 4 * plain)


def _in_places_of_ids(topic: Topic) -> str:
    return f"""source_topic = '{topic.name}' AND (toStartOfHour(timestamp), source_partition, source_offset) IN (
    SELECT hour, source_partition, source_offset FROM event_places
    WHERE source_topic = '{topic.name}' AND id_hash IN (SELECT cityHash64(arrayJoin({IDS})))
)"""


# Conditions for queries of the tables `predictions` and `labels`, beside the one that the id is one of `IDS`: the key of the
# messages that these ids are in. They leave little to be read, however much is stored.
IN_PREDICTIONS_OF_IDS = _in_places_of_ids(PREDICTIONS)
IN_LABELS_OF_IDS = _in_places_of_ids(LABELS)
