"""From joined rows to the sketches of outcomes."""

from dataclasses import replace

import numpy as np

from driftsonde.core.chunks import Kind, SketchKey
from driftsonde.core.events import Ints
from driftsonde.core.grouping import group_rows, key_template
from driftsonde.core.join import Joined, JoinedPairs
from driftsonde.core.outcomes import Outcomes, sketch_outcomes
from driftsonde.core.pairs import pairs_layout, sketch_pairs
from driftsonde.core.plan import Plan
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import ModelSpec


def outcomes_of(joined: Joined) -> Outcomes:
    """The rows as outcomes are counted."""
    return Outcomes(
        predictions=joined.predictions,
        labels=joined.labels,
        scores=joined.scores,
        delays_ms=np.maximum(joined.label_times_ms - joined.timestamps_ms, 0),
        signs=joined.signs,
    )


def fold_outcomes(joined: Joined, plan: Plan, label_event_time_ms: int) -> dict[SketchKey, Sketch]:
    """The sketches of rows of one stream; late are those whose window was due to be judged by that event time."""
    stream, spec, outcomes = joined.stream, plan.spec, outcomes_of(joined)
    windows, late = _windows_of(joined.timestamps_ms, spec, label_event_time_ms)
    layout = plan.outcomes.fingerprint
    template = key_template(stream.model, stream.version, stream.variant, Kind.OUTCOMES, layout)
    groups = group_rows(template, joined.slice_labels, list(joined.slices), windows, late)
    sketches = sketch_outcomes(plan.outcomes, outcomes, groups.strata)
    return dict(zip(groups.keys, sketches, strict=True))


def fold_pairs(pairs: JoinedPairs, plan: Plan, label_event_time_ms: int) -> dict[SketchKey, Sketch]:
    """The sketches of pairs of one shadow stream, of the whole model; late as its outcomes are."""
    stream = pairs.stream
    windows, late = _windows_of(pairs.timestamps_ms, plan.spec, label_event_time_ms)
    layout = pairs_layout(plan.outcomes)
    template = key_template(stream.model, stream.version, stream.variant, Kind.OUTCOMES, layout)
    slots, group = np.unique(np.stack([windows, late]), axis=1, return_inverse=True)
    keys = [
        replace(template, window_start_ms=start_ms, late=bool(is_late))
        for start_ms, is_late in slots.T.tolist()
    ]
    return dict(zip(keys, sketch_pairs(plan.outcomes, pairs, group.ravel(), len(keys)), strict=True))


def _windows_of(timestamps_ms: Ints, spec: ModelSpec, label_event_time_ms: int) -> tuple[Ints, Ints]:
    """The windows of rows, and 1 for those whose window was due to be judged by that event time, else 0."""
    windows = timestamps_ms - timestamps_ms % spec.window_ms
    deadline = windows + spec.window_ms + spec.label_wait_ms + spec.lateness_ms
    return windows, (deadline <= label_event_time_ms).astype(np.int64)
