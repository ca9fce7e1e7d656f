"""Delivers messages to endpoints beside everything else: in order per incident, again and again, in bounded memory.

All of it runs in one event loop in a thread of its own, so that a slow or dead endpoint holds up nobody but itself.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from driftsonde.adapters.metrics import Metrics
from driftsonde.adapters.webhook import Sender
from driftsonde.controller.config import Endpoint
from driftsonde.core.control.inputs import Outcome
from driftsonde.core.control.retry import Again, Delivered, GivenUp, after
from driftsonde.core.control.state import Effect

MAX_PENDING = 10_000
CONCURRENCY = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way. Those of one `lane` arrive in their order."""

    effect: Effect
    lane: str
    body: bytes


@dataclass(slots=True)
class _Lanes:
    """The deliveries to one endpoint. `count` is how many are held; `paused_until` is in the loop's time."""

    endpoint: Endpoint
    lanes: dict[str, deque[Delivery]] = field(default_factory=dict)
    running: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENCY))
    count: int = 0
    paused_until: float = 0.0
    disabled: bool = False


@dataclass(slots=True)
class Deliveries:
    """`randomness` gives numbers in [0, 1) that spread the waits. Nothing is sent before `start`."""

    sender: Callable[[], Sender]
    endpoints: tuple[Endpoint, ...]
    delays_ms: tuple[int, ...]
    randomness: Callable[[], float]
    metrics: Metrics
    max_pending: int = MAX_PENDING
    _loop: asyncio.AbstractEventLoop = field(init=False, default_factory=asyncio.new_event_loop)
    _thread: threading.Thread = field(init=False)
    _on_outcome: Callable[[Outcome], None] = field(init=False)
    _by_name: dict[str, _Lanes] = field(init=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _tasks: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    _client: Sender = field(init=False)

    def __post_init__(self) -> None:
        self._by_name = {endpoint.name: _Lanes(endpoint) for endpoint in self.endpoints}
        self._client = self.sender()
        self._thread = threading.Thread(target=self._loop.run_forever, name="deliveries", daemon=True)

    def start(self, on_outcome: Callable[[Outcome], None]) -> None:
        """`on_outcome` is called in the loop's thread, once for each delivery, with what came of it."""
        self._on_outcome = on_outcome
        self._thread.start()

    def has(self, name: str) -> bool:
        return name in self._by_name

    def offer(self, name: str, delivery: Delivery) -> bool:
        """Take on a delivery; False where the endpoint has too many waiting: offer it again later."""
        lanes = self._by_name[name]
        with self._lock:
            if lanes.count >= self.max_pending:
                return False
            lanes.count += 1
        self._loop.call_soon_threadsafe(self._enqueue, lanes, delivery)
        return True

    def clear(self) -> None:
        """Drop everything, and what is under way with it: no outcome comes of it."""
        asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result()

    def stop(self) -> None:
        """End at once. What is under way counts as not delivered, and is sent again after the next start."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lanes in self._by_name.values():
            lanes.lanes.clear()
            with self._lock:
                lanes.count = 0
            self._show_fill(lanes)

    async def _end(self) -> None:
        await self._cancel()
        await self._client.close()

    def _enqueue(self, lanes: _Lanes, delivery: Delivery) -> None:
        waiting = lanes.lanes.get(delivery.lane)
        if waiting is not None:
            waiting.append(delivery)
            return
        lanes.lanes[delivery.lane] = deque((delivery,))
        task = self._loop.create_task(self._run_lane(lanes, delivery.lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_lane(self, lanes: _Lanes, lane: str) -> None:
        waiting = lanes.lanes[lane]
        while waiting:
            try:
                outcome = await self._deliver(lanes, waiting[0])
            except Exception as error:
                # A defect of ours costs this message, and says so; it must not stop the lane.
                _log.exception("delivery failed", extra={"endpoint": lanes.endpoint.name})
                outcome = Outcome(waiting[0].effect, f"{type(error).__name__}: {error}", 0)
            waiting.popleft()
            with self._lock:
                lanes.count -= 1
            self._show_fill(lanes)
            self._on_outcome(outcome)
        del lanes.lanes[lane]

    async def _deliver(self, lanes: _Lanes, delivery: Delivery) -> Outcome:
        attempt = 0
        while True:
            if lanes.disabled:
                return Outcome(delivery.effect, "the endpoint is disabled: it answered 410 earlier", attempt)
            pause_s = lanes.paused_until - self._loop.time()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
                continue
            attempt += 1
            async with lanes.running:
                self._show_fill(lanes)
                endpoint = lanes.endpoint
                answer = await self._client.send(
                    endpoint.url, endpoint.keys, delivery.effect.id, delivery.body
                )
            match after(answer, attempt, self.delays_ms, self.randomness()):
                case Delivered():
                    self._count(endpoint, "delivered")
                    return Outcome(delivery.effect, "", attempt)
                case GivenUp(reason, disable):
                    lanes.disabled = lanes.disabled or disable
                    self._count(endpoint, "failed")
                    _log.error("delivery given up", extra={"endpoint": endpoint.name, "problem": reason})
                    return Outcome(delivery.effect, reason, attempt)
                case Again(delay_ms, pause):
                    self._count(endpoint, "retried")
                    if pause:
                        lanes.paused_until = max(lanes.paused_until, self._loop.time() + delay_ms / 1000)
                    await asyncio.sleep(delay_ms / 1000)

    def _count(self, endpoint: Endpoint, result: str) -> None:
        self.metrics.webhook_deliveries.labels(endpoint=endpoint.name, result=result).inc()

    def _show_fill(self, lanes: _Lanes) -> None:
        ratio = lanes.count / self.max_pending
        self.metrics.buffer_fill_ratio.labels(buffer=f"webhooks-{lanes.endpoint.name}").set(ratio)
