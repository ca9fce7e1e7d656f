"""What sketcher and judge tell each other, and the judge's state of a window, as Avro records."""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from driftsonde.adapters.avro import Record, RecordType
from driftsonde.core.chunks import ChunkSketch, Kind, Progress, SketchKey, Source
from driftsonde.core.events import Floats, Ints, Variant
from driftsonde.core.points import Points
from driftsonde.core.sketch import Sketch
from driftsonde.core.window import Part, PartKey, Window, WindowKey


def _pack(values: Ints | Floats) -> bytes:
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def _floats(payload: bytes) -> Floats:
    return np.frombuffer(payload, dtype="<f8")


def _body(sketch: Sketch) -> Record:
    """Counts are mostly small: deflating them makes a sketch a tenth of its size."""
    return {
        "counts": zlib.compress(_pack(sketch.counts), level=1),
        "sums": _pack(sketch.sums),
        "lows": _pack(sketch.lows),
        "highs": _pack(sketch.highs),
        "unseen": [
            {"column": column, "value": value, "rows": rows}
            for (column, value), rows in sorted(sketch.unseen.items())
        ],
        "points": {
            "values": zlib.compress(_pack(sketch.points.values), level=1),
            "negatives": zlib.compress(_pack(sketch.points.negatives), level=1),
            "positives": zlib.compress(_pack(sketch.points.positives), level=1),
            "coarse": sketch.points.coarse,
        },
    }


def _ints(payload: bytes) -> Ints:
    return np.frombuffer(zlib.decompress(payload), dtype="<i8")


def _sketch(body: Mapping[str, Any]) -> Sketch:
    points = body["points"]
    return Sketch(
        points=Points(
            _floats(zlib.decompress(points["values"])),
            _ints(points["negatives"]),
            _ints(points["positives"]),
            points["coarse"],
        ),
        counts=_ints(body["counts"]),
        sums=_floats(body["sums"]),
        lows=_floats(body["lows"]),
        highs=_floats(body["highs"]),
        unseen={(entry["column"], entry["value"]): entry["rows"] for entry in body["unseen"]},
    )


def _chunk_to_record(value: ChunkSketch) -> Record:
    key = value.key
    return {
        "source_topic": value.source.topic,
        "source_partition": value.source.partition,
        "chunk": value.chunk,
        "position": value.position,
        "model": key.model,
        "version": key.version,
        "variant": key.variant.value,
        "segment": key.segment,
        "window_start_ms": key.window_start_ms,
        "kind": key.kind.value,
        "late": key.late,
        "baseline": key.layout,
        "body": _body(value.sketch),
    }


def _chunk_from_record(record: Mapping[str, Any]) -> ChunkSketch:
    key = SketchKey(
        record["model"],
        record["version"],
        Variant(record["variant"]),
        record["segment"],
        record["window_start_ms"],
        Kind(record["kind"]),
        record["late"],
        record["baseline"],
    )
    source = Source(record["source_topic"], record["source_partition"])
    return ChunkSketch(source, record["chunk"], record["position"], key, _sketch(record["body"]))


def _progress_to_record(value: Progress) -> Record:
    return {
        "source_topic": value.source.topic,
        "source_partition": value.source.partition,
        "position": value.position,
        "finished_below": value.finished_below,
        "event_time_ms": value.event_time_ms,
    }


def _progress_from_record(record: Mapping[str, Any]) -> Progress:
    source = Source(record["source_topic"], record["source_partition"])
    return Progress(source, record["position"], record["finished_below"], record["event_time_ms"])


def _window_to_record(value: Window) -> Record:
    key = value.key
    return {
        "window_start_ms": key.window_start_ms,
        "model": key.model,
        "version": key.version,
        "variant": key.variant.value,
        "segment": key.segment,
        "folded": [
            {"topic": source.topic, "partition": source.partition, "chunk": chunk}
            for source, chunk in sorted(value.folded.items())
        ],
        "parts": [
            {
                "kind": part_key.kind.value,
                "late": part_key.late,
                "baseline": part_key.layout,
                "total": _body(part.total),
                "sums": [
                    {"topic": source.topic, "partition": source.partition, "sums": _pack(sums)}
                    for source, sums in sorted(part.sums.items())
                ],
            }
            for part_key, part in sorted(value.parts.items())
        ],
    }


def _window_from_record(record: Mapping[str, Any]) -> Window:
    key = WindowKey(
        record["window_start_ms"],
        record["model"],
        record["version"],
        Variant(record["variant"]),
        record["segment"],
    )
    folded = {Source(entry["topic"], entry["partition"]): entry["chunk"] for entry in record["folded"]}
    parts = {
        PartKey(Kind(part["kind"]), part["late"], part["baseline"]): Part(
            _sketch(part["total"]),
            {Source(entry["topic"], entry["partition"]): _floats(entry["sums"]) for entry in part["sums"]},
        )
        for part in record["parts"]
    }
    return Window(key, parts, folded)


SKETCH_TYPES = (
    RecordType("Sketch", ChunkSketch, _chunk_to_record, _chunk_from_record),
    RecordType("Progress", Progress, _progress_to_record, _progress_from_record),
    RecordType("WindowState", Window, _window_to_record, _window_from_record),
)
