"""Delivers messages to endpoints beside everything else: in order per incident, again and again, in bounded memory.

All of it runs in one event loop in a thread of its own, so that a slow or dead endpoint holds up nobody but itself.
"""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from driftsonde.adapters.metrics import Metrics
from driftsonde.adapters.outbound import Reply, Request, Sender
from driftsonde.adapters.talk import FoundVersion, Pause, Started, Talk, WriteFile
from driftsonde.core.control.inputs import Begun, Found, Outcome
from driftsonde.core.control.retry import Again, Delivered, GivenUp, after
from driftsonde.core.control.state import Effect

MAX_PENDING = 10_000
CONCURRENCY = 4

_log = logging.getLogger(__name__)


REPLACED = "a newer one took its place"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something on its way to an endpoint; what comes of it is the outcome of each of its effects.

    Those of one `lane` arrive in their order. within_s: how long it may take in all. newest_only: it gives up its
    place as soon as a newer one waits in its lane, because that says all that counts.
    """

    effects: tuple[Effect, ...]
    lane: str
    talk: Talk
    within_s: float | None = None
    newest_only: bool = False


@dataclass(slots=True)
class _Lane:
    waiting: deque[Delivery]
    newer: asyncio.Event = field(default_factory=asyncio.Event)

    def replaced(self) -> bool:
        """Whether the first one is to give up its place."""
        return self.waiting[0].newest_only and len(self.waiting) > 1

    async def wait(self, delay_s: float) -> None:
        """Wait so long, or until the first one is replaced."""
        self.newer.clear()
        if self.replaced():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self.newer.wait()


@dataclass(slots=True)
class _Lanes:
    """The deliveries to one endpoint. `count` is how many are held; `paused_until` is in the loop's time."""

    name: str
    lanes: dict[str, _Lane] = field(default_factory=dict)
    running: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENCY))
    count: int = 0
    paused_until: float = 0.0
    disabled: bool = False


@dataclass(slots=True)
class Deliveries:
    """Deliveries to the endpoints of these names.

    `randomness` gives numbers in [0, 1) that spread the waits. Nothing is sent before `start`.
    """

    sender: Callable[[], Sender]
    endpoints: tuple[str, ...]
    delays_ms: tuple[int, ...]
    randomness: Callable[[], float]
    metrics: Metrics
    max_pending: int = MAX_PENDING
    _loop: asyncio.AbstractEventLoop = field(init=False, default_factory=asyncio.new_event_loop)
    _thread: threading.Thread = field(init=False)
    _report: Callable[[Outcome | Begun | Found], None] = field(init=False)
    _by_name: dict[str, _Lanes] = field(init=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _tasks: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    _client: Sender = field(init=False)

    def __post_init__(self) -> None:
        self._by_name = {name: _Lanes(name) for name in self.endpoints}
        self._client = self.sender()
        self._thread = threading.Thread(target=self._loop.run_forever, name="deliveries", daemon=True)

    def start(self, report: Callable[[Outcome | Begun | Found], None]) -> None:
        """`report` is called in the loop's thread: once for each effect with what came of it, and before that
        where it was begun and goes on elsewhere."""
        self._report = report
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
        lane = lanes.lanes.get(delivery.lane)
        if lane is not None:
            lane.waiting.append(delivery)
            lane.newer.set()
            return
        lanes.lanes[delivery.lane] = _Lane(deque((delivery,)))
        task = self._loop.create_task(self._run_lane(lanes, delivery.lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_lane(self, lanes: _Lanes, name: str) -> None:
        lane = lanes.lanes[name]
        while lane.waiting:
            delivery = lane.waiting[0]
            try:
                problem, attempts = await self._deliver(lanes, lane, delivery)
            except Exception as error:
                # A defect of ours costs this message, and says so; it must not stop the lane.
                _log.exception("delivery failed", extra={"endpoint": lanes.name})
                problem, attempts = f"{type(error).__name__}: {error}", 0
            lane.waiting.popleft()
            with self._lock:
                lanes.count -= 1
            self._show_fill(lanes)
            for effect in delivery.effects:
                self._report(Outcome(effect, problem, attempts, replaced=problem == REPLACED))
        del lanes.lanes[name]

    async def _deliver(self, lanes: _Lanes, lane: _Lane, delivery: Delivery) -> tuple[str, int]:
        """What is wrong ("" if nothing), and the number of tries."""
        tries = _Tries()
        try:
            async with asyncio.timeout(delivery.within_s):
                problem = await self._converse(lanes, lane, delivery, tries)
        except TimeoutError:
            problem = f"not at its end after {delivery.within_s:g} s"
        replaced = problem == REPLACED
        self._count(lanes, "replaced" if replaced else "failed" if problem else "delivered")
        if problem and not replaced:
            _log.error("delivery given up", extra={"endpoint": lanes.name, "problem": problem})
        return problem, tries.count

    async def _converse(self, lanes: _Lanes, lane: _Lane, delivery: Delivery, tries: "_Tries") -> str:
        reply: Reply | None = None
        while not lane.replaced():
            try:
                asked = delivery.talk.send(reply)
            except StopIteration as end:
                return str(end.value)
            reply = None
            match asked:
                case Request():
                    tried = await self._ask(lanes, lane, asked, tries)
                    if isinstance(tried, str):
                        return tried
                    reply = tried
                case Pause(delay_ms):
                    await lane.wait(delay_ms / 1000)
                case Started(run):
                    for effect in delivery.effects:
                        self._report(Begun(effect, run))
                case FoundVersion(version, origin):
                    for effect in delivery.effects:
                        self._report(Found(effect, version, origin))
                case WriteFile(path, content):
                    try:
                        await asyncio.to_thread(write_whole, path, content)
                    except OSError as error:
                        return str(error)
        return REPLACED

    async def _ask(self, lanes: _Lanes, lane: _Lane, request: Request, tries: "_Tries") -> Reply | str:
        """The reply, or why there is none."""
        attempt = 0
        while not lane.replaced():
            if lanes.disabled:
                return "the endpoint is disabled: it answered 410 earlier"
            pause_s = lanes.paused_until - self._loop.time()
            if pause_s > 0:
                await lane.wait(pause_s)
                continue
            attempt += 1
            tries.count += 1
            async with lanes.running:
                self._show_fill(lanes)
                reply = await self._client.send(request)
            if reply.status in request.accept:
                return reply
            match after(reply.answer, attempt, self.delays_ms, self.randomness()):
                case Delivered():
                    return reply
                case GivenUp(reason, disable):
                    lanes.disabled = lanes.disabled or disable
                    return reason
                case Again(delay_ms, pause):
                    self._count(lanes, "retried")
                    if pause:
                        lanes.paused_until = max(lanes.paused_until, self._loop.time() + delay_ms / 1000)
                    await lane.wait(delay_ms / 1000)
        return REPLACED

    def _count(self, lanes: _Lanes, result: str) -> None:
        self.metrics.webhook_deliveries.labels(endpoint=lanes.name, result=result).inc()

    def _show_fill(self, lanes: _Lanes) -> None:
        ratio = lanes.count / self.max_pending
        self.metrics.buffer_fill_ratio.labels(buffer=f"webhooks-{lanes.name}").set(ratio)


@dataclass(slots=True)
class _Tries:
    count: int = 0


def write_whole(path: Path, content: bytes) -> None:
    """Put the content beside its place, then into it: a reader never sees half of it. Raises OSError."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(content)
    draft.replace(path)
