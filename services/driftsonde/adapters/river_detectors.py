"""River's concept-drift detectors by name, for `core.statistics.detectors`. Needs the package river (extra `standalone`).

They run at river's defaults unless told otherwise: their false alarms keep no stated budget. Known traits: "page_hinkley"
depends on the scale (its default suits outcomes of 0 and 1), "ddm" is alarmed by the first error after a perfect start,
"eddm" alarms often on streams without drift.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from river import drift
from river.drift import binary

from driftsonde.core.statistics.detectors import RowDetector

DETECTORS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "adwin": drift.ADWIN,
        "page_hinkley": drift.PageHinkley,
        "kswin": drift.KSWIN,
        "ddm": binary.DDM,
        "eddm": binary.EDDM,
        "hddm_a": binary.HDDMA,
        "hddm_w": binary.HDDMW,
    }
)

# KSWIN draws from its window; with a fixed seed the same stream gives the same alarms.
_SEED = 0


def river_detector(name: str, **parameters: float) -> Callable[[], RowDetector]:
    """What builds a fresh detector of river's, with its parameters where they are not the default.

    ValueError: another name, or parameters that river does not take.

    >>> from driftsonde.core.statistics.detectors import OutcomeDetector
    >>> detector = OutcomeDetector(river_detector("adwin", delta=0.002))
    >>> detector.update(rows=2000, errors=200)
    ()
    >>> 2000 <= detector.update(rows=2000, errors=800)[0] < 2400
    True
    """
    if name not in DETECTORS:
        raise ValueError(f"name must be one of {', '.join(sorted(DETECTORS))}, got {name!r}")
    chosen: dict[str, Any] = {**({"seed": _SEED} if name == "kswin" else {}), **parameters}

    def build() -> RowDetector:
        detector: RowDetector = DETECTORS[name](**chosen)
        return detector

    try:
        build()
    except TypeError as error:
        raise ValueError(f"parameters: {error}") from error
    return build
