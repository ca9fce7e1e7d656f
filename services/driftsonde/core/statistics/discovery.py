"""Many streams at once: which of them to call, so that few calls are false.

Both rules take e-values and hold under arbitrary dependence: features, segments and models are never independent.
Source: Wang & Ramdas, J. R. Stat. Soc. B 84(3), 2022 (e-BH); Xu & Ramdas, arXiv 2311.06412 (e-LOND).
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def e_benjamini_hochberg(log_e: npt.ArrayLike, log_bar: float) -> npt.NDArray[np.bool_]:
    """Which of m streams to call, shape (..., m): the k* largest, k* the most with R_(k) >= A m / k, ln A = log_bar.

    With e-values and A = 1 / alpha: the false discovery rate is at most alpha. With e-detectors at bar A: where nothing is
    wrong, a call needs a mean of the m e-detectors >= A, which is itself an e-detector; so calls keep one e-detector's
    budget however many the streams. NaN is never called.

    >>> e_benjamini_hochberg(np.log([50.0, 1.0, 29.0]), np.log(20.0))
    array([False, False, False])
    >>> e_benjamini_hochberg(np.log([70.0, 1.0, 30.0]), np.log(20.0))
    array([ True, False,  True])
    """
    values = np.nan_to_num(np.asarray(log_e, dtype=np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    m = values.shape[-1]
    largest = -np.sort(-values, axis=-1)
    bars = log_bar + np.log(m) - np.log(np.arange(1, m + 1))
    passed = largest >= bars
    most = np.where(passed, np.arange(1, m + 1), 0).max(axis=-1, keepdims=True)
    bar = np.take_along_axis(largest, np.maximum(most - 1, 0), axis=-1)
    return np.asarray((most > 0) & (values >= bar))


def e_lond(log_e: npt.ArrayLike, alpha: float) -> Iterator[bool]:
    """Call hypothesis t of an endless sequence when e_t >= 1 / (alpha gamma_t (D + 1)), D the calls so far.

    gamma_t = 1 / (t (t + 1)), which sums to 1. The false discovery rate is at most alpha at every t, under arbitrary
    dependence, for e-values that are each valid given the past. ValueError: alpha outside (0, 1).

    >>> list(e_lond(np.log([50.0, 50.0, 300.0]), 0.05))
    [True, False, True]
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, got {alpha}")
    calls = 0
    for t, value in enumerate(np.asarray(log_e, dtype=np.float64), start=1):
        called = bool(value >= -np.log(alpha * (calls + 1)) + np.log(t * (t + 1)))
        calls += called
        yield called
