"""Sends a log's steps through the client: the same steps make the same messages."""

import math
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from driftsonde.client import Monitor, WhenFull
from driftsonde.core.spec import Task
from driftsonde.replay.columns import LoggedColumns, label_arguments
from driftsonde.replay.rows import VERSION
from driftsonde.replay.steps import Step

_FLUSH_S = 60.0
_BUFFER_ROWS = 65_536


class SendingFailed(RuntimeError):
    """The broker did not take what was sent."""


class LogSender:
    """One client for each version, made when it is first needed. `label_time`: the labels' column of times."""

    def __init__(
        self,
        bootstrap_servers: str,
        schema_registry_url: str,
        model: str,
        task: Task,
        columns: LoggedColumns,
        label_time: str,
    ) -> None:
        self._servers = bootstrap_servers
        self._registry_url = schema_registry_url or None
        self._model = model
        self._task = task
        self._columns = columns
        self._label_time = label_time
        self._monitors: dict[str, Monitor] = {}
        self.events = 0

    def send(self, step: Step) -> None:
        """Send a step, and wait until the broker has it. Raises `SendingFailed`."""
        first = self._monitor(self._columns.columns.version_name)
        for version, table in self._by_version(step.predictions):
            monitor = self._monitor(version)
            monitor.log(**self._columns.arguments(table))
            self.events += table.num_rows
            if monitor is not first:
                self._flush(monitor)
        for table in step.labels:
            first.label(**label_arguments(table, self._label_time))
            self.events += table.num_rows
        first.heartbeat(step.until_ms)
        self._flush(first)

    def heartbeat(self, until_ms: int) -> None:
        """Say that event time has reached this, in every partition. Raises `SendingFailed`."""
        monitor = self._monitor(self._columns.columns.version_name)
        monitor.heartbeat(until_ms)
        self._flush(monitor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for monitor in self._monitors.values():
            monitor.close(_FLUSH_S if kind is None else 0.0)

    def _by_version(self, table: pa.Table | None) -> list[tuple[str, pa.Table]]:
        if table is None:
            return []
        if VERSION not in table.column_names:
            return [(self._columns.columns.version_name, table)]
        versions = sorted(map(str, table[VERSION].unique().to_pylist()))
        return [(version, table.filter(pc.equal(table[VERSION], pa.scalar(version)))) for version in versions]

    def _monitor(self, version: str) -> Monitor:
        if version not in self._monitors:
            self._monitors[version] = Monitor(
                self._servers,
                self._model,
                version,
                task=self._task,
                # A step is smaller than a batch: so the marks at its end decide what is a message, never the clock.
                batch_rows=_BUFFER_ROWS,
                linger_ms=math.inf,
                buffer_rows=_BUFFER_ROWS,
                when_full=WhenFull.BLOCK,
                block_ms=_FLUSH_S * 1_000,
                schema_registry_url=self._registry_url,
                strict=True,
            )
        return self._monitors[version]

    def _flush(self, monitor: Monitor) -> None:
        delivered = monitor.flush(_FLUSH_S)
        stats = monitor.stats
        if not delivered or stats.failed or stats.dropped:
            raise SendingFailed(
                f"the broker took {stats.delivered} rows of {stats.accepted + stats.dropped} within {_FLUSH_S:g} s"
            )
