"""Evidence that grows row by row or window by window, and may be looked at after each: e-processes and e-detectors.

An *e-value* is a number >= 0 whose expectation is at most 1 where nothing is wrong: a bet at fair odds against the null
hypothesis. The evidence of successive windows multiplies. An *e-detector* restarts the bet at every window, since nobody
knows when the change came (Shiryaev-Roberts):

    R_w = (R_{w-1} + 1) L_w,    alarm at R_w >= A, and R restarts from 0 after an alarm.

Guarantee: where E[L_w | past] <= 1 for every window, R_w - w is a supermartingale, so the expected number of alarms in any
N windows is at most N / A (and the probability of any is at most that; the mean time to an alarm at least A). With
A = windows per period / false pages per period it is the budget, in a team's words. It needs neither independence of the
windows nor a fixed horizon. Means of e-detectors are e-detectors.

It fails where E[L_w | past] > 1: a null whose mean or variance is not that of the model of a window. That is what
`dispersion` is for. Everything is in natural logarithms; arrays broadcast, so that many streams go in one call.
Source: Shin, Ramdas & Rinaldo, E-detectors, arXiv 2203.03532; Shiryaev, Theory Probab. Appl. 8(1), 1963;
Ramdas & Wang, Hypothesis testing with e-values, arXiv 2410.23614.
"""

import numpy as np
import numpy.typing as npt
from scipy import special

from driftsonde.core.statistics.counts import FloatArray

# The alternatives to "as before", in multiples of the effect that must not be missed, and how much is bet on each.
EFFECTS = np.array([1.0, 2.0, 4.0])
WEIGHTS = np.array([0.15, 0.7, 0.15])

# No alternative rate comes closer to 1 than this: a single good row would refute it for good.
_HIGHEST_RATE = 0.99


def log_alarm_bar(windows: float, false_pages: float) -> float:
    """ln A = ln(windows / false_pages): at this bar an e-detector raises at most `false_pages` false alarms, in
    expectation, in any `windows` consecutive windows. ValueError unless both are finite and positive.

    >>> round(log_alarm_bar(2184, 1), 2)
    7.69
    """
    if not (0 < windows < np.inf and 0 < false_pages < np.inf):
        raise ValueError(f"windows and false_pages must be finite and positive, got {windows}, {false_pages}")
    return float(np.log(windows / false_pages))


def restart(log_evidence: npt.ArrayLike, log_ratio: npt.ArrayLike) -> FloatArray:
    """One step of the e-detector, ln R_w = ln(R_{w-1} + 1) + ln L_w; -inf (R = 0) at the start. Any one shape.

    >>> float(restart(-np.inf, 0.0)), round(float(restart(0.0, 1.0)), 3)
    (0.0, 1.693)
    """
    return np.asarray(np.logaddexp(log_evidence, 0.0) + log_ratio)


def log_mean(log_evidence: npt.ArrayLike, weights: FloatArray) -> FloatArray:
    """ln sum_j w_j R_j over the last axis, w_j > 0. Weights that sum to 1 make an e-detector of e-detectors.

    >>> round(float(log_mean([0.0, np.log(3.0)], np.array([0.5, 0.5]))), 3)
    0.693
    """
    return np.asarray(np.logaddexp.reduce(np.asarray(log_evidence) + np.log(weights), axis=-1))


def rate_log_ratio(
    hits: npt.ArrayLike,
    rows: npt.ArrayLike,
    known_hits: npt.ArrayLike,
    known_rows: npt.ArrayLike,
    effect: npt.ArrayLike,
    dispersion: npt.ArrayLike = 1.0,
) -> FloatArray:
    """ln L of "the rate rose by `effect` or more" against "the rate is what it was", shape (..., len(EFFECTS)).

    hits of rows (a window's errors, shape ...) against known_hits of known_rows (baseline and all rows since):
    null: Beta-binomial, the rate drawn from Beta(a, b), a = known_hits + 1/2, b = known_rows - known_hits + 1/2;
    alternative j: Binomial, rate q = a / (a + b) + EFFECTS_j effect, at most 0.99 or half way to 1, whichever is higher.
    ln L = k ln q + (n - k) ln(1 - q) - ln B(a + k, b + n - k) + ln B(a, b); 0 rows give 0.
    All counts are divided by the `dispersion` f >= 1 first: rows of f times the sampling variance weigh as 1/f of them.

    The estimated baseline's uncertainty is inside the null: with counts that include every row before, the product of
    the L is the likelihood ratio to the Beta-binomial law of the whole stream. Guarantee, exactly: E[L | past] = 1 for a
    rate drawn from Beta(1/2, 1/2) before the baseline, rows exchangeable given it; so the budget holds on average over
    models. For one fixed rate it holds to O(1 / known_rows) (the Jeffreys prior matches frequentist coverage), measured
    in bench/detection, and fails where the rate itself wanders. A rise below about half the effect lets L shrink, however
    many rows: the practical bar is part of the evidence.
    Source: Jeffreys, Proc. R. Soc. A 186, 1946; Robbins & Siegmund (mixtures), 1970.

    >>> rate_log_ratio(30, 100, 1000, 5000, 0.05).round(2)
    array([2.13, 2.77, 0.6 ])
    """
    f = np.asarray(dispersion, dtype=np.float64)[..., None]
    k = np.asarray(hits, dtype=np.float64)[..., None] / f
    n = np.asarray(rows, dtype=np.float64)[..., None] / f
    a = np.asarray(known_hits, dtype=np.float64)[..., None] / f + 0.5
    b = np.asarray(known_rows, dtype=np.float64)[..., None] / f + 1.0 - a
    rate = a / (a + b)
    highest = np.maximum(_HIGHEST_RATE, (1 + rate) / 2)
    raised = np.minimum(rate + np.asarray(effect, dtype=np.float64)[..., None] * EFFECTS, highest)
    alternative = special.xlogy(k, raised) + special.xlog1py(n - k, -raised)
    return np.asarray(alternative - special.betaln(a + k, b + n - k) + special.betaln(a, b))
