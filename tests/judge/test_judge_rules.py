"""The judge's pipeline, case by case: what it takes, restates, compares, keeps and lets go of."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from driftsonde.adapters.detector_names import installed_detectors
from driftsonde.console.sentences import tell
from driftsonde.core.backtest import replay
from driftsonde.core.chunks import ChunkSketch, Kind, Progress, SketchKey, Source
from driftsonde.core.events import PredictionBatch, Variant
from driftsonde.core.inputs import sketch_rows
from driftsonde.core.judging import ModelState
from driftsonde.core.plan import Plan
from driftsonde.core.rebarring import KEPT, StoredWindow
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import Budget, CanaryRule, ModelSpec, PerformanceRule, Policy, QualityRule, Task
from driftsonde.core.strata import one_stratum
from driftsonde.core.verdict import Metric
from driftsonde.core.window import WindowKey, split_key
from driftsonde.judge.pipeline import JudgePipeline, Settlement
from driftsonde.judge.reports import WindowReport
from driftsonde.judge.storage import decode_state, encode_state
from judge_runs import PARTITIONS, publish, run_quietly, sources_of
from partition_oracle import expected_sketches
from partition_runs import LABEL_CHUNK, PREDICTION_CHUNK
from strategies import by_seed
from stream_examples import numeric, outcomes_sketch, plan_of, random_log

MINUTE_MS = 60_000
SPEC = ModelSpec(
    "m",
    Task.BINARY,
    window_ms=MINUTE_MS,
    lateness_ms=1_000,
    label_wait_ms=10_000,
    classes=("no", "yes"),
    policy=Policy(canary=CanaryRule(margin=0.02, min_labels=50)),
)
PLAN = plan_of(SPEC, "1", numeric("x", [0.0, 1.0, 2.0]))
END_MS = 10**9


@dataclass(slots=True)
class Desk:
    """A judge of one model with what it is told; the clock of every source but those named stands at the end."""

    plan: Plan | None = PLAN
    windows_kept: int = 100
    pipeline: JudgePipeline[str] = field(init=False)

    def __post_init__(self) -> None:
        self.pipeline = JudgePipeline(lambda model, version: self.plan, sources_of(1), self.windows_kept)
        self.pipeline.load_model("m", ModelState(), [])

    def put(
        self,
        rows: int = 0,
        outcomes: tuple[int, int] | None = None,
        *,
        window: int = 0,
        late: bool = False,
        position: int = 10,
        chunk: int = 0,
        version: str = "1",
        variant: Variant = Variant.CHAMPION,
        receipt: str = "",
    ) -> None:
        """So many rows, or (right, wrong) outcomes."""
        kind = Kind.INPUTS if outcomes is None else Kind.OUTCOMES
        topic = "predictions" if outcomes is None else "labels"
        layout = PLAN.baseline_id if outcomes is None else PLAN.outcomes.fingerprint
        key = SketchKey("m", version, variant, "", window * MINUTE_MS, kind, late, layout)
        sketch = rows_sketch(rows) if outcomes is None else labelled_sketch(*outcomes)
        message = ChunkSketch(Source(topic, 0), chunk, position, key, sketch)
        for needed in self.pipeline.needs(message):
            self.pipeline.load_window(needed, None)
        self.pipeline.take(message, receipt)

    def settle(
        self, predictions_ms: int = END_MS, labels_ms: int = END_MS, finished: int = 0
    ) -> Settlement[str]:
        for topic, time_ms in (("predictions", predictions_ms), ("labels", labels_ms)):
            self.pipeline.observe(Progress(Source(topic, 0), 0, finished, time_ms))
        return self.pipeline.settle()


def rows_sketch(rows: int) -> Sketch:
    batch = PredictionBatch(
        "m",
        "1",
        Variant.CHAMPION,
        ("i",) * rows,
        np.zeros(rows, dtype=np.int64),
        (numeric("x", [1.0] * rows),),
    )
    (sketch,) = sketch_rows(PLAN.inputs, [batch], one_stratum(rows), np.zeros((1, PLAN.inputs.sums)))
    return sketch


def labelled_sketch(right: int, wrong: int) -> Sketch:
    return outcomes_sketch(PLAN, [1] * right + [0] * wrong, [1] * (right + wrong))


def value(report: WindowReport, name: str) -> float:
    (found,) = (metric.value for metric in report.metrics if metric.name == name)
    return found


def test_a_window_is_judged_once_its_lateness_has_passed() -> None:
    desk = Desk()
    desk.put(rows=7)
    assert desk.settle(predictions_ms=MINUTE_MS + 999).as_judged == []
    out = desk.settle(predictions_ms=MINUTE_MS + 1_000)
    (report,) = out.as_judged
    assert (report.window_end_ms, report.revision, value(report, "rows")) == (MINUTE_MS, 0, 7)
    assert [r.revision for r in out.reports] == [0]
    assert desk.settle().as_judged == []


def test_outcomes_wait_for_labels_and_for_their_inputs() -> None:
    desk = Desk()
    desk.put(rows=4)
    desk.put(outcomes=(2, 1))
    early = desk.settle(predictions_ms=MINUTE_MS, labels_ms=END_MS)
    assert (early.as_judged, early.reports) == ([], [])
    out = desk.settle(labels_ms=MINUTE_MS)
    performance = [report for report in out.as_judged if not report.columns]
    (report,) = performance
    assert value(report, "accuracy") == pytest.approx(2 / 3)
    assert value(report, "label_coverage") == 0.75


def test_late_rows_restate_both_inputs_and_coverage_and_leave_what_was_judged() -> None:
    desk = Desk()
    desk.put(rows=4)
    desk.put(outcomes=(2, 1))
    desk.settle()
    desk.put(rows=2, late=True)
    out = desk.settle()
    assert out.as_judged == []
    inputs, performance = sorted(out.reports, key=lambda report: not report.columns)
    assert (value(inputs, "rows"), inputs.revision) == (6, 2)
    assert value(performance, "label_coverage") == 0.5
    desk.put(outcomes=(0, 3), late=True)
    (restated,) = desk.settle().reports
    assert value(restated, "accuracy") == pytest.approx(2 / 6)
    assert restated.revision == 3


def test_a_newer_state_of_a_chunk_replaces_the_older_and_an_older_one_nothing() -> None:
    desk = Desk()
    desk.put(rows=3, position=5, receipt="first")
    desk.put(rows=6, position=9, receipt="second")
    desk.put(rows=1, position=2, receipt="redelivered")
    out = desk.settle()
    assert sorted(out.receipts) == ["first", "redelivered"]
    assert value(out.as_judged[0], "rows") == 6
    assert out.windows == []
    assert desk.settle(finished=1).receipts == ["second"]


def test_a_finished_chunk_is_stored_and_its_redelivery_recognised() -> None:
    desk = Desk()
    desk.put(rows=3, receipt="a")
    out = desk.settle(finished=1)
    (window,) = out.windows
    assert (window.folded, out.receipts) == ({Source("predictions", 0): 0}, ["a"])
    desk.put(rows=3, position=99, receipt="again")
    again = desk.settle(finished=1)
    assert (again.receipts, again.windows, again.reports) == (["again"], [], [])


def test_few_windows_stay_and_those_with_something_open_do() -> None:
    desk = Desk(windows_kept=2)
    for window in range(6):
        desk.put(rows=3, window=window, chunk=0 if window else 1)
    desk.settle(finished=1)
    assert [key.window_start_ms // MINUTE_MS for key in sorted(desk.pipeline.models["m"].windows)] == [0, 5]


def test_nothing_is_forgotten_or_judged_while_the_model_is_not_registered() -> None:
    desk = Desk(windows_kept=0)
    desk.put(rows=3)
    desk.settle(finished=1)
    desk.plan = None
    for window in (0, 1):
        desk.put(rows=2, window=window, late=True, chunk=1)
    out = desk.settle(finished=2)
    assert (out.as_judged, out.reports) == ([], [])
    desk.plan = PLAN
    out = desk.settle(finished=2)
    assert sorted(report.window_end_ms for report in out.reports) == [MINUTE_MS, 2 * MINUTE_MS]


def test_sketches_of_another_layout_are_left_out() -> None:
    desk = Desk()
    desk.put(rows=4)
    desk.put(outcomes=(2, 1))
    assert PLAN.baseline is not None
    desk.plan = replace(
        PLAN, baseline_id="newer", outcomes=replace(PLAN.outcomes, classes=("no", "yes", "perhaps"))
    )
    out = desk.settle()
    assert (out.as_judged, out.reports) == ([], [])


def test_a_canary_is_compared_with_all_champions_of_the_same_windows() -> None:
    desk = Desk()
    for window in range(10):
        desk.put(rows=100, window=window)
        desk.put(outcomes=(45, 5), window=window)
        desk.put(outcomes=(45, 5), window=window, version="0")
        desk.put(outcomes=(24, 26), window=window, version="2", variant=Variant.CANARY)
        desk.put(outcomes=(0, 50), window=window, version="3", variant=Variant.SHADOW)
    desk.put(outcomes=(0, 99), window=11, version="2", variant=Variant.CANARY)  # no champion there
    out = desk.settle()
    asked = {(s.version, s.variant): s for s in out.signals if s.kind is SignalKind.ROLLBACK}
    assert asked.keys() == {("2", Variant.CANARY), ("3", Variant.SHADOW)}
    signal = asked["2", Variant.CANARY]
    assert (signal.version, signal.variant) == ("2", Variant.CANARY)
    windows = signal.window_end_ms // MINUTE_MS
    assert 1 < windows < 10
    (evidence,) = signal.evidence
    assert evidence.n == 50 * windows
    assert evidence.value == pytest.approx(0.48 - 0.9)
    comparison = desk.pipeline.models["m"].state.comparisons["2"]
    assert (comparison.champion.labelled, comparison.champion.correct) == (100 * windows, 90 * windows)


def test_a_model_without_labels_is_judged_by_its_inputs() -> None:
    desk = Desk()
    desk.put(rows=5)
    out = desk.settle(labels_ms=-1)
    assert len(out.as_judged) == 1
    assert out.states["m"].outcomes_until_ms == -1


@by_seed(5)
def test_rows_are_those_of_the_log_now_and_as_judged(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logs = [random_log(rng, 20) for _ in range(PARTITIONS)]
    result = run_quietly(publish(logs, rng, restarts=0), PARTITIONS)
    counts: dict[bool, dict[WindowKey, int]] = {False: {}, True: {}}
    for log in logs:
        for (_, _, key), sketch in expected_sketches(log, PREDICTION_CHUNK, LABEL_CHUNK).items():
            if key.kind is Kind.INPUTS:
                window, _ = split_key(key)
                counts[key.late][window] = counts[key.late].get(window, 0) + int(sketch.counts[0])
    on_time, late = counts[False], counts[True]
    judged = {key[0]: row for key, row in result.as_judged.items() if key[-1] == "rows"}
    assert judged == {window: rows_metric(rows) for window, rows in on_time.items()}
    restated = {key[0]: row for key, row in result.rows.items() if key[-1] == "rows"}
    assert restated == {
        window: (late.get(window, 0), rows_metric(on_time.get(window, 0) + late.get(window, 0)))
        for window in on_time.keys() | late.keys()
    }


def rows_metric(rows: int) -> tuple[str]:
    return (repr(Metric("", "rows", rows, float(rows))),)


def test_the_rows_of_champion_and_canary_are_told_as_one_volume_with_the_champion() -> None:
    desk = Desk()
    for window in range(6):
        desk.put(rows=30, window=window)
        desk.put(rows=10, window=window, variant=Variant.CANARY, version="2", chunk=1)
        desk.put(rows=40, window=window, variant=Variant.SHADOW, version="3", chunk=2)
    first = desk.settle(predictions_ms=2 * MINUTE_MS + 1_000)
    assert [(report.key.version, value(report, "freshness_s")) for report in first.told_once] == [("1", 0.0)]
    out = desk.settle()
    last = out.told_once[-1]
    assert (last.key.variant, last.revision, value(last, "volume_ratio")) == (Variant.CHAMPION, 0, 1.0)
    assert {metric.n for metric in last.metrics} == {40}
    desk.put(rows=3, window=5, late=True, chunk=3)
    assert desk.settle().told_once == []


def test_far_fewer_rows_end_in_a_quality_signal_though_they_are_too_few_for_the_columns() -> None:
    policy = replace(
        SPEC.policy,
        quality=QualityRule(volume=0.5),
        budget=Budget(learning_windows=10),
        drift=replace(SPEC.policy.drift, psi=99.0),
    )
    plan = replace(PLAN, spec=replace(SPEC, policy=policy))
    desk = Desk(plan=plan)
    for window, rows in enumerate([200] * 30 + [20] * 6 + [200] * 10):
        desk.put(rows=rows, window=window)
    out = desk.settle()
    alert, resolve = out.signals
    assert (alert.rule, alert.kind, resolve.kind) == (Rule.QUALITY, SignalKind.ALERT, SignalKind.RESOLVE)
    (evidence,) = alert.evidence
    assert (evidence.statistic, evidence.value, evidence.threshold, evidence.n) == (
        "volume_ratio",
        0.1,
        0.5,
        20,
    )
    assert 30 <= alert.window_start_ms // MINUTE_MS < 34
    state = desk.pipeline.models["m"].state
    assert encode_state(decode_state(encode_state(state))) == encode_state(state)
    assert tell(alert).what == "far fewer rows than usual came"

    found: dict[WindowKey, list[Metric]] = {}
    for report in (*out.as_judged, *out.told_once):
        found.setdefault(report.key, []).extend(metric for metric in report.metrics if metric.name in KEPT)
    stored = [StoredWindow(key, Kind.INPUTS, tuple(numbers), {}) for key, numbers in found.items()]
    assert [*map(repr, replay({"1": plan}, stored))] == [*map(repr, out.signals)]
    silent = replace(plan, spec=replace(SPEC, policy=replace(policy, quality=QualityRule())))
    assert replay({"1": silent}, stored) == []


def test_detectors_that_the_spec_names_are_told_with_the_window_and_alert_nobody() -> None:
    policy = replace(SPEC.policy, performance=PerformanceRule(drop=0.9, detectors=("adwin",)))
    desk = Desk(plan=replace(PLAN, spec=replace(SPEC, policy=policy)))
    desk.pipeline.detectors = installed_detectors()
    for window in range(6):
        desk.put(rows=300, window=window)
        desk.put(outcomes=(290, 10) if window < 3 else (150, 150), window=window)
    out = desk.settle()
    told = [report for report in out.told_once if report.metrics[0].name == "alarms_adwin"]
    assert [report.key.window_start_ms // MINUTE_MS for report in told] == [0, 1, 2, 3, 4, 5]
    alarms = [value(report, "alarms_adwin") for report in told]
    assert sum(alarms[:3]) == 0
    assert sum(alarms[3:]) >= 1
    assert {*desk.pipeline.models["m"].state.detectors} == {("1", "adwin")}
    assert [signal for signal in out.signals if signal.rule is Rule.PERFORMANCE] == []


FRESH = Policy(quality=QualityRule(freshness_ms=150_000))
FRESH_PLAN = plan_of(replace(SPEC, policy=FRESH), "1", numeric("x", [0.0, 1.0, 2.0]))


def fell_silent(clocks_ms: list[int], *, labels: bool = False) -> tuple[list[Signal], bytes]:
    """What is said of a model that has rows in three windows, none in nine, and again in four; restarted at each clock."""
    desk = Desk(plan=FRESH_PLAN)
    signals: list[Signal] = []
    for minute in (0, 1, 2, 12, 13, 14, 15):
        desk.put(rows=5, window=minute)
    if labels:
        desk.put(outcomes=(1, 1), window=4)
        desk.put(outcomes=(1, 1), window=6)
    for clock_ms in clocks_ms:
        signals += desk.settle(predictions_ms=clock_ms, labels_ms=clock_ms).signals
        model = desk.pipeline.models["m"]
        model.state = decode_state(encode_state(model.state))
    return signals, encode_state(desk.pipeline.models["m"].state)


def test_a_model_that_is_silent_for_longer_than_it_may_is_a_quality_signal_until_it_has_rows_again() -> None:
    (alert, over, again), _ = fell_silent([END_MS])
    assert (alert.kind, alert.rule, alert.version) == (SignalKind.ALERT, Rule.QUALITY, "1")
    # The newest rows are of the window that ends at minute 3; at the end of minute 6 they are older than 150 s.
    assert alert.window_end_ms == 6 * MINUTE_MS
    ((name, age_s, bar),) = [(one.statistic, one.value, one.threshold) for one in alert.evidence]
    assert (name, age_s, bar) == ("freshness_s", 180.0, 150.0)
    assert (over.kind, over.window_start_ms) == (SignalKind.RESOLVE, 14 * MINUTE_MS)
    assert (again.kind, again.window_end_ms) == (SignalKind.ALERT, 19 * MINUTE_MS)


def test_silence_is_told_when_the_logs_time_has_come_and_not_before() -> None:
    assert fell_silent([6 * MINUTE_MS + 999])[0] == []
    assert len(fell_silent([6 * MINUTE_MS + 1_000])[0]) == 1


@pytest.mark.parametrize("labels", [False, True])
def test_silence_is_the_same_however_often_one_looks(labels: bool) -> None:
    often = [*range(0, 20 * MINUTE_MS, 7_000), END_MS]
    assert repr(fell_silent(often, labels=labels)) == repr(fell_silent([END_MS], labels=labels))
    assert repr(fell_silent(often, labels=labels)[0]) == repr(fell_silent([END_MS])[0])


def test_silence_is_allowed_for_ever_unless_the_policy_has_a_limit() -> None:
    desk = Desk()
    desk.put(rows=5)
    assert desk.settle().signals == []
