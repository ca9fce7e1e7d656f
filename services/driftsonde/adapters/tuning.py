"""How a service that folds or judges has its memory managed, for the life of its process."""

import ctypes
import gc
import logging

# Of mallopt(3), in glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MB = 1024 * 1024

# Container objects that are made, and not let go, between two looks for cycles; we make next to none.
_COLLECT_AFTER = 50_000

_log = logging.getLogger(__name__)


def keep_freed_memory() -> None:
    """Keep what is freed for the next message, up to 256 MB. The arrays of a message are larger than what glibc keeps by
    default: it would give them back, and get them again page by page, a quarter of the time of a message.

    Elsewhere than with glibc this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    wanted = {_MMAP_THRESHOLD: 32 * _MB, _TRIM_THRESHOLD: 256 * _MB, _TOP_PAD: 16 * _MB}
    if not all(mallopt(option, value) for option, value in wanted.items()):
        _log.warning("malloc is as it was: the C library refuses the settings")


def collect_seldom() -> None:
    """Leave what has been imported and set up out of the search for cycles, and search seldom: a pass over a few thousand
    columns' objects takes as long as judging them. Reference counts free what has no cycles, at once as ever."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)
