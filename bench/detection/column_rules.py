"""Rules on windows of columns: ours, and its PSI without the evidence. Those of others are in `peers`."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bench.detection.columns import BINS, COLUMNS, LEARNING_ROWS, ColumnStream, bin_counts
from bench.detection.ours import BUDGET, BUDGET_ROWS, Episodes, start_ms
from bench.detection.streams import DAY_ROWS, Floats
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


def psi_window_by_window(stream: ColumnStream, window_rows: int) -> list[list[int]]:
    """Our own PSI against its practical bar alone: what the evidence is for. Pages merge into episodes as ours do."""
    breached = (_psi(*bin_counts(stream, window_rows)) >= PSI).any(axis=-1)
    learning = LEARNING_ROWS // window_rows
    episodes, pages = Episodes.none(breached.shape[1]), _nobody(breached.shape[1])
    for window, any_column in enumerate(np.asarray(breached)[learning:]):
        paged, _ = episodes.observe(any_column)
        _note(pages, paged, (window + 1) * window_rows)
    return pages


RULES: dict[str, ColumnRule] = {"ours": ours, f"PSI ≥ {PSI} per window, ours": psi_window_by_window}


def _nobody(seeds: int) -> list[list[int]]:
    return [[] for _ in range(seeds)]


def _note(pages: list[list[int]], paged: npt.NDArray[np.bool_], row: int) -> None:
    for seed in np.flatnonzero(paged).tolist():
        pages[seed].append(row)


def _psi(reference: Floats, windows: Floats) -> Floats:
    p = (reference + 0.5) / (reference.sum(axis=-1, keepdims=True) + BINS / 2)
    q = (windows + 0.5) / (windows.sum(axis=-1, keepdims=True) + BINS / 2)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1))
