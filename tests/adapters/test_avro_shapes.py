"""Fields that are read by their places are what fastavro reads, or are left to it."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.adapters.avro import Codec, load_schema
from driftsonde.adapters.avro_ids import ids_reader
from driftsonde.adapters.avro_shapes import AlikeRecords, Shapes
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.events import (
    CategoricalColumn,
    Column,
    InvalidEvent,
    NumericColumn,
    PredictionBatch,
    Role,
    Variant,
)
from strategies import columns, identifiers

ROWS = 40
TIMES = np.arange(ROWS, dtype=np.int64)
IDS = tuple(f"{row:04}" for row in range(ROWS))


def fields_schema() -> Any:
    reader = ids_reader(load_schema("PredictionBatch").text)
    assert reader is not None
    return reader.after


SCHEMA = fields_schema()


def batch_of(*parts: Column) -> PredictionBatch:
    return PredictionBatch("m", "1", Variant.CHAMPION, IDS, TIMES, parts)


def tail_of(*parts: Column) -> bytes:
    """What follows the ids in the message of these columns."""
    return (
        Codec(EVENT_TYPES)
        .encode(batch_of(*parts))
        .partition("".join(f"\x08{i}" for i in IDS).encode())[2][1:]
    )


def read_plainly(tail: bytes) -> Any:
    stream = BytesIO(tail)
    fields: Any = fastavro.schemaless_reader(stream, SCHEMA, None)
    assert stream.tell() == len(tail)
    return fields


def learned(tail: bytes) -> Shapes:
    shapes = Shapes(SCHEMA)
    shapes.learn(tail, "a stream", read_plainly(tail))
    return shapes


def plain(fields: Any) -> Any:
    return {**fields, "columns": list(fields["columns"])}


@st.composite
def alike(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """The fields of two messages that have other values."""
    names = draw(st.lists(identifiers(), min_size=1, max_size=4, unique=True))
    roles = [draw(st.sampled_from(Role)) for _ in names]
    first = [draw(columns(ROWS, name, role)) for name, role in zip(names, roles, strict=True)]
    noise = draw(st.binary(min_size=8, max_size=8))
    second = [
        replace(column, values=np.frombuffer(noise * ROWS, np.float64))
        if isinstance(column, NumericColumn)
        else replace(column, codes=np.frombuffer(noise * (ROWS // 2), np.int32))
        for column in first
    ]
    return tail_of(*first), tail_of(*second)


@given(alike())
def test_the_fields_of_a_message_like_another_are_those_that_fastavro_reads(
    tails: tuple[bytes, bytes],
) -> None:
    first, second = tails
    fields = learned(first).read(second, "a stream")
    assert fields is not None
    assert isinstance(fields["columns"], AlikeRecords)
    assert repr(plain(fields)) == repr(read_plainly(second))


@given(alike(), st.data())
def test_a_message_that_is_not_like_it_is_left_to_fastavro(
    tails: tuple[bytes, bytes], data: st.DataObject
) -> None:
    first, second = tails
    changed = bytearray(second)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    fields = learned(first).read(bytes(changed), "a stream")
    if fields is not None:
        assert repr(plain(fields)) == repr(read_plainly(bytes(changed)))


def test_other_sizes_streams_and_ways_of_writing_are_left_to_fastavro() -> None:
    tail = tail_of(NumericColumn("x", Role.FEATURE, np.zeros(ROWS)))
    shapes = learned(tail)
    assert shapes.read(tail, "a stream") is not None
    assert shapes.read(tail + b"\0", "a stream") is None
    assert shapes.read(tail, "another") is None
    # An array whose block tells its size, as Avro for Java writes it: the count is negative, the size follows.
    start = tail.index(b"\x02\x00\x02x")
    block = tail[start + 1 : -1]
    sized = bytearray()
    fastavro.schemaless_writer(out := BytesIO(), "long", len(block))
    sized += tail[:start] + b"\x01" + out.getvalue() + block + b"\0"
    assert read_plainly(bytes(sized)) == read_plainly(tail)
    assert learned(bytes(sized)).read(bytes(sized), "a stream") is None


def test_a_stream_whose_messages_are_never_alike_is_not_learned_for_ever() -> None:
    shapes = Shapes(SCHEMA)
    tails = [tail_of(NumericColumn(chr(97 + n), Role.FEATURE, np.zeros(ROWS))) for n in range(6)]
    for tail in tails:
        assert shapes.read(tail, "a stream") is None
        shapes.learn(tail, "a stream", read_plainly(tail))
    assert [shapes.read(tail, "a stream") is not None for tail in tails] == [n == 2 for n in range(6)]


def test_every_message_of_a_shape_is_validated() -> None:
    codec = Codec(EVENT_TYPES)
    codes = np.zeros(ROWS, dtype=np.int32)
    valid = batch_of(CategoricalColumn("c", Role.FEATURE, codes, ("a", "b")))
    for event, problem in (
        (valid, None),
        (batch_of(CategoricalColumn("c", Role.FEATURE, codes + 1, ("a", "b"))), None),
        (batch_of(CategoricalColumn("c", Role.FEATURE, codes + 2, ("a", "b"))), "a code is outside"),
        (replace(valid, timestamps_ms=TIMES - 1), "outside 1970"),
        (replace(valid, ids=IDS[1:]), "40 entries for 39 ids"),
        (batch_of(CategoricalColumn("c", Role.FEATURE, codes, ("a", "a"))), "listed twice"),
        (batch_of(CategoricalColumn("c", Role.FEATURE, codes, ("a", "a"))), "listed twice"),
    ):
        if problem is None:
            assert repr(codec.decode(codec.encode(event))) == repr(event)
        else:
            with pytest.raises(InvalidEvent, match=problem):
                codec.decode(codec.encode(event))
