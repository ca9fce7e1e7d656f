"""Has a share of rows risen (missing, unseen, out of range)? The e-detector of `rate_detector` for very many streams at once,
without its seasons: one null, learned from the baseline's rows and those of healthy windows, and its dispersion.

A window counts `evidence.rate_log_ratio`; the guarantee is that of `evidence`, as far as the healthy history has shown how much
windows vary (`dispersion`). Sources: there.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import FloatArray
from driftsonde.core.statistics.dispersion import Profile, dispersion, empty_profile, extend, where
from driftsonde.core.statistics.evidence import EFFECTS, WEIGHTS, log_mean, rate_log_ratio, restart

# Evidence is capped so far above the bar that rounding does not leave it below.
_ROUNDING = 1e-6
# How likely a share of independent rows is to be taken for another: many are looked at side by side.
_CHANCE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class ShareDetector:
    """State of n streams. hits, rows: known, (n,); log_evidence: (n, len(EFFECTS)); the rest as in `RateDetector`, (n,)."""

    hits: FloatArray
    rows: FloatArray
    log_evidence: FloatArray
    excursion: FloatArray
    healthy: Profile
    pending: Profile


def new_share_detector(hits: npt.ArrayLike, rows: npt.ArrayLike) -> ShareDetector:
    """From the baseline's counts, both (n,)."""
    known = np.asarray(hits, dtype=np.float64)
    profile = empty_profile(known.shape)
    return ShareDetector(
        known,
        np.asarray(rows, dtype=np.float64),
        np.full((*known.shape, len(EFFECTS)), -np.inf),
        np.zeros(known.shape),
        profile,
        profile,
    )


def observe_share(
    state: ShareDetector,
    hits: npt.ArrayLike,
    rows: npt.ArrayLike,
    effect: npt.ArrayLike,
    log_bar: float,
    learns: npt.ArrayLike,
) -> ShareDetector:
    """The state after a window of `hits` in `rows`, all (n,). Where not `learns` (the stream is in alarm) the null stays as it
    is. Evidence is capped at the bar, as in `observe_rate`; 0 rows are no evidence."""
    k, n = np.asarray(hits, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    spread = dispersion(state.healthy, _CHANCE * state.hits.shape[-1])
    ratio = rate_log_ratio(k, n, state.hits, state.rows, effect, spread)
    evidence = restart(state.log_evidence, ratio)
    excess = np.maximum(log_mean(evidence, WEIGHTS) - (log_bar + _ROUNDING), 0.0)
    excursion = np.maximum(state.excursion + log_mean(ratio, WEIGHTS), 0.0)
    rate = (state.hits + 0.5) / (state.rows + 1.0)
    variance = n * rate * (1 - rate) * (1 + n / (state.rows + 1.0))
    learning = np.asarray(learns)
    pending = extend(state.pending, k - n * rate, variance, learning)
    return ShareDetector(
        state.hits + np.where(learning, k, 0.0),
        state.rows + np.where(learning, n, 0.0),
        evidence - excess[..., None],
        excursion,
        where(excursion == 0, pending, state.healthy),
        pending,
    )


def share_evidence(state: ShareDetector) -> FloatArray:
    """ln R of each stream, (n,)."""
    return log_mean(state.log_evidence, WEIGHTS)


def accept_share(state: ShareDetector) -> ShareDetector:
    """What was seen so far was healthy, whatever the evidence says; it starts anew. For the time of learning."""
    return clear_share(replace(state, healthy=state.pending))


def clear_share(state: ShareDetector) -> ShareDetector:
    """Start the evidence anew: an alarm is over. What led to it is not learned as healthy variation."""
    return replace(
        state,
        log_evidence=np.full_like(state.log_evidence, -np.inf),
        excursion=np.zeros_like(state.excursion),
        pending=state.healthy,
    )
