"""What the judge does with the sketches of one partition. Pure: it says which windows it needs from the store, and
returns what should be stored and published.

take sketches → fold finished chunks → close windows in the order of event time → numbers → rules → rows and signals
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

from driftsonde.core.chunks import NO_TIME_MS, WHOLE, ChunkSketch, Kind, Progress, SketchKey, Source
from driftsonde.core.detecting import Build, detect, detectors_of
from driftsonde.core.events import Variant
from driftsonde.core.judging import (
    INPUT_RULES,
    OUTCOME_RULES,
    JudgedWindow,
    ModelState,
    apply_rules,
    judged_inputs,
)
from driftsonde.core.pairs import Pairs, pairs_layout, pairs_of
from driftsonde.core.plan import Plan
from driftsonde.core.reigns import Arm
from driftsonde.core.signals import Rule, Signal
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import Task
from driftsonde.core.statistics.detectors import OutcomeDetector
from driftsonde.core.verdict import Metric, inputs_count, late_changes, outcomes_count
from driftsonde.core.versions import arm_of, compare_versions, compared
from driftsonde.core.volume import held_to_freshness, observe_volume, silent_windows
from driftsonde.core.watching_volume import watch_volume
from driftsonde.core.window import PartKey, Window, WindowKey, split_key
from driftsonde.judge.reports import WindowReport, by_group, group_segments, report_inputs, report_outcomes

# What acknowledges one message of the sketches topic; the pipeline only hands it back.
R = TypeVar("R")

Plans = Callable[[str, str], Plan | None]

# Beyond the bound, one in so many windows is forgotten besides.
_FORGOTTEN_AHEAD = 10


@dataclass(slots=True)
class Settlement(Generic[R]):
    """What one round comes to; `told_once` are numbers that look back: told as judged, which is as known now. In this order:
    store the reports, publish the signals, store the windows and then the model states, acknowledge the receipts. A crash
    in between repeats the round with the same rows and signal ids.
    """

    reports: list[WindowReport] = field(default_factory=list)
    as_judged: list[WindowReport] = field(default_factory=list)
    told_once: list[WindowReport] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    states: dict[str, ModelState] = field(default_factory=dict)
    receipts: list[R] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (
            self.reports
            or self.as_judged
            or self.told_once
            or self.windows
            or self.signals
            or self.states
            or self.receipts
        )


@dataclass(slots=True)
class _Model:
    """A loaded model: its state and its windows in memory. `changed` are the windows with something new to report,
    `unjudged` those that may still have to be judged: few, however many are in memory."""

    name: str
    state: ModelState
    windows: dict[WindowKey, Window] = field(default_factory=dict)
    changed: set[tuple[WindowKey, Kind]] = field(default_factory=set)
    detectors: dict[tuple[str, str], OutcomeDetector] = field(default_factory=dict)
    unjudged: dict[Kind, set[WindowKey]] = field(default_factory=lambda: {kind: set() for kind in Kind})

    def add(self, window: Window) -> None:
        self.windows[window.key] = window
        for keys in self.unjudged.values():
            keys.add(window.key)

    def drop(self, key: WindowKey) -> None:
        del self.windows[key]
        for keys in self.unjudged.values():
            keys.discard(key)


@dataclass(slots=True)
class JudgePipeline(Generic[R]):
    """State of one partition of the sketches topic.

    sources: every partition of the raw topics by kind; a window closes when all of its kind have passed it.
    windows_kept: how many windows of a model stay in memory once nothing is expected of them. detectors: what builds those
    that a spec names; without it none is run.
    """

    plans: Plans
    sources: Mapping[Kind, frozenset[Source]]
    windows_kept: int
    detectors: Build | None = None
    clocks: dict[Source, Progress] = field(default_factory=dict)
    models: dict[str, _Model] = field(default_factory=dict)
    receipts: dict[tuple[Source, int, SketchKey], tuple[int, R]] = field(default_factory=dict)
    superseded: list[R] = field(default_factory=list)

    def load_model(self, model: str, state: ModelState, windows: Iterable[Window]) -> None:
        """Start from what the store has: the model's state and every window not yet judged."""
        self.models[model] = _Model(model, state)
        for window in windows:
            self.models[model].add(window)

    def needs(self, sketch: ChunkSketch) -> tuple[WindowKey, ...]:
        """The windows that have to be loaded from the store before the sketch can be taken: its own and, since fairness is
        between groups, with the whole model or a group of a protected column those of all groups."""
        key, _ = split_key(sketch.key)
        model = self.models[key.model]
        # Windows not yet judged were loaded with the model and are never forgotten: one that isn't here is new.
        if key.window_start_ms >= model.state.settled_until_ms:
            return ()
        return tuple(wanted for wanted in self._compared_with(key) if wanted not in model.windows)

    def _compared_with(self, key: WindowKey) -> tuple[WindowKey, ...]:
        """The window, and those whose numbers are told together with its own."""
        groups = self._groups(key)
        if not groups or key.segment not in (WHOLE, *groups):
            return (key,)
        return (key, *(replace(key, segment=other) for other in (WHOLE, *groups) if other != key.segment))

    def _groups(self, key: WindowKey) -> tuple[str, ...]:
        """The segments of the version's protected groups."""
        plan = self.plans(key.model, key.version)
        return group_segments(plan) if plan else ()

    def load_window(self, key: WindowKey, window: Window | None) -> None:
        """Add one window: as stored, or a new one."""
        self.models[key.model].add(window or Window(key))

    def take(self, sketch: ChunkSketch, receipt: R) -> None:
        """Keep the newest state of an open chunk; what it replaces can be acknowledged."""
        key, part = split_key(sketch.key)
        model = self.models[key.model]
        if key not in model.windows:
            model.add(Window(key))
        window = model.windows[key]
        identity = (sketch.source, sketch.chunk, sketch.key)
        position, known = self.receipts.get(identity, (-1, None))
        if sketch.chunk <= window.folded.get(sketch.source, -1) or sketch.position < position:
            self.superseded.append(receipt)
            return
        if known is not None:
            self.superseded.append(known)
        self.receipts[identity] = (sketch.position, receipt)
        window.put(sketch.source, sketch.chunk, part, sketch.sketch)
        model.changed.add((key, part.kind))
        if part.kind is Kind.INPUTS:
            model.changed.add((key, Kind.OUTCOMES))  # the share of labelled rows has changed with the rows
        elif key.segment != WHOLE and key.segment in self._groups(key):
            whole = replace(key, segment=WHOLE)
            if whole in model.windows:
                model.changed.add((whole, Kind.OUTCOMES))  # the whole model's report compares the groups

    def observe(self, progress: Progress) -> None:
        """Note how far a source has come; what it had said before from further on stays."""
        known = self.clocks.get(progress.source)
        if known is None:
            self.clocks[progress.source] = progress
        else:
            self.clocks[progress.source] = Progress(
                progress.source,
                max(known.position, progress.position),
                max(known.finished_below, progress.finished_below),
                max(known.event_time_ms, progress.event_time_ms),
            )

    def without_baseline(self) -> list[tuple[str, str, int]]:
        """The versions in sight that have no baseline: (model, version, event time below which they are judged)."""
        return sorted(
            {
                (name, key.version, model.state.inputs_until_ms)
                for name, model in self.models.items()
                for key in model.windows
                if (plan := self.plans(name, key.version)) is not None and plan.baseline is None
            }
        )

    def clocks_of(self, kind: Kind) -> dict[Source, Progress]:
        """How far each source of the kind that has been heard of has come."""
        return {source: self.clocks[source] for source in self.sources[kind] if source in self.clocks}

    def settle(self) -> Settlement[R]:
        """Fold what is finished, judge what is due, and report what changed."""
        out: Settlement[R] = Settlement(receipts=self.superseded)
        self.superseded = []
        self._fold_finished(out)
        for name, model in self.models.items():
            before = model.state
            self._judge(model, Kind.INPUTS, out)
            self._judge(model, Kind.OUTCOMES, out)
            self._restate(model, out)
            if model.state != before:
                out.states[name] = model.state
            self._forget(model)
        return out

    def _fold_finished(self, out: Settlement[R]) -> None:
        done: set[tuple[str, WindowKey]] = set()
        for identity in [i for i in self.receipts if i[1] < self._finished_below(i[0])]:
            source, _, sketch_key = identity
            key, _ = split_key(sketch_key)
            window = self.models[key.model].windows[key]
            window.finish(source, self._finished_below(source))
            out.receipts.append(self.receipts.pop(identity)[1])
            done.add((key.model, key))
        out.windows.extend(self.models[model].windows[key] for model, key in sorted(done))

    def _finished_below(self, source: Source) -> int:
        progress = self.clocks.get(source)
        return progress.finished_below if progress else 0

    def clock_ms(self, kind: Kind) -> int:
        """The event time that every source of the kind has reached."""
        sources = self.sources[kind]
        return min(
            (
                self.clocks[source].event_time_ms if source in self.clocks else NO_TIME_MS
                for source in sources
            ),
            default=NO_TIME_MS,
        )

    def _judge(self, model: _Model, kind: Kind, out: Settlement[R]) -> None:
        """Judge every window of the kind whose time has come, one window start after the other."""
        until_ms = model.state.inputs_until_ms if kind is Kind.INPUTS else model.state.outcomes_until_ms
        clock_ms = self.clock_ms(kind)
        due: dict[int, list[tuple[Window, Plan]]] = {}
        for key in [*model.unjudged[kind]]:
            plan = self.plans(key.model, key.version)
            if plan is None:
                continue
            window, end_ms = model.windows[key], key.window_start_ms + plan.spec.window_ms
            if end_ms <= until_ms:
                model.unjudged[kind].discard(key)
                continue
            if kind is Kind.OUTCOMES and end_ms > model.state.inputs_until_ms:
                continue  # its rows are not complete, so its label coverage is not known
            if end_ms + _wait_ms(plan, kind) <= clock_ms:
                due.setdefault(window.key.window_start_ms, []).append((window, plan))
        for start_ms in sorted(due):
            if kind is Kind.INPUTS:
                self._judge_silence(model, start_ms, out)
            windows = sorted(due[start_ms], key=lambda pair: pair[0].key)
            end_ms = start_ms + windows[0][1].spec.window_ms
            if kind is Kind.INPUTS:
                self._judge_inputs(model, windows, out)
                model.state = replace(model.state, inputs_until_ms=end_ms)
            else:
                self._judge_outcomes(model, windows, out)
                model.state = replace(model.state, outcomes_until_ms=end_ms)
            model.changed.update((window.key, kind) for window, _ in windows)
        if kind is Kind.INPUTS:
            self._judge_silence(model, clock_ms, out)

    def _judge_silence(self, model: _Model, until_ms: int, out: Settlement[R]) -> None:
        """Hold windows that have no rows, and so are none, against how long the model may be silent: as many as an alert takes.
        Their time comes as that of others does."""
        history = model.state.volume
        plan = self.plans(model.name, history.version) if history.version else None
        if plan is None:
            return
        window_ms, policy = plan.spec.window_ms, plan.spec.policy
        closed_ms = min(until_ms, self.clock_ms(Kind.INPUTS) - _wait_ms(plan, Kind.INPUTS))
        limit_ms, count = policy.quality.freshness_ms, policy.drift.alert_after
        for start_ms, age in silent_windows(history, window_ms, limit_ms, count, closed_ms):
            key = WindowKey(start_ms, model.name, history.version, Variant.CHAMPION, WHOLE)
            judged = JudgedWindow(key, plan, (age,), only_volume=True)
            state, signals = apply_rules(model.state, [judged], (Rule.QUALITY,))
            out.signals.extend(signals)
            end_ms = start_ms + window_ms
            model.state = replace(
                state,
                inputs_until_ms=max(state.inputs_until_ms, end_ms),
                volume=replace(state.volume, silent_until_ms=end_ms),
            )

    def _judge_inputs(self, model: _Model, windows: list[tuple[Window, Plan]], out: Settlement[R]) -> None:
        judged: list[JudgedWindow] = []
        volume = self._measure_volume(model, windows, out)
        for window, plan in windows:
            sketch = window.total(_inputs(window, plan, late=False))
            if sketch is not None:
                joint = window.total(_joint(window, plan, late=False))
                report = report_inputs(window, plan, sketch, joint, revision=0)
                out.as_judged.append(report)
                counts = inputs_count(plan, sketch, window.key.window_start_ms, window.key.segment)
                found = judged_inputs(window.key, plan, report.metrics if counts else None, volume)
                judged.extend([found] if found else [])
        model.state, signals = apply_rules(model.state, judged, INPUT_RULES)
        out.signals.extend(signals)

    def _measure_volume(
        self, model: _Model, windows: list[tuple[Window, Plan]], out: Settlement[R]
    ) -> list[Metric]:
        """Tell the champions' windows of one start how many rows the model has, against those before; the same numbers."""
        rows = 0
        champions: list[tuple[WindowKey, Plan]] = []
        for window, plan in windows:
            if window.key.segment == WHOLE and window.key.variant is not Variant.SHADOW:
                # A window of labels or of late rows alone is here or not as they come; its numbers may not depend on that.
                sketch = window.total(_inputs(window, plan, late=False))
                if sketch is not None:
                    rows += int(sketch.counts[0])
                    if window.key.variant is Variant.CHAMPION:
                        champions.append((window.key, plan))
        if not rows:
            return []
        start_ms, window_ms = windows[0][0].key.window_start_ms, windows[0][1].spec.window_ms
        history, numbers = observe_volume(model.state.volume, start_ms, window_ms, rows)
        if champions:
            history = replace(history, version=champions[0][0].version)
        model.state = replace(model.state, volume=history)
        if not champions or not numbers:
            return []
        volume, numbers = watch_volume(model.state.watch.volume, champions[0][1], start_ms, numbers)
        model.state = replace(model.state, watch=replace(model.state.watch, volume=volume))
        numbers = held_to_freshness(numbers, champions[0][1].spec.policy.quality.freshness_ms)
        out.told_once.extend(
            WindowReport(key, start_ms + window_ms, plan.baseline_id, (), tuple(numbers), 0)
            for key, plan in champions
        )
        return numbers

    def _judge_outcomes(self, model: _Model, windows: list[tuple[Window, Plan]], out: Settlement[R]) -> None:
        judged: list[JudgedWindow] = []
        arms: dict[WindowKey, Arm] = {}
        pairs: dict[WindowKey, Pairs] = {}
        sketches = {window.key: window.total(_outcomes(window, plan, late=False)) for window, plan in windows}
        for window, plan in windows:
            sketch = sketches[window.key]
            arms[window.key] = arm_of(plan, sketch)
            if sketch is not None:
                rows = window.total(_inputs(window, plan, late=False))
                groups = by_group(plan, window.key, sketches.get)
                paired = window.total(_pairs(window, plan, late=False))
                pairs[window.key] = pairs_of(paired)
                report = report_outcomes(window, plan, sketch, rows, groups, paired, revision=0)
                out.as_judged.append(report)
                if outcomes_count(plan, sketch, window.key.window_start_ms):
                    judged.append(JudgedWindow(window.key, plan, report.metrics))
        model.state, signals = apply_rules(model.state, judged, OUTCOME_RULES)
        out.signals.extend(signals)
        plans = {window.key.version: plan for window, plan in windows}
        model.state, signals = compare_versions(model.state, arms, plans, pairs)
        out.signals.extend(signals)
        for window, plan in windows:
            numbers = compared(model.state, window.key, plan)
            if numbers:
                end_ms = window.key.window_start_ms + plan.spec.window_ms
                out.told_once.append(
                    WindowReport(window.key, end_ms, plan.baseline_id, (), tuple(numbers), 0)
                )
            if window.key.variant is Variant.CHAMPION and window.key.segment == WHOLE:
                self._detect(model, window, plan, arms[window.key], out)

    def _detect(self, model: _Model, window: Window, plan: Plan, arm: Arm, out: Settlement[R]) -> None:
        """Run the detectors that the spec names on a champion's outcomes."""
        names, version = plan.spec.policy.performance.detectors, window.key.version
        regression = plan.spec.task is Task.REGRESSION
        if self.detectors is None or not names or regression or arm.labelled <= 0:
            return
        state, numbers = detect(model.state, model.detectors, self.detectors, version, names, arm)
        reigns = (state.succession.champion, state.succession.predecessor)
        versions = {version, *(reign.version for reign in reigns if reign)}
        model.state = replace(state, detectors=detectors_of(state.detectors, versions))
        end_ms = window.key.window_start_ms + plan.spec.window_ms
        out.told_once.append(WindowReport(window.key, end_ms, plan.baseline_id, (), tuple(numbers), 0))

    def _restate(self, model: _Model, out: Settlement[R]) -> None:
        """Report the windows with news, late rows and labels included: inputs once their window has closed, outcomes
        as soon as it has. What was judged in this round, and has nothing late, is known now as it was judged."""
        just_judged = {report.key: report for report in out.as_judged if report.outcomes is None}
        for key, kind in sorted(model.changed):
            window = model.windows[key]
            plan = self.plans(key.model, key.version)
            if plan is None or key.window_start_ms + plan.spec.window_ms > model.state.inputs_until_ms:
                continue
            model.changed.discard((key, kind))
            if kind is Kind.INPUTS:
                sketch = window.total(_inputs(window, plan))
                late = window.total(_inputs(window, plan, late=True))
                if late is None and key in just_judged:
                    out.reports.append(just_judged[key])
                elif sketch is not None:
                    revision = int(late.counts[0]) if late else 0
                    joint = window.total(_joint(window, plan))
                    out.reports.append(report_inputs(window, plan, sketch, joint, revision))
            else:
                sketch = window.total(_outcomes(window, plan))
                revision = late_changes(window.total(_outcomes(window, plan, late=True)))
                if sketch is not None:
                    rows = window.total(_inputs(window, plan))
                    groups = by_group(plan, key, partial(_outcomes_now, model, plan))
                    paired = window.total(_pairs(window, plan))
                    out.reports.append(report_outcomes(window, plan, sketch, rows, groups, paired, revision))

    def _forget(self, model: _Model) -> None:
        """Drop the oldest judged windows beyond the bound, and some more, so that it is not to be done every time; a late
        row brings one back from the store."""
        if len(model.windows) <= self.windows_kept:
            return
        excess = len(model.windows) - self.windows_kept + self.windows_kept // _FORGOTTEN_AHEAD
        waiting = {key for key, _ in model.changed}
        until_ms = model.state.settled_until_ms
        for key in sorted(model.windows):
            if excess <= 0 or key.window_start_ms >= until_ms:
                break
            if not model.windows[key].open_chunks and key not in waiting:
                model.drop(key)
                excess -= 1


def _wait_ms(plan: Plan, kind: Kind) -> int:
    spec = plan.spec
    return spec.lateness_ms + (spec.label_wait_ms if kind is Kind.OUTCOMES else 0)


def _inputs(window: Window, plan: Plan, late: bool | None = None) -> Iterator[PartKey]:
    """The parts of the window's inputs that have the layout of the plan's baseline."""
    for part in window.part_keys():
        if part.kind is Kind.INPUTS and part.layout == plan.baseline_id and late in (None, part.late):
            yield part


def _outcomes(window: Window, plan: Plan, late: bool | None = None) -> Iterator[PartKey]:
    """The parts of the window's outcomes that have the layout of the plan's classes."""
    layout = plan.outcomes.fingerprint
    for part in window.part_keys():
        if part.kind is Kind.OUTCOMES and part.layout == layout and late in (None, part.late):
            yield part


def _joint(window: Window, plan: Plan, late: bool | None = None) -> Iterator[PartKey]:
    """The parts of the window's second moments; only the whole model has any."""
    if plan.joint is None or window.key.segment != WHOLE:
        return
    for part in window.part_keys():
        if part.kind is Kind.INPUTS and part.layout == plan.joint_layout and late in (None, part.late):
            yield part


def _pairs(window: Window, plan: Plan, late: bool | None = None) -> Iterator[PartKey]:
    """The parts of the window's pairs of champion and shadow; only a shadow's has any."""
    if window.key.variant is not Variant.SHADOW or window.key.segment != WHOLE:
        return
    layout = pairs_layout(plan.outcomes)
    for part in window.part_keys():
        if part.kind is Kind.OUTCOMES and part.layout == layout and late in (None, part.late):
            yield part


def _outcomes_now(model: _Model, plan: Plan, key: WindowKey) -> Sketch | None:
    """The outcomes of one of the model's windows as known now."""
    window = model.windows.get(key)
    return window.total(_outcomes(window, plan)) if window else None
