"""Has a rate (of errors) risen? An e-detector over windows whose null is learned: what is bet on is in `evidence`, how much
more than its sampling variance a healthy stream varies is in `dispersion`, its seasons are here. One value holds many
streams.

Three nulls compete: one rate, a rate by hour of the day, a rate by hour of the week (`seasons`). Each has its own
dispersion, since what a season explains is not variation, and the evidence of the chosen one counts.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import FloatArray
from driftsonde.core.statistics.dispersion import Profile, dispersion, empty_profile, extend, where
from driftsonde.core.statistics.evidence import EFFECTS, WEIGHTS, log_mean, rate_log_ratio, restart
from driftsonde.core.statistics.seasons import NULLS, SEASONAL, TABLE, seasoned, simplest, slots_of

Flags = npt.NDArray[np.bool_]

# How likely a stream of independent rows is to be taken for one whose rows depend on each other, which is slower to be called. More
# would overlook fewer weak dependences, and with them losses: see docs/deciding.md.
_CHANCE = 0.01
# A slot starts as if it had seen so many rows at the overall rate.
_PRIOR_ROWS = np.where(SEASONAL, 50.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class RateDetector:
    """State of streams of one shape (...).

    hits, rows: by slot of each null, shape (..., 193): of the baseline (in the one slot of the first null) and of every
    window since that was not in alarm. log_evidence: ln R by null and effect, shape (..., NULLS, len(EFFECTS)).
    excursion: by null, the evidence since it was last 0 (CUSUM), and `pending` what the profile becomes once it is 0 again: a
    window counts as healthy variation when nothing came of it, so that a change is never learned as variation.
    windows: learned so far, in event time since_ms to until_ms (starts of windows). alarmed: in alarm after the last window.
    """

    hits: FloatArray
    rows: FloatArray
    log_evidence: FloatArray
    excursion: FloatArray
    healthy: Profile
    pending: Profile
    windows: FloatArray
    since_ms: FloatArray
    until_ms: FloatArray
    alarmed: Flags


def new_rate_detector(hits: npt.ArrayLike, rows: npt.ArrayLike) -> RateDetector:
    """From the baseline's counts, of the streams' shape."""
    shape = np.shape(hits)
    table = np.zeros((*shape, TABLE))
    known_hits, known_rows = table.copy(), table.copy()
    known_hits[..., 0], known_rows[..., 0] = hits, rows
    profile = empty_profile((*shape, NULLS))
    return RateDetector(
        known_hits,
        known_rows,
        np.full((*shape, NULLS, len(EFFECTS)), -np.inf),
        np.zeros((*shape, NULLS)),
        profile,
        profile,
        np.zeros(shape),
        np.full(shape, np.inf),
        np.full(shape, -np.inf),
        np.zeros(shape, dtype=np.bool_),
    )


def learn_rate(
    state: RateDetector, hits: npt.ArrayLike, rows: npt.ArrayLike, window_start_ms: int
) -> RateDetector:
    """Add a window whose rows the baseline holds already: only its season and its variation are new."""
    k, n = np.asarray(hits, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    slots, since_ms = slots_of(window_start_ms), np.minimum(state.since_ms, window_start_ms)
    profile = extend(state.healthy, *_residual(state, k, n, slots))
    known_hits, known_rows = state.hits.copy(), state.rows.copy()
    known_hits[..., slots[1:]] += k[..., None]
    known_rows[..., slots[1:]] += n[..., None]
    return replace(
        state,
        hits=known_hits,
        rows=known_rows,
        healthy=profile,
        pending=profile,
        windows=state.windows + 1,
        since_ms=since_ms,
        until_ms=np.full_like(since_ms, window_start_ms),
    )


def observe_rate(
    state: RateDetector,
    hits: npt.ArrayLike,
    rows: npt.ArrayLike,
    window_start_ms: int,
    effect: npt.ArrayLike,
    log_bar: npt.ArrayLike,
) -> RateDetector:
    """The state after a window of `hits` in `rows`. Evidence is capped at the bar: how long a change has lasted does not
    delay seeing that it is over."""
    k, n = np.asarray(hits, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    slots, since_ms = slots_of(window_start_ms), np.minimum(state.since_ms, window_start_ms)
    spread, bar = dispersion(state.healthy, _CHANCE), np.asarray(log_bar, dtype=np.float64)
    ratio = rate_log_ratio(
        k[..., None], n[..., None], *_known(state, slots), np.asarray(effect)[..., None], spread
    )
    allowed = _allowed(state)
    evidence = np.where(allowed[..., None], restart(state.log_evidence, ratio), -np.inf)
    total = log_mean(evidence, WEIGHTS)
    excess = np.maximum(total - bar[..., None], 0.0)
    chosen = simplest(spread, allowed)[..., None]
    counted = np.take_along_axis(total, chosen, axis=-1)[..., 0]
    # In alarm until the evidence is gone again, not until it is a hair below the bar: a long change is one alarm.
    alarmed = (counted >= bar) | (state.alarmed & (counted > 0))
    excursion = np.maximum(state.excursion + log_mean(ratio, WEIGHTS), 0.0)
    pending = extend(state.pending, *_residual(state, k, n, slots))
    learns = ~(alarmed | state.alarmed)
    known_hits, known_rows = state.hits.copy(), state.rows.copy()
    known_hits[..., slots] += np.where(learns, k, 0.0)[..., None]
    known_rows[..., slots] += np.where(learns, n, 0.0)[..., None]
    return RateDetector(
        known_hits,
        known_rows,
        evidence - excess[..., None],
        excursion,
        where(excursion == 0, pending, state.healthy),
        pending,
        state.windows + learns,
        since_ms,
        np.where(learns, window_start_ms, state.until_ms),
        alarmed,
    )


def accept_rate(state: RateDetector) -> RateDetector:
    """What was seen so far was healthy, whatever the evidence says; it starts anew. For the time of learning."""
    return clear_rate(replace(state, healthy=state.pending), np.ones(state.alarmed.shape, dtype=np.bool_))


def clear_rate(state: RateDetector, which: npt.ArrayLike) -> RateDetector:
    """Start the evidence anew where `which`: an alarm is over, or nothing may page yet."""
    chosen = np.asarray(which)
    return replace(
        state,
        log_evidence=np.where(chosen[..., None, None], -np.inf, state.log_evidence),
        excursion=np.where(chosen[..., None], 0.0, state.excursion),
        pending=where(chosen[..., None], state.healthy, state.pending),
        alarmed=state.alarmed & ~chosen,
    )


def chosen_null(state: RateDetector) -> npt.NDArray[np.int64]:
    """Which null's evidence counts: 0 one rate, 1 by hour of the day, 2 by hour of the week."""
    return simplest(dispersion(state.healthy, _CHANCE), _allowed(state))


def _allowed(state: RateDetector) -> npt.NDArray[np.bool_]:
    return seasoned(state.since_ms, state.until_ms, state.healthy.blocks[..., 0])


def _known(state: RateDetector, slots: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """(hits, rows) that each null expects the window's rate from, shape (..., NULLS)."""
    overall = (state.hits[..., :1] + 0.5) / (state.rows[..., :1] + 1.0)
    return state.hits[..., slots] + _PRIOR_ROWS * overall, state.rows[..., slots] + _PRIOR_ROWS


def _residual(
    state: RateDetector, hits: FloatArray, rows: FloatArray, slots: npt.NDArray[np.int64]
) -> tuple[FloatArray, FloatArray, Flags]:
    """What `extend` takes, by null: a slot that was never seen says nothing about how well its season predicts."""
    known_hits, known_rows = _known(state, slots)
    rate = (known_hits + 0.5) / (known_rows + 1.0)
    n = rows[..., None]
    variance = n * rate * (1 - rate) * np.where(SEASONAL, 1 + n / (known_rows + 1.0), 1.0)
    return np.asarray(hits[..., None] - n * rate), variance, np.asarray(state.rows[..., slots] > 0)
