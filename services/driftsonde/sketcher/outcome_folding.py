"""From joined rows to the sketches of outcomes."""

import numpy as np

from driftsonde.core.chunks import Kind, SketchKey
from driftsonde.core.grouping import group_rows, key_template
from driftsonde.core.join import Joined
from driftsonde.core.outcomes import Outcomes, sketch_outcomes
from driftsonde.core.plan import Plan
from driftsonde.core.sketch import Sketch


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
    windows = joined.timestamps_ms - joined.timestamps_ms % spec.window_ms
    deadline = windows + spec.window_ms + spec.label_wait_ms + spec.lateness_ms
    late = (deadline <= label_event_time_ms).astype(np.int64)
    layout = plan.outcomes.fingerprint
    template = key_template(stream.model, stream.version, stream.variant, Kind.OUTCOMES, layout)
    groups = group_rows(template, joined.slice_labels, list(joined.slices), windows, late)
    sketches = sketch_outcomes(plan.outcomes, outcomes, groups.strata)
    return dict(zip(groups.keys, sketches, strict=True))
