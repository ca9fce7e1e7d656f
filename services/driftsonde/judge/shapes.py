"""Whether a sketch has the sizes of its layout: one that has not would stop every window that it is added to."""

from driftsonde.core.chunks import ChunkSketch, Kind
from driftsonde.core.joint import joint_bins
from driftsonde.core.pairs import BINS as PAIR_BINS
from driftsonde.core.pairs import pair_sums, pairs_layout
from driftsonde.core.plan import Plan


def misfit(plan: Plan, sketch: ChunkSketch) -> str:
    """What is wrong with the sketch's sizes, "" if nothing is. A layout that is not the plan's (an earlier baseline's)
    is not looked at."""
    key, body = sketch.key, sketch.sketch
    if key.kind is Kind.INPUTS and key.layout == plan.baseline_id:
        expected = (plan.inputs.bins, plan.inputs.sums, len(plan.inputs.numeric))
    elif key.kind is Kind.INPUTS and plan.joint is not None and key.layout == plan.joint_layout:
        expected = (joint_bins(len(plan.joint.columns)), 0, 0)
    elif key.kind is Kind.OUTCOMES and key.layout == plan.outcomes.fingerprint:
        expected = (plan.outcomes.bins, plan.outcomes.sums, 0)
    elif key.kind is Kind.OUTCOMES and key.layout == pairs_layout(plan.outcomes):
        expected = (PAIR_BINS, pair_sums(plan.outcomes), 0)
    else:
        return ""
    found = (len(body.counts), len(body.sums), len(body.lows))
    if found == expected and len(body.highs) == len(body.lows):
        return ""
    return f"(counts, sums, extremes) have the sizes {found}; the layout of {key.model!r} has {expected}"
