"""What no implementation could beat on this machine: reading the same bytes from Kafka, copying the same values."""

import os

import numpy as np

from bench.stage import Stage
from bench.timing import best_seconds
from bench.workload import Workload


def consume_rows_per_s(here: Stage, workload: Workload) -> float:
    """confluent-kafka reads the workload's messages without looking at them, on the core of the services."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, here.service_cores)
    try:
        return workload.total_rows / min(here.consume_all(workload.messages) for _ in range(2))
    finally:
        os.sched_setaffinity(0, before)


def copy_rows_per_s(workload: Workload) -> float:
    """One pass over the numeric values: read and written once, in message-sized arrays that don't fit the cache."""
    values = np.random.default_rng(0).standard_normal((64, max(1, workload.numeric) * workload.rows))
    target = np.empty_like(values)
    best = best_seconds({"copy": lambda: np.copyto(target, values)}, rounds=5)
    return 64 * workload.rows / best["copy"]
