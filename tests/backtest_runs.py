"""A random log, judged by the live path: the reports as judged, and the signals."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from driftsonde.core.signals import Signal
from driftsonde.judge.reports import WindowReport
from judge_runs import PARTITIONS, FakeStorage, publish, start_worker
from stream_examples import random_log


@dataclass(slots=True)
class Kept(FakeStorage):
    """Keeps the reports of what was judged, too."""

    judged: list[WindowReport] = field(default_factory=list)

    def write_reports(self, reports: Iterable[WindowReport], as_judged: Iterable[WindowReport]) -> None:
        as_judged = [*as_judged]
        self.judged.extend(as_judged)
        FakeStorage.write_reports(self, reports, as_judged)


def judged_log(seed: int, messages: int) -> tuple[list[WindowReport], list[Signal]]:
    rng = np.random.default_rng(seed)
    logs = [random_log(rng, messages) for _ in range(PARTITIONS)]
    storage = Kept()
    worker = start_worker(storage, PARTITIONS, windows_kept=1_000)
    for offset, message in enumerate(publish(logs, rng, restarts=0)):
        worker.take(offset, message)
    worker.settle()
    return storage.judged, [*storage.signals.values()]
