"""Row-by-row change detectors on a champion's outcomes, at label maturity: how often each was alarmed in a window.

Numbers beside ours, for those who know them: they keep no stated budget, and no rule looks at them.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import replace

from driftsonde.core.judging import ModelState
from driftsonde.core.reigns import Arm
from driftsonde.core.statistics.detectors import OutcomeDetector, RowDetector, Snapshot
from driftsonde.core.verdict import Metric

# Rows that a detector is rebuilt from after a start.
HORIZON_ROWS = 10_000

Build = Callable[[str], Callable[[], RowDetector]]
# Detectors as they stand, by version and name; one that does not stand where the state does is built again.
Standing = MutableMapping[tuple[str, str], OutcomeDetector]


def detect(
    state: ModelState, standing: Standing, build: Build, version: str, names: Iterable[str], arm: Arm
) -> tuple[ModelState, list[Metric]]:
    """Take a window's outcomes; `alarms_<name>` is the number of alarms in it, its rows being `n`."""
    snapshots, metrics = dict(state.detectors), list[Metric]()
    for name in names:
        known = snapshots.get((version, name), Snapshot())
        detector = standing.get((version, name))
        if detector is None or detector.snapshot != known:
            detector = OutcomeDetector(build(name), HORIZON_ROWS, known)
        errors = min(max(0, arm.labelled - arm.correct), arm.labelled)
        alarms = detector.update(arm.labelled, errors)
        standing[version, name] = detector
        snapshots[version, name] = detector.snapshot
        metrics.append(Metric("", f"alarms_{name}", arm.labelled, float(len(alarms))))
    return replace(state, detectors=snapshots), metrics


def detectors_of(
    snapshots: Mapping[tuple[str, str], Snapshot], versions: Iterable[str]
) -> Mapping[tuple[str, str], Snapshot]:
    """Those of the versions: others serve no longer, and the state stays bounded."""
    kept = set(versions)
    return {key: snapshot for key, snapshot in snapshots.items() if key[0] in kept}
