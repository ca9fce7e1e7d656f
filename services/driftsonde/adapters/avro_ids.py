"""The ids of a batch, read by runs of one length.

fastavro reads an array of strings one by one, which takes longer than all other columns of a batch together. Ids mostly
are of one length: a run of them is split at once. What has many lengths is left to fastavro. So the fields after the ids
lie apart, which are mostly like those of the message before: see `avro_shapes`.
"""

import json
from collections.abc import Hashable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro
import numpy as np

from driftsonde.adapters.avro_shapes import Record, Shapes

# Shorter arrays are not worth it; longer ones are as long as a run has so many ids on average.
_IDS_PER_RUN = 32
_STRINGS = {"type": "array", "items": "string"}


@dataclass(frozen=True, slots=True)
class IdsReader:
    """`before` and `after` are the schemas of the fields before and after the array `name`. `shapes`: of those after,
    where they end in an array."""

    before: Any
    name: str
    after: Any
    shapes: Shapes | None

    def read(self, payload: bytes, stream: BytesIO) -> dict[str, Any] | None:
        """The record that begins where `stream`, on `payload`, stands; None where the ids have to be read one by one.
        Raises what fastavro raises for malformed fields."""
        before: Any = fastavro.schemaless_reader(stream, self.before, None)
        found = read_runs(payload, stream.tell())
        if found is None:
            return None
        ids, end = found
        stream.seek(end)
        return {**before, self.name: ids, **self._read_after(tuple(before.values()), payload, stream)}

    def _read_after(self, of: Hashable, payload: bytes, stream: BytesIO) -> Record:
        """The fields after the ids; those before are `of`."""
        if self.shapes is None:
            return fastavro.schemaless_reader(stream, self.after, None)  # type: ignore[return-value]
        tail = memoryview(payload)[stream.tell() :]
        known = self.shapes.read(tail, of)
        if known is not None:
            stream.seek(len(payload))
            return known
        after: Any = fastavro.schemaless_reader(stream, self.after, None)
        if stream.tell() == len(payload):
            self.shapes.learn(tail, of, after)
        return after  # type: ignore[no-any-return]


def ids_reader(schema: str) -> IdsReader | None:
    """The reader for a schema that has an array of strings between other fields."""
    record = json.loads(schema)
    fields = record.get("fields", [])
    for place, field in enumerate(fields):
        if field["type"] == _STRINGS:
            before, after = (
                fastavro.parse_schema({**record, "fields": part})
                for part in (fields[:place], fields[place + 1 :])
            )
            is_array = bool(fields[place + 1 :]) and _is_array(fields[-1]["type"])
            return IdsReader(before, field["name"], after, Shapes(after) if is_array else None)
    return None


def _is_array(field_type: Any) -> bool:
    return isinstance(field_type, dict) and field_type.get("type") == "array"


def read_runs(payload: bytes, place: int) -> tuple[list[str], int] | None:
    """Strings of an array in one block that begins at `place`, and where the array ends; None if there are too few of
    them, or too many lengths, or if anything is wrong: whoever reads them one by one says what.

    >>> read_runs(bytes([128, 1]) + b"\\x04ab" * 64 + b"\\x00", 0)[1]
    195
    """
    count, place = _read_count(payload, place)
    left, runs = count, count // _IDS_PER_RUN
    strings: list[str] = []
    while left and runs:
        run = _read_run(payload, place, left)
        if run is None:
            return None
        strings += run
        left -= len(run)
        place += len(run) * (len(run[0]) + 1)
        runs -= 1
    return (strings, place + 1) if count and not left and payload[place : place + 1] == b"\0" else None


def _read_count(payload: bytes, place: int) -> tuple[int, int]:
    """A number of at most three bytes that is not negative, and what follows it; else 0."""
    number = 0
    for shift, byte in enumerate(payload[place : place + 3]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return (0 if number & 1 else number >> 1), place + shift + 1
    return 0, place


def _read_run(payload: bytes, place: int, most: int) -> list[str] | None:
    """The strings that follow as long as they have one length, 1 to 63 characters of ASCII."""
    marker = payload[place : place + 1]
    if not marker or marker[0] & 1 or not 0 < marker[0] < 128:
        return None
    width = marker[0] // 2 + 1
    most = min(most, (len(payload) - place) // width)
    same = np.frombuffer(payload, np.uint8, most * width, place)[::width] == marker[0]
    rows = most if same.all() else int(same.argmin())
    block = payload[place : place + rows * width]
    if not rows or not block.isascii():
        return None
    text = block.decode("ascii")
    if block.count(marker) == rows:
        return text[1:].split(text[0])
    return [text[start + 1 : start + width] for start in range(0, len(text), width)]
