"""From the rows of predictions to the sketches of many columns together."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from driftsonde.core.chunks import Kind, SketchKey
from driftsonde.core.events import PredictionBatch
from driftsonde.core.grouping import key_template
from driftsonde.core.join import Stream
from driftsonde.core.joint import sketch_joint
from driftsonde.core.plan import Plan
from driftsonde.core.sketch import Sketch


def fold_joint(
    stream: Stream,
    plan: Plan,
    batches: Sequence[PredictionBatch],
    arrived_ms: Sequence[int],
    message_rows: Sequence[int],
) -> dict[SketchKey, Sketch]:
    """The sketches of second moments of messages of one stream, by window and lateness; none without a joint baseline.

    Whole numbers only, so it does not matter how many messages are folded at once.
    """
    if plan.joint is None:
        return {}
    spec = plan.spec
    times = np.concatenate([batch.timestamps_ms for batch in batches])
    windows = times - times % spec.window_ms
    before = np.repeat(arrived_ms, message_rows)
    late = (windows + spec.window_ms + spec.lateness_ms <= before).astype(np.int64)
    slots, group = np.unique(windows * 2 + late, return_inverse=True)
    template = key_template(stream.model, stream.version, stream.variant, Kind.INPUTS, plan.joint_layout)
    keys = [replace(template, window_start_ms=slot // 2, late=bool(slot % 2)) for slot in slots.tolist()]
    return dict(zip(keys, sketch_joint(plan.joint, batches, group, len(keys)), strict=True))
