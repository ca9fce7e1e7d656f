"""Ids read by runs are what fastavro reads one by one, or are left to it."""

from io import BytesIO
from typing import Any

import fastavro
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.adapters.avro import Codec, load_schema
from driftsonde.adapters.avro_ids import ids_reader
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.events import PredictionBatch, Variant
from stream_examples import numeric

SCHEMA = load_schema("PredictionBatch")
FRAME_BYTES = 10


def body_of(ids: list[str]) -> bytes:
    times = np.arange(len(ids), dtype=np.int64)
    batch = PredictionBatch("m", "1", Variant.CHAMPION, tuple(ids), times, (numeric("x", [0.5] * len(ids)),))
    return Codec(EVENT_TYPES).encode(batch)[FRAME_BYTES:]


def read_plainly(body: bytes) -> tuple[Any, int] | type[Exception]:
    stream = BytesIO(body)
    try:
        return fastavro.schemaless_reader(stream, SCHEMA.parsed, None), stream.tell()
    except Exception as error:
        return type(error)


def read_by_runs(body: bytes) -> tuple[Any, int] | type[Exception] | None:
    reader = ids_reader(SCHEMA.text)
    assert reader is not None
    stream = BytesIO(body)
    try:
        record = reader.read(body, stream)
    except Exception as error:
        return type(error)
    return None if record is None else (record, stream.tell())


@st.composite
def runs_of_ids(draw: st.DrawFn) -> list[str]:
    """Runs of one length each; some of one letter, which may be the one that stands for the length."""
    ids: list[str] = []
    for _ in range(draw(st.integers(1, 4))):
        length = draw(st.sampled_from([0, 1, 5, 24, 32, 36, 63, 64, 70]))
        letter = draw(st.sampled_from(["a", chr(2 * length), "é", "\0"]))
        rows = draw(st.sampled_from([1, 3, 40, 90]))
        ids += [f"{number:x}".ljust(length, letter)[:length] for number in range(rows)]
    return ids


@given(runs_of_ids())
def test_runs_are_read_as_one_by_one(ids: list[str]) -> None:
    body = body_of(ids)
    read = read_by_runs(body)
    assert read is None or read == read_plainly(body)


def test_ids_of_one_length_are_read_by_runs() -> None:
    for ids in (
        ["0" * 32] * 100,
        [f"{n:x}".zfill(24) for n in range(2_000)],
        [str(n) for n in range(5, 3_000)],
    ):
        read = read_by_runs(body_of(ids))
        assert isinstance(read, tuple)
        assert read[0]["ids"] == ids


def test_few_ids_and_ids_of_many_lengths_are_left_to_fastavro() -> None:
    assert read_by_runs(body_of(["a"] * 31)) is None
    assert read_by_runs(body_of(["a" * (1 + n % 7) for n in range(200)])) is None


@given(st.integers(32, 70), st.data())
def test_whatever_is_wrong_is_wrong_in_both(rows: int, data: st.DataObject) -> None:
    body = bytearray(body_of([f"{n:04}" for n in range(rows)]))
    if data.draw(st.booleans()):
        del body[data.draw(st.integers(0, len(body) - 1)) :]
    else:
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    read = read_by_runs(bytes(body))
    assert read is None or read == read_plainly(bytes(body))
