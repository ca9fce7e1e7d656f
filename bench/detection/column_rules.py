"""Rules on windows of columns: ours, and window by window at the thresholds of others, as their sources state them.

Evidently: by default numeric columns of up to 1,000 rows by KS at p < 0.05, longer ones by the normed Wasserstein distance at
0.1; PSI and JS distance (nats) at 0.1 where chosen. NannyML: JS distance (base 2) above mean + 3 standard deviations
of the windows of its reference period, which here are those of the learning period.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from bench.detection.columns import BINS, COLUMNS, LEARNING_ROWS, ColumnStream, bin_counts
from bench.detection.ours import BUDGET, BUDGET_ROWS, Episodes, start_ms
from bench.detection.streams import BASELINE_ROWS, DAY_ROWS, Flags, Floats
from driftsonde.core.statistics.discovery import e_benjamini_hochberg
from driftsonde.core.statistics.evidence import log_alarm_bar
from driftsonde.core.statistics.level_detector import (
    accept_level,
    clear_level,
    drift_level,
    level_evidence,
    new_level_detector,
    observe_level,
)

PSI = 0.2
ColumnRule = Callable[[ColumnStream, int], list[list[int]]]


def ours(stream: ColumnStream, window_rows: int) -> list[list[int]]:
    """e-BH over the columns' e-detectors, and the PSI of a called column at least 0.2."""
    reference, windows = bin_counts(stream, window_rows)
    seeds, learning = reference.shape[0], LEARNING_ROWS // window_rows
    psi = _psi(reference, windows)
    bar = log_alarm_bar(BUDGET_ROWS / window_rows, BUDGET)
    state = new_level_detector((seeds, COLUMNS))
    alarmed = np.zeros((seeds, COLUMNS), dtype=np.bool_)
    episodes, pages = Episodes.none(seeds), _nobody(seeds)
    for window, counts in enumerate(windows):
        at_ms = start_ms(window, window_rows, DAY_ROWS)
        level = drift_level(counts, reference, PSI)
        state = observe_level(state, level, at_ms, bar + np.log(COLUMNS), ~alarmed)
        if window < learning:
            state = accept_level(state, np.ones((seeds, COLUMNS), dtype=np.bool_))
            continue
        evidence = level_evidence(state)
        alarmed = (e_benjamini_hochberg(evidence, bar) & (psi[window] >= PSI)) | (alarmed & (evidence > 0))
        paged, ended = episodes.observe(alarmed.any(axis=-1))
        _note(pages, paged, (window + 1 - learning) * window_rows)
        state = clear_level(state, np.broadcast_to(ended[:, None], alarmed.shape))
    return pages


def psi_at(bar: float) -> ColumnRule:
    return lambda stream, window_rows: _window_by_window(
        _psi(*bin_counts(stream, window_rows)) >= bar, window_rows
    )


def js_evidently(stream: ColumnStream, window_rows: int) -> list[list[int]]:
    return _window_by_window(_js_distance(*bin_counts(stream, window_rows)) >= 0.1, window_rows)


def js_nannyml(stream: ColumnStream, window_rows: int) -> list[list[int]]:
    distance = _js_distance(*bin_counts(stream, window_rows)) / np.sqrt(np.log(2))
    reference = distance[: LEARNING_ROWS // window_rows]
    return _window_by_window(distance > reference.mean(axis=0) + 3 * reference.std(axis=0), window_rows)


def ks_evidently(stream: ColumnStream, window_rows: int) -> list[list[int]]:
    baseline, later = stream.values[..., :BASELINE_ROWS], stream.values[..., BASELINE_ROWS:]
    windows = later.shape[-1] // window_rows
    breached = np.zeros((windows, *later.shape[:2]), dtype=np.bool_)
    critical = stats.kstwobign.isf(0.05) * np.sqrt(1 / BASELINE_ROWS + 1 / window_rows)
    for seed, column in np.ndindex(*later.shape[:2]):
        ordered = np.sort(baseline[seed, column])
        cut = later[seed, column, : windows * window_rows].reshape(windows, window_rows)
        below = np.searchsorted(ordered, np.sort(cut, axis=1)) / BASELINE_ROWS
        steps = np.arange(window_rows) / window_rows
        distance = np.maximum(below - steps, steps + 1 / window_rows - below).max(axis=1)
        breached[:, seed, column] = distance > critical
    return _window_by_window(breached, window_rows)


RULES: dict[str, ColumnRule] = {
    "ours": ours,
    "PSI ≥ 0.1 per window (Evidently)": psi_at(0.1),
    "PSI ≥ 0.2 per window": psi_at(0.2),
    "KS p < 0.05 per window (Evidently)": ks_evidently,
    "JS ≥ 0.1 per window (Evidently)": js_evidently,
    "JS > 3 σ of reference (NannyML)": js_nannyml,
}


def _window_by_window(breached: Flags, window_rows: int) -> list[list[int]]:
    """breached [windows, seeds, COLUMNS], the learning period included; pages merge into episodes as ours do."""
    learning = LEARNING_ROWS // window_rows
    episodes, pages = Episodes.none(breached.shape[1]), _nobody(breached.shape[1])
    for window, any_column in enumerate(np.asarray(breached.any(axis=-1))[learning:]):
        paged, _ = episodes.observe(any_column)
        _note(pages, paged, (window + 1) * window_rows)
    return pages


def _nobody(seeds: int) -> list[list[int]]:
    return [[] for _ in range(seeds)]


def _note(pages: list[list[int]], paged: npt.NDArray[np.bool_], row: int) -> None:
    for seed in np.flatnonzero(paged).tolist():
        pages[seed].append(row)


def _psi(reference: Floats, windows: Floats) -> Floats:
    p = (reference + 0.5) / (reference.sum(axis=-1, keepdims=True) + BINS / 2)
    q = (windows + 0.5) / (windows.sum(axis=-1, keepdims=True) + BINS / 2)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1))


def _js_distance(reference: Floats, windows: Floats) -> Floats:
    """In nats' root, maximum 0.8326."""
    p = reference / reference.sum(axis=-1, keepdims=True)
    q = windows / windows.sum(axis=-1, keepdims=True)
    middle = (p + q) / 2
    terms = np.where(p > 0, p * np.log(np.maximum(p, 1e-300) / middle), 0) + np.where(
        q > 0, q * np.log(np.maximum(q, 1e-300) / middle), 0
    )
    return np.asarray(np.sqrt(np.maximum(terms.sum(axis=-1) / 2, 0)))
