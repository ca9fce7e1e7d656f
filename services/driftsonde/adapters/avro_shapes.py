"""The fields of a batch whose messages are alike but for their packed values, read by their places.

What an Avro reader does depends on the bytes outside of the packed values alone: names, lengths, categories. Where these
are those of an earlier message, byte for byte, the packed values lie where they did. fastavro says where that is: it
writes the fields with other values, and what differs are the values. It takes longer to read many short columns
than to fold them; their places are found at once.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from typing import Any

import fastavro
import numpy as np
import numpy.typing as npt

# What is kept is bounded by the number of shapes, and by the bytes of one outside of its values.
MAX_SHAPES = 64
MAX_FIXED_BYTES = 16_384
# A stream whose messages are never alike stops being learned after so many.
_TRIALS = 3

Record = Mapping[str, Any]

# Parts of a message, which are not copied out of it.
Bytes = bytes | memoryview


@dataclass(slots=True)
class Shape:
    """Fields as they were first read, of `size` bytes: `fixed` are the bytes at `places`, `spans` where each packed value
    is. `derived` is what a reader of records has made of them that holds for every message of the shape."""

    fields: Record
    size: int
    places: npt.NDArray[np.intp]
    fixed: bytes
    spans: tuple[slice, ...]
    derived: Any = None

    def fits(self, tail: Bytes) -> bool:
        """Whether these bytes differ from those of the shape in packed values alone."""
        return (
            len(tail) == self.size and np.frombuffer(tail, np.uint8).take(self.places).tobytes() == self.fixed
        )


@dataclass(frozen=True, slots=True)
class AlikeRecords(Sequence[Record]):
    """The records of an array, with their packed values, of a message of a known shape."""

    shape: Shape
    records: Sequence[Record]
    packed: Sequence[Bytes]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, place: Any) -> Any:
        return list(self)[place]

    def __iter__(self) -> Iterator[Record]:
        values = iter(self.packed)
        return (_with_values(record, values) for record in self.records)


@dataclass(slots=True)
class _Known:
    shape: Shape | None = None
    trials: int = _TRIALS


@dataclass(slots=True)
class Shapes:
    """Reads fields by `schema`, the last of which may be an array of records that have one packed value each."""

    schema: Any
    _known: dict[Hashable, _Known] = field(default_factory=dict)

    def read(self, tail: Bytes, stream: Hashable) -> Record | None:
        """The fields, if they are like those that were learned last of this stream and of this size."""
        known = self._known.get((stream, len(tail)))
        if known is None or known.shape is None or not known.shape.fits(tail):
            return None
        known.trials = _TRIALS
        return _read(known.shape, tail)

    def learn(self, tail: Bytes, stream: Hashable, fields: Record) -> None:
        """Remember what fastavro has read from these bytes."""
        if len(self._known) >= MAX_SHAPES:
            self._known.clear()
        known = self._known.setdefault((stream, len(tail)), _Known())
        if known.trials:
            known.trials -= 1
            known.shape = shape_of(self.schema, tail, fields)


def shape_of(schema: Any, tail: Bytes, fields: Record) -> Shape | None:
    """The shape of fields that were read from `tail`; None where fastavro would write them otherwise, or a value is
    empty."""
    low, high = (_written(schema, _filled(fields, byte)) for byte in (b"\x00", b"\xff"))
    is_fixed = low == high
    places = np.flatnonzero(is_fixed)
    fixed = low[places].tobytes()
    if len(low) != len(tail) or len(fixed) > MAX_FIXED_BYTES:
        return None
    bounds = np.flatnonzero(np.diff(is_fixed, prepend=True, append=True)).tolist()
    spans = tuple(slice(start, stop) for start, stop in list(pairwise(bounds))[::2])
    shape = Shape(fields, len(tail), places, fixed, spans)
    return shape if shape.fits(tail) and len(spans) == _packed_values(fields) else None


def _read(shape: Shape, tail: Bytes) -> Record:
    packed = [tail[span] for span in shape.spans]
    read = _with_values(shape.fields, iter(packed))
    for name, value in shape.fields.items():
        if isinstance(value, list):
            read[name] = AlikeRecords(shape, value, packed[len(packed) - len(value) :])
    return read


def _with_values(record: Record, values: Iterator[Bytes]) -> dict[str, Any]:
    return {name: next(values) if isinstance(value, bytes) else value for name, value in record.items()}


def _filled(record: Record, byte: bytes) -> dict[str, Any]:
    """The record with every byte of its packed values replaced."""
    filled: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, bytes):
            filled[name] = byte * len(value)
        elif isinstance(value, list):
            filled[name] = [_filled(item, byte) if isinstance(item, dict) else item for item in value]
        else:
            filled[name] = value
    return filled


def _packed_values(record: Record) -> int:
    return sum(
        isinstance(value, bytes) if not isinstance(value, list) else sum(map(_packed_in, value))
        for value in record.values()
    )


def _packed_in(item: Any) -> int:
    return _packed_values(item) if isinstance(item, dict) else 0


def _written(schema: Any, fields: Record) -> npt.NDArray[np.uint8]:
    body = BytesIO()
    fastavro.schemaless_writer(body, schema, fields)
    return np.frombuffer(body.getvalue(), np.uint8)
