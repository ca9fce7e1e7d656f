"""Learned overdispersion: how much more the windows of a healthy stream vary than independent rows would.

Seasons, autocorrelation and unnamed causes make window sums vary more than their sampling variance. The profile
measures by how much at several scales: over non-overlapping blocks of h = 1, 2, 4, ... windows,

    r_h = mean over blocks of (sum of residuals)^2 / (sum of their sampling variances),

1 for independent rows at every h, growing with h for dependence (up to half a season), and takes as the stream's
dispersion the largest r_h that chance does not explain. Log evidence divided by a dispersion >= 1 known beforehand stays
valid where the rows were independent after all (Jensen); where they are not, it restores the variance of the sums at the
scale where they vary most, in the normal approximation (a quasi-likelihood). It can't know of what the history has
not shown: a season longer than it, or a rare cause.
Source: Wedderburn, Biometrika 61(3), 1974 (quasi-likelihood); McCullagh & Nelder (1989), section 4.5;
Carlstein, Ann. Stat. 14(3), 1986 (block variances).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from driftsonde.core.statistics.counts import FloatArray

SCALES = 12
_BLOCK_WINDOWS = 2.0 ** np.arange(SCALES)
_FEWEST_BLOCKS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Sums by scale, each of shape (..., SCALES): the block under way, and the blocks that are complete."""

    residual: FloatArray
    variance: FloatArray
    windows: FloatArray
    ratios: FloatArray
    blocks: FloatArray


def empty_profile(shape: tuple[int, ...] = ()) -> Profile:
    """Nothing seen, for `shape` streams."""
    zero = np.zeros((*shape, SCALES))
    return Profile(zero, zero, zero, zero, zero)


def extend(
    profile: Profile, residual: npt.ArrayLike, variance: npt.ArrayLike, counts: npt.ArrayLike = True
) -> Profile:
    """Add a window: its residual (observed minus expected) and sampling variance, both of the streams' shape. Where
    `counts` is false or the variance 0 the stream stays as it was.

    >>> profile = empty_profile()
    >>> for residual in (1.0, 1.0, -1.0, -1.0):
    ...     profile = extend(profile, residual, 1.0)
    >>> (profile.ratios / np.maximum(profile.blocks, 1))[:3]
    array([1., 2., 0.])
    """
    spread = np.asarray(variance, dtype=np.float64)[..., None]
    use = np.asarray(counts)[..., None] & (spread > 0)
    sums = profile.residual + np.where(use, np.asarray(residual, dtype=np.float64)[..., None], 0.0)
    variances = profile.variance + np.where(use, spread, 0.0)
    windows = profile.windows + use
    done = windows >= _BLOCK_WINDOWS
    ratio = np.square(sums) / np.where(done, variances, 1.0)
    return Profile(
        np.where(done, 0.0, sums),
        np.where(done, 0.0, variances),
        np.where(done, 0.0, windows),
        profile.ratios + np.where(done, ratio, 0.0),
        profile.blocks + done,
    )


def dispersion(profile: Profile, chance: float, confidence: float = 0.97) -> FloatArray:
    """An upper limit (at `confidence`) of the largest r_h, if chance does not explain one of them, at least 1; shape (...).

    `chance` is how likely a stream of independent rows is to be taken for another, at most: in equal parts of the known scales,
    at each of which chance explains r_h up to a quantile of the chi-square with as many degrees of freedom as blocks (no part is
    above 50 %). Where streams are looked at side by side, as many times that of one, since one of them will look steadier than it is.
    Once one r_h is significant, the limits of all scales count: the long ones, that matter most, have the fewest blocks.
    Scales of fewer than four blocks are not known; where r_h still doubles to the longest known one, it counts up to twice.
    Without a significant scale: 1, so that a stream of independent rows pays nothing.

    >>> profile = empty_profile()
    >>> for _ in range(8):
    ...     profile = extend(profile, 3.0, 1.0)
    >>> round(float(dispersion(profile, chance=0.01)), 1)
    269.1
    """
    blocks = np.maximum(profile.blocks, 1.0)
    known = profile.blocks >= _FEWEST_BLOCKS
    part = np.minimum(0.5, chance / np.maximum(known.sum(axis=-1, keepdims=True), 1))
    # The tails are dear: only what lies above the median can be unlikely.
    high = known & (profile.ratios > blocks - 0.7)
    unlikely = np.zeros(blocks.shape, dtype=np.bool_)
    by_chance = np.broadcast_to(part, blocks.shape)[high]
    unlikely[high] = special.gammaincc(blocks[high] / 2, profile.ratios[high] / 2) < by_chance
    counts = known & unlikely.any(axis=-1, keepdims=True)
    upper = np.ones(blocks.shape)
    # The quantile is dear, and few streams need it.
    quantile = special.gammaincinv(blocks[counts] / 2, 1 - confidence)
    upper[counts] = profile.ratios[counts] / (2 * quantile)
    largest = upper.max(axis=-1)
    return np.asarray(np.where(largest > 1, largest * _growth(profile, known), 1.0))


def variation(profile: Profile) -> FloatArray:
    """r_1, the variance of single windows over their sampling variance; 0 where nothing was seen."""
    return np.asarray(profile.ratios[..., 0] / np.maximum(profile.blocks[..., 0], 1.0))


def _growth(profile: Profile, known: npt.NDArray[np.bool_]) -> FloatArray:
    """r_h at the longest known scale over that at the one before, in [1, 2]: it would go on at longer scales."""
    means = profile.ratios / np.maximum(profile.blocks, 1.0)
    longest = np.maximum(known.sum(axis=-1, keepdims=True) - 1, 1)
    last, before = (np.take_along_axis(means, longest - i, axis=-1)[..., 0] for i in (0, 1))
    return np.asarray(np.clip(last / np.maximum(before, 1.0), 1.0, 2.0))


def where(choice: npt.ArrayLike, yes: Profile, no: Profile) -> Profile:
    """Stream by stream: `yes` where `choice` (of the streams' shape), else `no`."""
    chosen = np.asarray(choice)[..., None]
    return Profile(
        np.where(chosen, yes.residual, no.residual),
        np.where(chosen, yes.variance, no.variance),
        np.where(chosen, yes.windows, no.windows),
        np.where(chosen, yes.ratios, no.ratios),
        np.where(chosen, yes.blocks, no.blocks),
    )
