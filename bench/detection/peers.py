"""Window-by-window tests of columns by the peers' own code, at their own default thresholds, in environments of their own.

Evidently compares each window with the baseline; NannyML is fitted on baseline and learning period, whose chunks give its
thresholds. Pages merge into episodes as ours do.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.detection.columns import LEARNING_ROWS, ColumnStream
from bench.detection.ours import Episodes
from bench.detection.streams import BASELINE_ROWS, Flags
from bench.peers.compare import ENVIRONMENTS
from bench.peers.environments import PEERS, NotInstalled, python_of

# They take some milliseconds a window and column: few seeds, and they fire often enough to be told from those.
SEEDS = 2
_RUN_S = 1_800
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class PeerPages:
    """What one rule of a peer pages, for each of the first `SEEDS` seeds."""

    rule: str
    pages: list[list[int]]


def installed() -> dict[str, str]:
    """Of each peer that compares columns: its interpreter, or why there is none."""
    found: dict[str, str] = {}
    for peer in PEERS:
        if peer.name in ("evidently", "nannyml"):
            try:
                found[peer.name] = str(python_of(peer, ENVIRONMENTS))
            except NotInstalled as error:
                found[peer.name] = f"not installed: {error}"
    return found


def version_in(peer: str, python: str) -> str:
    """The version of a peer in its environment, or why there is none."""
    if not Path(python).exists():
        return python
    ask = f"from importlib.metadata import version; print(version({peer!r}))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


def peer_rules(stream: ColumnStream, window_rows: int, pythons: dict[str, str]) -> Iterator[PeerPages]:
    """Every rule of every peer whose interpreter is known. Raises RuntimeError where a peer fails."""
    with tempfile.TemporaryDirectory() as scratch:
        values = Path(scratch, "values.npy")
        np.save(values, stream.values[:SEEDS])
        for peer, python in pythons.items():
            if Path(python).exists():
                yield from _run(peer, python, values, window_rows)


def _run(peer: str, python: str, values: Path, window_rows: int) -> Iterator[PeerPages]:
    module = f"bench.detection.peers_{peer}"
    numbers = [str(number) for number in (BASELINE_ROWS, LEARNING_ROWS, window_rows)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    one_thread = {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, "-W", "ignore", "-m", module, str(values), *numbers],
        cwd=_ROOT,
        env=environ | one_thread,
        capture_output=True,
        text=True,
        check=False,
        timeout=_RUN_S,
    )
    if done.returncode:
        raise RuntimeError(f"{module}: {done.stderr.strip()[-500:]}")
    for line in done.stdout.splitlines():
        told = json.loads(line)
        yield PeerPages(told["rule"], pages_of(np.array(told["drifted"], dtype=np.bool_), window_rows))


def pages_of(drifted: Flags, window_rows: int) -> list[list[int]]:
    """drifted: [seeds, windows, columns] of the monitored rows; the rows after which each seed is paged."""
    episodes, pages = Episodes.none(len(drifted)), [list[int]() for _ in drifted]
    for window, columns in enumerate(np.moveaxis(drifted, 1, 0)):
        paged, _ = episodes.observe(columns.any(axis=-1))
        for seed in np.flatnonzero(paged).tolist():
            pages[seed].append((window + 1) * window_rows)
    return pages
