"""Has the level of a window statistic risen? The e-detector of `rate_detector` for a positive number u that is roughly
gamma distributed from window to window: `drift_level` makes one of a column's PSI.

The logarithms z = ln(u) / 2 of healthy windows (by slot of the season, `seasons`) give the mean of u that is usual and, by their
residuals, how much more than chance healthy windows vary (`dispersion`, f of a sampling variance trigamma(k_0) / 4). The shape k of
the null is what has f times that variance, its mean m = exp(2 mean(z)) k / exp(digamma(k)), known from n' = n / f windows. A
window counts the likelihood ratio of Gamma(k, mean m + a_j), a_j being what an effect adds to u, to the predictive law of a gamma
stream whose scale is estimated from n' windows with the sum S = n' m,

    ln L_j = k (ln(k S / (m + a_j)) + (n' + 1) ln(1 + u / S) - u / (m + a_j)) + ln Gamma(n' k) - ln Gamma(n' k + k).

So a column that is far from its baseline every night has to be further away than on other nights. Guarantee: exact where u is
chi-square over its degrees of freedom (k = k_0: independent rows) or any other gamma of shape k, windows are independent and
the scale has a flat prior on its logarithm (see `evidence` for what it is a guarantee of); approximate through f where windows
depend on each other, and lost where the healthy history has not shown the season or the cause.
Source: Robbins, Ann. Math. Stat. 41(5), 1970; Wedderburn (1974); Aitchison & Dunsmore (1975), the predictive law of a gamma.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from driftsonde.core.statistics.counts import FloatArray
from driftsonde.core.statistics.dispersion import Profile, dispersion, empty_profile, extend, variation, where
from driftsonde.core.statistics.evidence import EFFECTS, log_mean, restart
from driftsonde.core.statistics.seasons import NULLS, SEASONAL, TABLE, seasoned, simplest, slots_of

# How much is bet on each of EFFECTS: most on what must just not be missed, for a distance grows with the effect's square.
_WEIGHTS = np.array([0.5, 0.35, 0.15])
# A level starts as if so many windows had been seen at the level expected in theory; a slot, at the overall level.
_PRIOR_WINDOWS = np.where(SEASONAL, 0.5, 1.0)
# Of the limit of dispersion: lower than that of a rate, for a call asks for a distance of the window itself besides.
_CONFIDENCE = 0.9
# How likely a column of independent rows is to be taken for another: less than a rate, for a call asks for a distance besides.
_CHANCE = 0.05
# Windows closer to the baseline than chance are no evidence of health beyond this.
_LEAST = 0.25
_SMALLEST = 1e-12
# Evidence is capped so far above the bar that rounding does not leave it below.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class LevelDetector:
    """State of streams of one shape (...). sums, windows: of the values and the healthy windows by slot, (..., TABLE).
    The rest as in `RateDetector`."""

    sums: FloatArray
    windows: FloatArray
    log_evidence: FloatArray
    excursion: FloatArray
    healthy: Profile
    pending: Profile
    since_ms: FloatArray
    until_ms: FloatArray


def new_level_detector(shape: tuple[int, ...]) -> LevelDetector:
    """Nothing learned."""
    table, profile = np.zeros((*shape, TABLE)), empty_profile((*shape, NULLS))
    return LevelDetector(
        table,
        table,
        np.full((*shape, NULLS, len(EFFECTS)), -np.inf),
        np.zeros((*shape, NULLS)),
        profile,
        profile,
        np.full(shape, np.inf),
        np.full(shape, -np.inf),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A window statistic u >= 0, and on a logarithmic scale: value = ln(u) / 2, its sampling variance, what it is expected to be
    where nothing is wrong, all of one shape (...); `added`: what the effects add to u, shape (..., len(EFFECTS))."""

    u: FloatArray
    value: FloatArray
    variance: FloatArray
    expected: FloatArray
    added: FloatArray


def drift_level(counts: npt.ArrayLike, reference: npt.ArrayLike, psi: float) -> Level:
    """u = PSI / ((B - 1) (1/N + 1/M)) of windows of `counts` (..., B) against the baseline's, at least 1/4.

    Where rows are independent and nothing is wrong, (B - 1) u is chi-square with B - 1 degrees of freedom (asymptotically in
    the rows per bin; B counts the bins in use on either side), so ln(u) / 2 has mean (digamma(k) - ln k) / 2 and variance
    trigamma(k) / 4, k = (B - 1) / 2. A drift of `psi` times EFFECTS^2 (a
    shift of EFFECTS) adds that PSI over its scale. ValueError: a window without rows.
    Source: Yurdakul (2018); Bartlett & Kendall, Suppl. J. R. Stat. Soc. 8(1), 1946 (the logarithm of a chi-square).

    >>> level = drift_level([[10, 10], [2, 18]], [500, 500], 0.2)
    >>> level.value.round(2)
    array([-0.69,  1.35])
    """
    x, before = np.asarray(counts, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    bins = x.shape[-1]
    m, n = x.sum(axis=-1), before.sum(axis=-1)
    if np.any(m <= 0) or np.any(n <= 0):
        raise ValueError("counts and reference must have rows: a distance to nothing is unknown")
    q = (x + 0.5) / (m + bins / 2)[..., None]
    p = (before + 0.5) / (n + bins / 2)[..., None]
    freedom = np.maximum(((x + before) > 0).sum(axis=-1) - 1.0, 1.0)
    return level_of_psi(((q - p) * (np.log(q) - np.log(p))).sum(axis=-1), freedom, 1 / m + 1 / n, psi)


def level_of_psi(
    value: npt.ArrayLike, freedom: npt.ArrayLike, inverse_rows: npt.ArrayLike, psi: float
) -> Level:
    """`drift_level` from a PSI that is known already; freedom: B - 1, at least 1, inverse_rows: 1/N + 1/M. All (...)."""
    degrees = np.asarray(freedom, dtype=np.float64)
    scale = degrees * np.asarray(inverse_rows, dtype=np.float64)
    u = np.asarray(value, dtype=np.float64) / scale
    return Level(
        np.asarray(u),
        np.asarray(np.log(np.maximum(u, _LEAST)) / 2),
        np.asarray(special.polygamma(1, degrees / 2) / 4),
        np.asarray((special.digamma(degrees / 2) - np.log(degrees / 2)) / 2),
        psi * np.square(EFFECTS) / scale[..., None],
    )


def error_level(rmse: float, reference: float, rows: int, drop: float) -> Level:
    """u = (rmse / reference)^2 of a window of `rows` errors, shape (1,); an effect raises the RMSE by `drop` times EFFECTS.

    Where errors are independent and normal and nothing is wrong, rows * u is chi-square with `rows` degrees of freedom.
    ValueError unless rows and reference are positive and rmse is not negative.

    >>> error_level(1.1, 1.0, 500, 0.05).added.round(2)
    array([[0.1 , 0.21, 0.44]])
    """
    if rows <= 0 or not reference > 0 or not rmse >= 0:
        raise ValueError(
            f"rows and reference must be positive, rmse not negative, got {rows}, {reference}, {rmse}"
        )
    u = np.array([(rmse / reference) ** 2])
    half = rows / 2
    return Level(
        u,
        np.asarray(np.log(np.maximum(u, _SMALLEST)) / 2),
        np.array([special.polygamma(1, half) / 4]),
        np.array([(special.digamma(half) - np.log(half)) / 2]),
        (np.square(1 + drop * EFFECTS) - 1)[None, :],
    )


def observe_level(
    state: LevelDetector,
    level: Level,
    window_start_ms: int,
    log_bar: npt.ArrayLike,
    learns: npt.ArrayLike = True,
) -> LevelDetector:
    """The state after a window. Where not `learns` (the stream is in alarm) the null stays as it is. Evidence is capped at
    the bar: how long a change has lasted does not delay seeing that it is over."""
    slots = slots_of(window_start_ms)
    ratio = _log_ratio(state, level, slots)
    counted = _allowed(state)
    evidence = np.where(counted[..., None], restart(state.log_evidence, ratio), -np.inf)
    cap = np.asarray(log_bar)[..., None] + _ROUNDING
    excess = np.maximum(log_mean(evidence, _WEIGHTS) - cap, 0.0)
    excursion = np.maximum(state.excursion + log_mean(ratio, _WEIGHTS), 0.0)
    learning = np.broadcast_to(learns, level.value.shape)[..., None]
    mean, windows = _usual(state, level, slots)
    spread = level.variance[..., None] * (1 + 1 / windows)
    seen = learning & ((state.windows[..., slots] > 0) | ~SEASONAL)
    pending = extend(state.pending, level.value[..., None] - mean, spread, seen)
    sums, known = state.sums.copy(), state.windows.copy()
    sums[..., slots] += np.where(learning, level.value[..., None], 0.0)
    known[..., slots] += learning
    return LevelDetector(
        sums,
        known,
        evidence - excess[..., None],
        excursion,
        where(excursion == 0, pending, state.healthy),
        pending,
        np.minimum(state.since_ms, window_start_ms),
        np.where(learning[..., 0], window_start_ms, state.until_ms),
    )


def level_evidence(state: LevelDetector) -> FloatArray:
    """ln R of each stream, by the null that counts, shape (...)."""
    chosen = simplest(_spread(state), _allowed(state))
    total = log_mean(state.log_evidence, _WEIGHTS)
    return np.asarray(np.take_along_axis(total, chosen[..., None], axis=-1)[..., 0])


def accept_level(state: LevelDetector, which: npt.ArrayLike) -> LevelDetector:
    """Where `which`: what was seen so far was healthy, whatever the evidence says; it starts anew. For the time of learning."""
    return clear_level(
        replace(state, healthy=where(np.asarray(which)[..., None], state.pending, state.healthy)), which
    )


def clear_level(state: LevelDetector, which: npt.ArrayLike) -> LevelDetector:
    """Start the evidence anew where `which`: an alarm is over. What led to it is not learned as healthy variation."""
    chosen = np.asarray(which)
    return replace(
        state,
        log_evidence=np.where(chosen[..., None, None], -np.inf, state.log_evidence),
        excursion=np.where(chosen[..., None], 0.0, state.excursion),
        pending=where(chosen[..., None], state.healthy, state.pending),
    )


def _allowed(state: LevelDetector) -> npt.NDArray[np.bool_]:
    return seasoned(state.since_ms, state.until_ms, state.healthy.blocks[..., 0])


def _spread(state: LevelDetector) -> FloatArray:
    # Among many columns some look steadier than they are: none counts as steadier than half of them are.
    own = dispersion(state.healthy, _CHANCE * state.since_ms.shape[-1], _CONFIDENCE)
    return np.asarray(np.maximum(own, np.median(own, axis=-2, keepdims=True)))


def _usual(state: LevelDetector, level: Level, slots: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """(mean, number of windows behind it) by null, shape (..., NULLS)."""
    prior = _PRIOR_WINDOWS[0]
    overall = (state.sums[..., :1] + prior * level.expected[..., None]) / (state.windows[..., :1] + prior)
    first = np.where(SEASONAL, overall, level.expected[..., None])
    windows = state.windows[..., slots] + _PRIOR_WINDOWS
    return (state.sums[..., slots] + _PRIOR_WINDOWS * first) / windows, windows


def _log_ratio(state: LevelDetector, level: Level, slots: npt.NDArray[np.int64]) -> FloatArray:
    logarithm, windows = _usual(state, level, slots)
    spread = _spread(state)
    single = _shape_of(4 * level.variance[..., None] * np.maximum(variation(state.healthy), 1.0))
    mean = np.exp(2 * logarithm - special.digamma(single)) * single
    shape = _shape_of(4 * level.variance)[..., None]
    known = windows / spread
    total, u = known * mean, level.u[..., None]
    fair = np.log(shape * total) + (known + 1) * np.log1p(u / total)
    norm = special.gammaln(known * shape) - special.gammaln((known + 1) * shape)
    raised = mean[..., None] + level.added[..., None, :]
    raising = -np.log(raised) - u[..., None] / raised
    ratio = shape[..., None] * (fair[..., None] + raising) + norm[..., None]
    return np.asarray(ratio / spread[..., None])


def _shape_of(variance: FloatArray) -> FloatArray:
    """The shape of a gamma whose logarithm has this variance: the inverse of trigamma, by 1 / k + 1 / (2 k^2), within 13 %
    and below it.

    >>> _shape_of(special.polygamma(1, np.array([0.5, 4.5]))).round(2)
    array([0.44, 4.47])
    """
    return np.asarray((1 + np.sqrt(1 + 2 * variance)) / (2 * variance))
