"""The demo's story: a healthy stream, a fault, its repair, a bad new version. Each step waits for what the services do.

Nothing here tells the services what to find. The only special thing about them is their configuration.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import httpx
import numpy as np
from confluent_kafka import Producer

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import CompactedReader, producer_config
from driftsonde.adapters.topics import MODELS
from driftsonde.adapters.wire_models import MODEL_RECORD, ModelRecord, register, spec_record, version_record
from driftsonde.core.baseline import Baseline
from driftsonde.core.control.decisions import Kind, Step
from driftsonde.core.events import Variant
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import ActionPolicy, DriftRule, Mode, ModelSpec, Policy, QualityRule, Task
from driftsonde.standalone.cluster import Cluster
from driftsonde.standalone.demo.archive import Archive
from driftsonde.standalone.demo.classifier import Classifier, accuracy, baseline_of
from driftsonde.standalone.demo.control_log import ControlLog
from driftsonde.standalone.demo.data import CLASSES, Rows
from driftsonde.standalone.demo.expectations import CANARY_WEIGHT, HEALTHY_WINDOWS
from driftsonde.standalone.demo.facts import Canary, Facts, Retraining, Totals
from driftsonde.standalone.demo.receiver import Delivery, Receiver
from driftsonde.standalone.demo.serving import ROW_MS, Fault, Serving
from driftsonde.standalone.demo.traffic import TrafficFeed

SPEC = ModelSpec(
    name="shuttle",
    task=Task.BINARY,
    window_ms=2_000,
    lateness_ms=1_000,
    label_wait_ms=2_000,
    classes=CLASSES,
    owner="demo",
    description="Anomalies in the telemetry of NASA's Space Shuttle",
    policy=Policy(
        drift=DriftRule(retrain_after=3, resolve_after=2),
        # The other unit's values are data to learn from here, not broken data: that would bar the retraining.
        quality=QualityRule(out_of_range_rate=1.0),
        # Its windows are of seconds, and its detector has been tuned on this data: it may page at once.
        actions=ActionPolicy(retrain=Mode.AUTO, rollback=Mode.AUTO, learning_ms=0),
    ),
)
FAULTY_FEATURE = "f3"
TRAINING_ROWS, BASELINE_ROWS = 8_000, 4_000
MIN_ROWS = 20_000
_LABELLED_SHARE = 0.8  # of the incident's rows, before version 2 is trained on them
_POLL_S = 0.1
_AFTER_ROLLBACK_S = 2.0
_HTTP_S = 15.0


class NotInTime(RuntimeError):
    """Something that should have happened did not, in the time that it may take."""


class Teller(Protocol):
    """Who is told how the story goes on."""

    def phase(self, title: str, steps: int = 0) -> None:
        """A new phase begins; it has this many steps, 0 if nobody knows."""

    def say(self, text: str) -> None:
        """Something happened."""

    def reached(self, steps: int) -> None:
        """So many steps of the phase are done."""


@dataclass(slots=True)
class Story:
    """One run. Its parts are running; `play` leads them through, `facts` says what came of it."""

    cluster: Cluster
    archive: Archive
    receiver: Receiver
    log: ControlLog
    feed: TrafficFeed
    serving: Serving
    rows: Rows
    source: str
    teller: Teller
    started_ms: int = 0
    healthy_windows: int = 0
    baseline: Baseline | None = None
    retraining: Retraining | None = None
    canary: Canary | None = None
    problem: str = ""

    def play(self) -> None:
        """From the first request to the last. Where something does not come in time, `problem` says so."""
        try:
            self._begin()
            self._stay_healthy()
            self._break_sensor()
            self._repair_and_retrain()
            self._roll_out()
        except NotInTime as error:
            self.problem = str(error)
            self.teller.say(self.problem)
        self._finish()

    def _begin(self) -> None:
        self.teller.phase("Train version 1, register it, serve")
        training, reference = (
            self.rows.part(0, TRAINING_ROWS),
            self.rows.part(TRAINING_ROWS, TRAINING_ROWS + BASELINE_ROWS),
        )
        classifier = Classifier(training)
        self.serving.versions["1"] = classifier
        start_ms = self._next_window_ms()
        before = start_ms + ROW_MS * np.arange(-len(reference), 0, dtype=np.int64)
        self.baseline = baseline_of(SPEC, "1", classifier, reference, before, self.source)
        self._register(spec_record(SPEC), version_record(SPEC.name, "1", self.baseline))
        self.teller.say(
            f"version 1 learnt {len(training)} rows; right on {accuracy(classifier, reference):.1%} "
            f"of the {len(reference)} rows of its baseline"
        )
        self._split({"1": (Variant.CHAMPION, 1.0)})
        self.started_ms = max(start_ms, self._next_window_ms())
        self.serving.start(self.started_ms)

    def _stay_healthy(self) -> None:
        self.teller.phase("Healthy: nothing may alarm", HEALTHY_WINDOWS)

        def judged() -> bool:
            self.healthy_windows = self.archive.judged_windows("1")
            self.teller.reached(self.healthy_windows)
            return self.healthy_windows >= HEALTHY_WINDOWS

        self._wait("the healthy windows to be judged", 60, judged)
        self.teller.say(f"{self.healthy_windows} windows judged, {len(self.log.signals)} signals")

    def _break_sensor(self) -> None:
        self.teller.phase("Fault: a sensor's unit changes", SPEC.policy.drift.retrain_after)
        self.serving.fault = Fault(FAULTY_FEATURE, self._next_window_ms())
        self.teller.say(f"{FAULTY_FEATURE} is sent as (x − 32) / 1.8 from now on")
        self._wait_for_signal(SignalKind.ALERT, 40)
        self._wait_for_signal(SignalKind.RETRAIN, 40)
        self._wait("the retrain webhook", 20, lambda: self._delivered("retrain") is not None)
        self.teller.say("the controller called the retrain webhook; its signature is genuine")

    def _repair_and_retrain(self) -> None:
        self.teller.phase(
            "Repair, and version 2 from the rows of the incident", SPEC.policy.drift.resolve_after
        )
        fault, call = self.serving.fault, self._delivered("retrain")
        assert fault is not None and call is not None, "the phase before waits for both"
        fault.until_ms = self._next_window_ms()
        window = call.data["window"]
        self._retrain(
            *(round(datetime.fromisoformat(window[end]).timestamp() * 1000) for end in ("start", "end"))
        )
        self._wait_for_signal(SignalKind.RESOLVE, 40)

    def _retrain(self, from_ms: int, until_ms: int) -> None:
        """As a pipeline would that trusts what it is told: on the rows of the windows that the webhook names."""
        wanted = int(_LABELLED_SHARE * (until_ms - from_ms) / ROW_MS)
        self._wait(
            "labels to train on", 20, lambda: len(self.archive.labelled_rows(from_ms, until_ms)[0]) >= wanted
        )
        rows, times = self.archive.labelled_rows(from_ms, until_ms)
        cut = len(rows) * 2 // 3
        training, held_out = rows.part(0, cut), rows.part(cut, len(rows))
        classifier = Classifier(training)
        baseline = baseline_of(SPEC, "2", classifier, held_out, times[cut:], f"archive of {SPEC.name}")
        self._register(version_record(SPEC.name, "2", baseline))
        self.serving.versions["2"] = classifier
        score = accuracy(classifier, held_out)
        self.retraining = Retraining(_now_ms(), "2", cut, score)
        self.teller.say(
            f"version 2 learnt {cut} rows of the incident; right on {score:.1%} of those held out"
        )

    def _roll_out(self) -> None:
        self.teller.phase("Canary: version 2 gets a part of the traffic")
        self._split({"1": (Variant.CHAMPION, 1 - CANARY_WEIGHT), "2": (Variant.CANARY, CANARY_WEIGHT)})
        before = Counter(self.serving.served)
        self.canary = Canary(self.feed.seen[-1].at_ms)
        self.teller.say(f"the serving layer read from the topic: {CANARY_WEIGHT:.0%} to version 2")
        self._wait_for_signal(SignalKind.ROLLBACK, 60)
        self._wait("the split to be set back", 20, lambda: len(self.feed.split) == 1)
        during = Counter(self.serving.served) - before
        seen = self.feed.seen[-1]
        self.teller.say("the controller set the traffic back, and the serving layer follows")
        time.sleep(2 * _POLL_S)  # the batch in hand
        before = Counter(self.serving.served)
        time.sleep(_AFTER_ROLLBACK_S)
        after = Counter(self.serving.served) - before
        self.canary = Canary(self.canary.from_ms, seen.at_ms, during, after)
        self._wait("the decisions to be carried out", 20, self._carried_out)

    def _finish(self) -> None:
        """Stop serving, and let the services come to the end of what was sent."""
        self.teller.phase("Finish: everything sent is to be found in the archive, every label joined")
        if not self.serving.stop(SPEC.lateness_ms) and not self.problem:
            self.problem = "the client could not deliver everything"
        try:
            self._wait("the archive and the join", 30, self._settled)
        except NotInTime as error:
            self.problem = self.problem or str(error)

    def facts(self) -> Facts:
        return Facts(
            model=SPEC.name,
            window_ms=SPEC.window_ms,
            retrain_after=SPEC.policy.drift.retrain_after,
            started_ms=self.started_ms,
            healthy_windows=self.healthy_windows,
            fault=self.serving.fault,
            retraining=self.retraining,
            canary=self.canary,
            splits=self.feed.seen,
            signals=self.log.signals,
            decisions=self.log.decisions,
            deliveries=self.receiver.deliveries,
            refused=self.receiver.refused,
            verdicts=self.archive.verdicts(),
            totals=self._totals(),
            problem=self.problem,
        )

    def resume(self) -> None:
        """Go on serving, by the split of the moment."""
        self.serving.start(self._next_window_ms())

    def check(self) -> None:
        """Raises `ChildFailed` if a process has ended, and what failed in a thread."""
        self.cluster.check()
        for failure in (self.serving.failure, self.feed.failure, self.log.failure):
            if failure is not None:
                raise failure

    def _totals(self) -> Totals:
        stats = self.serving.stats
        return Totals(
            predictions=sum(self.serving.served.values()),
            labels=self.serving.labels_sent,
            labels_never=self.serving.labels_never,
            seconds=self.serving.seconds,
            dropped=stats["dropped"] + stats["invalid_calls"],
            failed=stats["failed"],
            archived_predictions=self.archive.predictions(),
            archived_labels=self.archive.labels(),
            metrics=self.archive.metrics(),
            dead_letters=max(self.log.dead_letters, self.archive.dead_letters()),
            matched=self._matched(),
        )

    def _settled(self) -> bool:
        sent = (sum(self.serving.served.values()), self.serving.labels_sent)
        stored = (self.archive.predictions(), self.archive.labels())
        # Of what is published twice, the archive keeps one.
        said = {seen.event.id for seen in self.log.signals}
        decided = {(seen.event.id, seen.event.step) for seen in self.log.decisions}
        known = (self.archive.signals(), self.archive.decisions()) == (len(said), len(decided))
        return known and stored == sent and self._matched() == self.serving.labels_sent

    def _matched(self) -> int:
        samples = self.cluster.read_metric("sketcher", "driftsonde_labels_matched_total")
        return round(sum(samples.values()))

    def _carried_out(self) -> bool:
        performed = {seen.event.kind for seen in self.log.decisions if seen.event.step is Step.PERFORMED}
        told = {delivery.type for delivery in self.receiver.deliveries}
        return {Kind.RETRAIN, Kind.ROLLBACK} <= performed and "incident.resolved" in told

    def _register(self, *records: ModelRecord) -> None:
        codec, kafka = Codec((MODEL_RECORD,)), self.cluster.settings.kafka
        reader = CompactedReader(kafka, MODELS)
        try:
            reader.refresh()
            register(Producer(producer_config(kafka)), codec, reader.state, records)
        finally:
            reader.close()

    def _split(self, split: dict[str, tuple[Variant, float]]) -> None:
        """Ask the controller for a split, and wait until the serving layer has it from the topic."""
        url = f"{self.cluster.controller_url}/v1/traffic/{SPEC.name}"
        shares = [
            {"version": version, "variant": variant.value, "weight": weight}
            for version, (variant, weight) in split.items()
        ]
        # The controller learns of a new model in the background.
        self._wait(
            "the controller to know the model",
            20,
            lambda: _known(f"{self.cluster.controller_url}/v1/models/{SPEC.name}"),
        )
        body = {"split": shares, "reason": "the demo's rollout"}
        httpx.put(url, json=body, timeout=_HTTP_S).raise_for_status()
        self._wait("the split", 20, lambda: {share.version for share in self.feed.split} == split.keys())

    def _delivered(self, endpoint: str) -> Delivery | None:
        return next((one for one in self.receiver.deliveries if one.endpoint == endpoint), None)

    def _wait_for_signal(self, kind: SignalKind, timeout_s: float) -> None:
        def found() -> bool:
            return any(seen.event.kind is kind for seen in self.log.signals)

        self._wait(f"the signal {kind}", timeout_s, found)
        signal = next(seen.event for seen in self.log.signals if seen.event.kind is kind)
        self.teller.say(f"signal: {kind}: {signal.summary}")

    def _wait(self, what: str, timeout_s: float, ready: Callable[[], bool]) -> None:
        """Raises `NotInTime`, and what `check` raises."""
        deadline_s = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline_s:
                raise NotInTime(f"waited {timeout_s:g} s for {what}")
            time.sleep(_POLL_S)

    def _next_window_ms(self) -> int:
        """The next start of a window that is not at hand already."""
        return -(-(_now_ms() + 200) // SPEC.window_ms) * SPEC.window_ms


def _known(url: str) -> bool:
    return httpx.get(url, timeout=_HTTP_S).is_success


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
