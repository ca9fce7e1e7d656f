"""What happened in a run of the demo, and the timeline that it makes. Times are wall clock in milliseconds, UTC."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from driftsonde.core.control.decisions import Decision
from driftsonde.core.events import Variant
from driftsonde.core.signals import Signal, SignalKind
from driftsonde.standalone.demo.archive import Verdict
from driftsonde.standalone.demo.control_log import Seen
from driftsonde.standalone.demo.receiver import Delivery
from driftsonde.standalone.demo.serving import Fault
from driftsonde.standalone.demo.traffic import SplitSeen

Served = Mapping[tuple[str, Variant], int]


@dataclass(frozen=True, slots=True)
class Retraining:
    """A version trained from the archive: on how many rows, and how often it was right on rows held out of them."""

    at_ms: int
    version: str
    rows: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class Canary:
    """When the serving layer began to send requests to it, what was served while it did, and what was served in some
    time after it had seen the split set back."""

    from_ms: int
    until_ms: int | None = None
    during: Served = field(default_factory=dict)
    after: Served = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Totals:
    """Rows and messages, as the clients counted them and as the store has them."""

    predictions: int
    labels: int
    labels_never: int
    seconds: float
    dropped: int
    failed: int
    archived_predictions: int
    archived_labels: int
    metrics: int
    dead_letters: int
    matched: int

    @property
    def rows_per_s(self) -> float:
        return (self.predictions + self.labels) / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """`problem` says why the story ended early, "" if it did not."""

    model: str
    window_ms: int
    retrain_after: int
    started_ms: int
    healthy_windows: int
    fault: Fault | None
    retraining: Retraining | None
    canary: Canary | None
    splits: tuple[SplitSeen, ...]
    signals: tuple[Seen[Signal], ...]
    decisions: tuple[Seen[Decision], ...]
    deliveries: tuple[Delivery, ...]
    refused: int
    verdicts: tuple[Verdict, ...]
    totals: Totals
    problem: str = ""

    def first(self, kind: SignalKind) -> Seen[Signal] | None:
        return next((seen for seen in self.signals if seen.event.kind is kind), None)

    def false_alarms(self) -> tuple[Signal, ...]:
        """Signals of trouble about windows that the fault did not touch; a rollback is about the canary."""
        return tuple(
            seen.event
            for seen in self.signals
            if seen.event.kind in (SignalKind.ALERT, SignalKind.RETRAIN) and not self._touched(seen.event)
        )

    def cause_ms(self, signal: Signal) -> int | None:
        """When that began which a signal is about."""
        match signal.kind:
            case SignalKind.ROLLBACK:
                return self.canary.from_ms if self.canary else None
            case SignalKind.RESOLVE:
                return self.fault.until_ms if self.fault else None
            case _:
                return self.fault.from_ms if self.fault else None

    def windows_after_cause(self, signal: Signal) -> int | None:
        """How many windows it took, counted from the one in which the cause began."""
        cause_ms = self.cause_ms(signal)
        if cause_ms is None:
            return None
        return (signal.window_start_ms - (cause_ms - cause_ms % self.window_ms)) // self.window_ms + 1

    def _touched(self, signal: Signal) -> bool:
        if self.fault is None or signal.window_end_ms <= self.fault.from_ms:
            return False
        return self.fault.until_ms is None or signal.window_start_ms < self.fault.until_ms


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of the timeline. after_ms: how long after its cause, None where it is one itself."""

    at_ms: int
    what: str
    evidence: str = ""
    after_ms: int | None = None
    after_windows: int | None = None


def timeline(facts: Facts) -> list[Happening]:
    """All that happened, in the order of time."""
    happenings = [*_causes(facts), *_signals(facts), *_deliveries(facts), *_splits(facts)]
    return sorted(happenings, key=lambda happening: happening.at_ms)


def _causes(facts: Facts) -> Iterator[Happening]:
    yield Happening(facts.started_ms, "version 1 serves", "all requests")
    if facts.fault:
        evidence = f"{facts.fault.feature} is sent as (x − 32) / 1.8"
        yield Happening(facts.fault.from_ms, "FAULT: a sensor's unit changes", evidence)
        if facts.fault.until_ms is not None:
            evidence = f"{facts.fault.feature} is sent in its own unit again"
            yield Happening(facts.fault.until_ms, "REPAIR: the sensor is set right", evidence)
    if facts.retraining:
        done = facts.retraining
        evidence = f"on {done.rows} rows of the incident; right on {done.accuracy:.1%} of those held out"
        yield Happening(done.at_ms, f"version {done.version} is trained", evidence)


def _signals(facts: Facts) -> Iterator[Happening]:
    for seen in facts.signals:
        signal, cause_ms = seen.event, facts.cause_ms(seen.event)
        after_ms = None if cause_ms is None else seen.at_ms - cause_ms
        what = f"signal: {signal.kind}, {signal.rule}, version {signal.version}"
        yield Happening(seen.at_ms, what, _evidence(signal), after_ms, facts.windows_after_cause(signal))


def _evidence(signal: Signal) -> str:
    if signal.kind is SignalKind.RESOLVE or not signal.evidence:
        return signal.summary
    strongest = signal.evidence[0]
    place = f" of {strongest.column}" if strongest.column else ""
    more = f" and {len(signal.evidence) - 1} more" if len(signal.evidence) > 1 else ""
    return (
        f"{strongest.statistic}{place} {strongest.value:.3g}, limit {strongest.threshold:.3g}, "
        f"n {strongest.n}{more}"
    )


def _deliveries(facts: Facts) -> Iterator[Happening]:
    causes = {seen.event.id: facts.cause_ms(seen.event) for seen in facts.signals}
    for delivery in facts.deliveries:
        if delivery.type.endswith(".decided"):
            continue  # the message that it is carried out follows
        cause_ms = causes.get((delivery.data.get("signal") or {}).get("id", ""))
        after_ms = None if cause_ms is None else delivery.at_ms - cause_ms
        what = f"webhook to {delivery.endpoint}: {delivery.type}"
        yield Happening(delivery.at_ms, what, "signature verified", after_ms)


def _splits(facts: Facts) -> Iterator[Happening]:
    for seen in facts.splits:
        shares = ", ".join(
            f"version {share.version} {share.weight:.0%} ({share.variant})" for share in seen.traffic.split
        )
        is_cause = facts.canary is not None and seen.at_ms == facts.canary.from_ms
        what = "CANARY: the serving layer sees the split" if is_cause else "the serving layer sees the split"
        back = facts.canary is not None and seen.at_ms == facts.canary.until_ms
        after_ms = seen.at_ms - facts.canary.from_ms if facts.canary and back else None
        yield Happening(seen.at_ms, what, shares, after_ms)
