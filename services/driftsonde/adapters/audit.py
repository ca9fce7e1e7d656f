"""The links of the audit log, as the topic `decisions` and its archive in ClickHouse have them."""

from collections.abc import Iterable, Iterator

from driftsonde.adapters.avro import Codec, RecordType, SchemaRegistry, Undecodable
from driftsonde.adapters.clickhouse import Store
from driftsonde.core.control.chain import Link, link_of
from driftsonde.core.events import InvalidEvent

_RECORD = RecordType("Decision", Link, None, link_of)
_ARCHIVED = """
SELECT id, step, kind, model, version, incident, signal, mode, actor, policy,
       toUnixTimestamp64Milli(timestamp) AS timestamp_ms, detail, sequence, previous, hash
FROM decisions FINAL
"""
_COLUMNS = (
    *("id", "step", "kind", "model", "version", "incident", "signal", "mode", "actor", "policy"),
    *("timestamp_ms", "detail", "sequence", "previous", "hash"),
)


class UnreadableLink(Exception):
    """A message of the topic that is no decision: somebody else wrote there."""


def links_of_topic(payloads: Iterable[bytes], registry: SchemaRegistry | None) -> Iterator[Link]:
    """Raises `UnreadableLink` and `RegistryUnavailable`."""
    codec = Codec((_RECORD,), registry)
    for number, payload in enumerate(payloads, start=1):
        try:
            link = codec.decode(payload)
        except (Undecodable, InvalidEvent) as error:
            raise UnreadableLink(f"message {number} of the topic can't be read: {error}") from error
        assert isinstance(link, Link), "the only type of the codec"
        yield link


def links_of_archive(store: Store) -> Iterator[Link]:
    """Raises what `Store.query_rows` raises."""
    for row in store.query_rows(_ARCHIVED):
        yield link_of(dict(zip(_COLUMNS, row, strict=True)))
