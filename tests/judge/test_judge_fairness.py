"""The whole model's report compares the protected groups: as judged, and again when one group has news."""

from dataclasses import replace

import numpy as np

from driftsonde.core.chunks import ChunkSketch, Kind, Progress, SketchKey, Source
from driftsonde.core.events import Variant
from driftsonde.core.group_fairness import judge_fairness
from driftsonde.core.judging import OUTCOME_RULES, JudgedWindow, ModelState, apply_rules
from driftsonde.core.signals import Signal
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import FairnessRule, ModelSpec, PerformanceRule, Policy, Task
from driftsonde.core.verdict import Metric
from driftsonde.core.window import Window, WindowKey
from driftsonde.judge.pipeline import JudgePipeline
from driftsonde.judge.reports import WindowReport
from judge_runs import sources_of
from stream_examples import categorical, outcomes_sketch, plan_of

MINUTE_MS = 60_000
SPEC = ModelSpec(
    "m",
    Task.BINARY,
    window_ms=MINUTE_MS,
    lateness_ms=1_000,
    label_wait_ms=10_000,
    policy=Policy(performance=PerformanceRule(min_labels=20)),
)
PLAN = plan_of(SPEC, "1", categorical("sex", ["f", "m"]), categorical("prediction", ["0", "1"]))
LABELS = Source("labels", 0)
END_MS = 10**9


def group(rows: int, selected: int) -> Sketch:
    """So many rows, all rightly predicted, of which so many are selected."""
    chosen = [1] * selected + [0] * (rows - selected)
    return outcomes_sketch(PLAN, chosen, chosen)


def put(
    pipeline: JudgePipeline[int],
    chunk: int,
    parts: dict[str, Sketch],
    stored: dict[WindowKey, Window],
    late: bool,
) -> list[WindowKey]:
    """One chunk of labels: a sketch for each segment. Returns the windows that had to be loaded."""
    loaded: list[WindowKey] = []
    for segment, sketch in parts.items():
        key = SketchKey(
            "m", "1", Variant.CHAMPION, segment, 0, Kind.OUTCOMES, late, PLAN.outcomes.fingerprint
        )
        message = ChunkSketch(LABELS, chunk, chunk * 10 + 9, key, sketch)
        for needed in pipeline.needs(message):
            loaded.append(needed)
            pipeline.load_window(needed, stored.get(needed))
        pipeline.take(message, chunk)
    return loaded


def parity(reports: list[WindowReport]) -> Metric:
    """The last word on the ratio of the selection rates."""
    return [
        metric
        for report in reports
        if report.key.segment == ""
        for metric in report.metrics
        if (metric.column, metric.name) == ("sex", "demographic_parity_ratio")
    ][-1]


def test_groups_are_compared_as_judged_and_restated_from_the_store() -> None:
    pipeline: JudgePipeline[int] = JudgePipeline(lambda model, version: PLAN, sources_of(1), windows_kept=0)
    pipeline.load_model("m", ModelState(), [])
    put(pipeline, 0, {"": group(200, 80), "sex=f": group(100, 20), "sex=m": group(100, 60)}, {}, late=False)
    for source in (Source("predictions", 0), LABELS):
        pipeline.observe(Progress(source, 10, 1, END_MS))
    first = pipeline.settle()
    assert np.isclose(parity(first.as_judged).value, 20 / 60)
    assert parity(first.as_judged).n == 200
    assert np.isclose(parity(first.reports).value, 20 / 60)
    assert not pipeline.models["m"].windows  # nothing is kept in memory

    # Late labels of one group: what the other one had comes from the store.
    stored = {window.key: window for window in first.windows}
    loaded = put(pipeline, 1, {"": group(50, 40), "sex=f": group(50, 40)}, stored, late=True)
    assert {key.segment for key in loaded} == {"", "sex=f", "sex=m"}
    second = pipeline.settle()
    assert second.as_judged == []
    assert np.isclose(parity(second.reports).value, (60 / 150) / (60 / 100))
    assert parity(second.reports).n == 250


def fairness_signals(rule: FairnessRule, selected: list[int], rows: int = 400) -> list[tuple[str, str, int]]:
    """Windows in which of so many rows of each group half of the men are selected, and so many women."""
    policy = Policy(performance=PerformanceRule(min_labels=20), fairness=rule)
    plan = replace(PLAN, spec=replace(SPEC, policy=policy))
    state, signals = ModelState(), list[Signal]()
    for number, women in enumerate(selected, 1):
        groups = {"sex=f": group(rows, women), "sex=m": group(rows, rows // 2)}
        key = WindowKey(number * MINUTE_MS, "m", "1", Variant.CHAMPION, "")
        judged = JudgedWindow(key, plan, tuple(judge_fairness(plan, groups, judged=True)))
        state, said = apply_rules(state, [judged], OUTCOME_RULES)
        signals.extend(said)
    return [(s.rule.value, s.kind.value, s.window_start_ms // MINUTE_MS) for s in signals]


def test_a_disparity_that_lasts_alarms_where_the_policy_asks_for_it_and_ends() -> None:
    fair, unfair = 200, 80  # 0.5 and 0.2: less than four fifths
    windows = [fair, unfair, fair, unfair, unfair, unfair, fair, fair, fair]
    told = fairness_signals(FairnessRule(alert_after=2), windows)
    assert told == [("fairness", "alert", 5), ("fairness", "resolve", 9)]
    assert fairness_signals(FairnessRule(), windows) == []


def test_no_verdict_on_few_rows_or_within_the_bars() -> None:
    assert fairness_signals(FairnessRule(alert_after=1), [4] * 3, rows=19) == []  # fewer than min_labels
    assert (
        fairness_signals(FairnessRule(alert_after=1), [6] * 3, rows=24) == []
    )  # the interval has the bar in it
    assert fairness_signals(FairnessRule(alert_after=1), [175] * 3) == []
    generous = FairnessRule(difference=0.5, ratio=0.2, alert_after=1)
    assert fairness_signals(generous, [80] * 3) == []
