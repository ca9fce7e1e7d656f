"""river's detectors with their defaults, row by row. Each is shown the baseline first, where `warm`."""

from collections.abc import Callable
from typing import Protocol

from river import drift
from river.drift import binary

from bench.detection.streams import BASELINE_ROWS, OutcomeStream


class _Detector(Protocol):
    @property
    def drift_detected(self) -> bool: ...

    def update(self, x: float) -> None: ...


DETECTORS: dict[str, Callable[[], _Detector]] = {
    "ADWIN": drift.ADWIN,
    "PageHinkley": drift.PageHinkley,
    "DDM": binary.DDM,
    "EDDM": binary.EDDM,
    "HDDM_A": binary.HDDMA,
    "HDDM_W": binary.HDDMW,
    "KSWIN": lambda: drift.KSWIN(seed=0),
}
_ON_BITS = frozenset({"DDM", "EDDM", "HDDM_A", "HDDM_W"})


def watch(name: str, stream: OutcomeStream, warm: bool, seeds: int) -> list[list[int]]:
    """The rows after which each of the first seeds was alarmed: river's detectors start anew after an alarm."""
    return [_watch_one(name, errors.tolist(), warm) for errors in stream.errors[:seeds]]


def _watch_one(name: str, errors: list[bool], warm: bool) -> list[int]:
    detector = DETECTORS[name]()
    pages = []
    for row, wrong in enumerate(errors):
        if row < BASELINE_ROWS and not warm:
            continue
        detector.update(wrong if name in _ON_BITS else float(wrong))
        if detector.drift_detected and row >= BASELINE_ROWS:
            pages.append(row + 1 - BASELINE_ROWS)
    return pages
