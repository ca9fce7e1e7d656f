"""A serving layer, in event time: each call of `window` serves a minute of requests, and soon the truth about them is known.

Requests are of customers with one feature x. The truth is x > 0 for 95 in 100, and once the stream has drifted (x is larger)
x > 1: a model that says x > 0 is wrong then about a quarter of them. Version numbers are of MLflow, and a version's
threshold is what the controller's catalogue says it was trained to.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from driftsonde.client import Monitor, Router
from driftsonde.core.events import Variant

WINDOW_MS = 60_000
ROWS = 400
CUSTOMERS = 5_000
NOISE = 0.05
_KNOWN_AFTER_MS = 1_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def truth(x: Floats, boundary: float, random: np.random.Generator) -> Ints:
    return ((x > boundary) ^ (random.random(len(x)) < NOISE)).astype(np.int64)


def write_history(file: Path, start_ms: int, rows: int = 4_000) -> None:
    """Labelled rows of the hour before `start_ms`, as the first version was trained and predicted."""
    random = np.random.default_rng(1)
    x = random.normal(size=rows)
    times = np.sort(random.integers(start_ms - 60 * WINDOW_MS, start_ms, rows))
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["timestamp", "x", "prediction", "label"])
        writer.writerows(zip(times, x, (x > 0).astype(int), truth(x, 0.0, random), strict=True))


@dataclass(slots=True)
class Serving:
    """threshold: what a version was trained to. rows_file: where labelled rows are kept for training. served: requests by
    version and variant, of all windows so far."""

    kafka: str
    model: str
    router: Router
    threshold: Callable[[str], float]
    rows_file: Path
    now_ms: int
    drifted: bool = False
    served: dict[tuple[str, str], int] = field(default_factory=dict)
    _count: int = 0
    _random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(2))
    _thresholds: dict[str, float] = field(default_factory=dict)
    _monitors: dict[tuple[str, Variant], Monitor] = field(default_factory=dict)

    def window(self) -> None:
        """Serve one window, and say that event time has come to its end."""
        x = self._random.normal(1.5 if self.drifted else 0.0, 1.0, ROWS)
        labels = truth(x, 1.0 if self.drifted else 0.0, self._random)
        times_ms = self.now_ms + np.sort(self._random.integers(0, WINDOW_MS, ROWS))
        ids = np.array([f"{self.model}-{self._count + row}" for row in range(ROWS)])
        self._count += ROWS
        customers = self._random.integers(0, CUSTOMERS, ROWS)
        shares = [self.router.choose(self.model, f"customer-{number}") for number in customers]
        for share in set(shares):
            mine = np.array([other == share for other in shares])
            self._serve(share.version, share.variant, x[mine], labels[mine], times_ms[mine], ids[mine])
        for version in self.router.shadows(self.model):
            own = np.array([f"{name}-shadow-{version}" for name in ids])
            self._serve(version, Variant.SHADOW, x, labels, times_ms, own)
        with self.rows_file.open("a", newline="") as opened:
            csv.writer(opened).writerows(zip(times_ms, x, ["" for _ in x], labels, strict=True))
        self.now_ms += WINDOW_MS
        for monitor in self._monitors.values():
            assert monitor.flush(60.0), monitor.stats
        first = next(iter(self._monitors.values()))
        first.heartbeat(self.now_ms)
        assert first.flush(60.0), first.stats

    def _serve(
        self,
        version: str,
        variant: Variant,
        x: Floats,
        labels: Ints,
        times_ms: Ints,
        ids: npt.NDArray[np.str_],
    ) -> None:
        monitor = self._monitor(version, variant)
        if version not in self._thresholds:
            self._thresholds[version] = self.threshold(version)
        names = tuple(ids.tolist())
        monitor.log({"x": x}, (x > self._thresholds[version]).astype(int), ids=names, timestamps=times_ms)
        monitor.label(names, labels, timestamps=times_ms + _KNOWN_AFTER_MS)
        key = (version, variant.value)
        self.served[key] = self.served.get(key, 0) + len(x)

    def _monitor(self, version: str, variant: Variant) -> Monitor:
        key = (version, variant)
        if key not in self._monitors:
            self._monitors[key] = Monitor(
                self.kafka,
                self.model,
                version,
                variant,
                task="binary",
                strict=True,
                linger_ms=float("inf"),
            )
        return self._monitors[key]

    def close(self) -> None:
        for monitor in self._monitors.values():
            monitor.close()
