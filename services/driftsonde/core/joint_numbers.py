"""How far many columns have moved together in a window, from its second moments. Numbers with their bars; no rule."""

import math
from functools import lru_cache

from scipy import special

from driftsonde.core.baseline import Joint
from driftsonde.core.events import Floats
from driftsonde.core.joint import moments_of, unpacked
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import MultivariateRule
from driftsonde.core.statistics.intervals import normal_quantile
from driftsonde.core.statistics.multivariate import (
    mahalanobis_shift,
    means_of,
    principal_axes,
    reconstruction_error,
)
from driftsonde.core.verdict import Metric

SHIFT = "mahalanobis_shift"
RECONSTRUCTION = "reconstruction_error"


def judge_joint(
    joint: Joint, sketch: Sketch, rule: MultivariateRule, alpha: float, judged: bool
) -> list[Metric]:
    """`mahalanobis_shift` (deviations of the baseline) and `reconstruction_error` (root mean square, deviations) of a window,
    each with its bar: the practical one of the rule, or, for few rows, what chance gives with probability alpha / 2.
    Then every column's share of both squares: `mahalanobis_share`, `reconstruction_share`, in [0, 1].
    """
    now, before = unpacked(sketch.counts, len(joint.columns)), moments_of(joint)
    if now.rows <= 0:
        return []
    inverse_rows = 1 / now.rows + 1 / before.rows
    shift = mahalanobis_shift(before, now)
    chance = special.chdtri(max(1, shift.degrees_of_freedom), alpha / 2) * inverse_rows
    bar = max(rule.shift, math.sqrt(chance))
    metrics = [
        Metric("", SHIFT, now.rows, shift.distance, threshold=bar, breached=judged and shift.distance > bar)
    ]
    usual = usual_reconstruction(joint)
    error = reconstruction_error(_axes(joint), now, means_of(before))
    spread = normal_quantile(1 - alpha) * joint.residual_deviation * math.sqrt(inverse_rows)
    bar = math.sqrt(max((usual * (1 + rule.reconstruction)) ** 2, usual**2 + spread))
    lower, upper = (math.sqrt(max(0.0, error.value**2 + sign * spread)) for sign in (-1, 1))
    breached = judged and usual > 0 and error.value > bar
    metrics.append(Metric("", RECONSTRUCTION, now.rows, error.value, lower, upper, bar, breached))
    for name, found in (("mahalanobis_share", shift), ("reconstruction_share", error)):
        total = float(found.contributions.sum())
        if total > 0:
            shares = (found.contributions / total).tolist()
            metrics.extend(
                Metric(column, name, now.rows, share)
                for column, share in zip(joint.columns, shares, strict=True)
            )
    return metrics


@lru_cache(maxsize=256)
def usual_reconstruction(joint: Joint) -> float:
    """The baseline's own reconstruction error."""
    moments = moments_of(joint)
    return reconstruction_error(_axes(joint), moments, means_of(moments)).value


def reference_rows(joint: Joint) -> int:
    """The rows of the baseline."""
    return int(joint.moments[0])


@lru_cache(maxsize=256)
def _axes(joint: Joint) -> Floats:
    return principal_axes(moments_of(joint))
