"""The evidence of a model's state as JSON: arrays are compressed bytes, since most of what they hold is zero."""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from driftsonde.core.statistics.dispersion import Profile
from driftsonde.core.statistics.level_detector import LevelDetector
from driftsonde.core.statistics.rate_detector import RateDetector
from driftsonde.core.statistics.share_detector import ShareDetector
from driftsonde.core.watching import Watch
from driftsonde.core.watching_drift import DriftWatch
from driftsonde.core.watching_errors import ErrorWatch
from driftsonde.core.watching_quality import QualityWatch
from driftsonde.core.watching_volume import VolumeWatch

_State = TypeVar("_State", RateDetector, LevelDetector, ShareDetector, Profile)

Document = Mapping[str, Any]


def encode_watch(watch: Watch) -> dict[str, Any]:
    """Deterministic: the same watch gives the same document. Without `joint`, which has its own place in a state (`encode_drift`)."""
    return {
        "drift": encode_drift(watch.drift),
        "performance": [[*key, _encode(one)] for key, one in sorted(watch.performance.items())],
        "quality": [
            [
                version,
                [list(rate) for rate in one.rates],
                sorted(one.alarmed),
                one.learned,
                _encode(one.detector),
            ]
            for version, one in sorted(watch.quality.items())
        ],
        "errors": [
            [*key, one.alarmed, one.learned, _encode(one.detector)]
            for key, one in sorted(watch.errors.items())
        ],
        "volume": [list(watch.volume.alarmed), watch.volume.learned, _encode(watch.volume.detector)]
        if watch.volume
        else None,
    }


def decode_watch(document: Document, joint: Sequence[Any]) -> Watch:
    """The watch that `encode_watch` made the document of, and `encode_drift` the entries of many columns together."""
    return Watch(
        _decode_drift(document["drift"]),
        {
            (version, segment): _decode(RateDetector, detector)
            for version, segment, detector in document["performance"]
        },
        {
            version: QualityWatch(
                tuple((column, name) for column, name in rates),
                _decode(ShareDetector, detector),
                frozenset((column, name) for column, name in alarmed),
                learned,
            )
            for version, rates, alarmed, learned, detector in document.get("quality", ())
        },
        {
            (version, segment): ErrorWatch(_decode(LevelDetector, detector), alarmed, learned)
            for version, segment, alarmed, learned, detector in document.get("errors", ())
        },
        _volume(*document["volume"]) if document.get("volume") else None,
        _decode_drift(joint),
    )


def encode_drift(watches: Mapping[str, DriftWatch]) -> list[Any]:
    """By version, deterministic too."""
    return [
        [version, list(one.columns), sorted(one.alarmed), one.learned, _encode(one.detector)]
        for version, one in sorted(watches.items())
    ]


def _decode_drift(entries: Sequence[Any]) -> dict[str, DriftWatch]:
    """The watches that `encode_drift` made the entries of."""
    return {
        version: DriftWatch(tuple(columns), _decode(LevelDetector, detector), frozenset(alarmed), learned)
        for version, columns, alarmed, learned, detector in entries
    }


def _volume(alarmed: Sequence[bool], learned: int, detector: Document) -> VolumeWatch:
    more, fewer = alarmed
    return VolumeWatch(_decode(LevelDetector, detector), (more, fewer), learned)


def _encode(state: RateDetector | LevelDetector | ShareDetector | Profile) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for entry in fields(state):
        value = getattr(state, entry.name)
        if isinstance(value, Profile):
            document[entry.name] = _encode(value)
        else:
            array = np.asarray(value)
            packed = base64.b64encode(zlib.compress(array.astype("<f8").tobytes(), 6)).decode()
            document[entry.name] = [list(array.shape), array.dtype.kind, packed]
    return document


def _decode(kind: type[_State], document: Document) -> _State:
    values: dict[str, Any] = {}
    for name, content in document.items():
        if isinstance(content, Mapping):
            values[name] = _decode(Profile, content)
        else:
            shape, letter, packed = content
            array = np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype="<f8").reshape(shape)
            values[name] = array.astype(np.bool_ if letter == "b" else np.float64)
    return kind(**values)
