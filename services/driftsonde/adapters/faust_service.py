"""What the entry points of the Faust services share: health, readiness, metrics, one loop, an orderly end."""

import asyncio
import logging
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry

from driftsonde.adapters.faust_app import Assignment, Positions, create_app, feed, run_worker
from driftsonde.adapters.inbox import Inbox
from driftsonde.adapters.service import Conditions, HealthServer, announce_ready
from driftsonde.adapters.settings import Settings
from driftsonde.adapters.topics import Topic

_log = logging.getLogger(__name__)
_ASSIGNMENT = "assignment"


class Worker(Protocol):
    """A service's own loop."""

    inbox: Inbox

    async def start_positions(self, assigned: Assignment) -> Positions:
        """Called after every rebalance with all partitions of this worker; says where each starts."""

    async def run(self) -> None:
        """Works until it is cancelled. An exception ends the process: what is not stored is read again."""

    async def drain(self) -> None:
        """Called once before leaving, with the consumer still a member of its group."""


def serve(
    service: str, settings: Settings, worker: Worker, topics: Iterable[Topic], registry: CollectorRegistry
) -> None:
    """Run until SIGTERM. The process exits with status 1 if the loop fails, so that a supervisor starts it anew."""
    live, ready = Conditions(), Conditions({_ASSIGNMENT: "no partitions assigned yet"})
    with tempfile.TemporaryDirectory() as data, HealthServer(settings.http, registry, live, ready) as health:

        async def start_positions(assigned: Assignment) -> Positions:
            positions = await worker.start_positions(assigned)
            if ready.problems():
                ready.clear(_ASSIGNMENT)
                announce_ready(service, health.port)
            return positions

        app = create_app(f"driftsonde-{service}", settings.kafka, Path(data), start_positions)
        feed(app, topics, worker.inbox)

        async def work() -> None:
            try:
                await worker.run()
            except asyncio.CancelledError:
                raise
            except BaseException:
                _log.exception("the loop failed; leaving")
                os._exit(1)

        app.task(work)

        @app.on_before_shutdown.connect
        async def leave(*_: object, **__: object) -> None:
            await worker.drain()

        run_worker(app)
