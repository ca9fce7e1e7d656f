"""Versions of a model against each other: canaries against the champion, a champion against the one before it."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from driftsonde.core.canaries import COMPARED, support
from driftsonde.core.chunks import WHOLE
from driftsonde.core.contest import differences, error_difference
from driftsonde.core.events import Variant
from driftsonde.core.judging import (
    EpisodeKey,
    JudgedWindow,
    ModelState,
    compare_canary,
    difference_of,
    farewell,
    signal_of,
)
from driftsonde.core.pairs import NO_PAIRS, Pairs
from driftsonde.core.plan import Plan
from driftsonde.core.reigns import Arm, Reign, Succession
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import Task
from driftsonde.core.statistics.anytime import mean_difference_sequence
from driftsonde.core.verdict import Metric, error_totals, outcome_totals
from driftsonde.core.window import WindowKey

NOTHING_PAIRED: Mapping[WindowKey, Pairs] = MappingProxyType({})


def compare_versions(
    state: ModelState,
    arms: Mapping[WindowKey, Arm],
    plans: Mapping[str, Plan],
    pairs: Mapping[WindowKey, Pairs] = NOTHING_PAIRED,
) -> tuple[ModelState, list[Signal]]:
    """Go on with every comparison by the outcomes of the windows of one start. plans: by version; pairs: of shadows."""
    whole = {key: arm for key, arm in sorted(arms.items()) if key.segment == WHOLE and arm.labelled > 0}
    champions = {key: arm for key, arm in whole.items() if key.variant is Variant.CHAMPION}
    total, signals = Arm(), list[Signal]()
    for arm in champions.values():
        total = total.plus(arm)
    contenders = _contenders(whole)
    paired = {key: found for key, found in sorted(pairs.items()) if found.n}
    compared = {key.version for key, _ in contenders}
    contenders += [(key, Arm()) for key in paired if key.version not in compared]
    for key, arm in contenders:
        known = next((found for other, found in paired.items() if other.version == key.version), NO_PAIRS)
        state, said = compare_canary(state, key, plans[key.version], total, arm, known)
        signals.extend((*said, *support(state, key, plans[key.version])))
    if not champions:
        return _without_absent_pairs(state, arms, plans, paired, signals)
    first = min(champions)
    window = JudgedWindow(first, plans[first.version], ())
    state, gone = _without_absent(state, window, {key.version for key in whole if key.variant in COMPARED})
    state, said = _succeed(state, window, champions, plans)
    return state, [*signals, *gone, *said]


def compared(state: ModelState, window: WindowKey, plan: Plan) -> list[Metric]:
    """How a contender stands after a window of it: the intervals that it is judged by (`contest.differences`)."""
    known = state.comparisons.get(window.version)
    if known is None or window.segment != WHOLE or window.variant not in COMPARED:
        return []
    return differences(known, plan.spec.policy.canary, plan.spec.task is Task.REGRESSION)


def _contenders(whole: Mapping[WindowKey, Arm]) -> list[tuple[WindowKey, Arm]]:
    """What is compared with the champion: one for each version, though it be shadow and canary within one window."""
    found: dict[str, tuple[WindowKey, Arm]] = {}
    for key, arm in whole.items():
        if key.variant in COMPARED:
            first, before = found.get(key.version, (key, Arm()))
            found[key.version] = (first, before.plus(arm))
    return list(found.values())


def _without_absent(
    state: ModelState, champion: JudgedWindow, present: set[str]
) -> tuple[ModelState, list[Signal]]:
    """Without the comparisons of versions that are gone: of one that was rolled back once it has had no window for as long as
    a recovery takes, so that it is compared anew if it comes again; of others after as many windows as are learned from."""
    policy = champion.plan.spec.policy
    kept, signals = dict(state.comparisons), list[Signal]()
    for version, known in sorted(state.comparisons.items()):
        absent = 0 if version in present else known.absent + 1
        kept[version] = replace(known, absent=absent)
        patience = policy.performance.resolve_after if known.rolled_back else policy.budget.learning_windows
        if absent >= patience:
            del kept[version]
            if known.rolled_back:
                key = EpisodeKey(Rule.CANARY, version, known.variant, WHOLE)
                signals.append(farewell(champion, key, known.since_ms))
    return replace(state, comparisons=kept), signals


def _without_absent_pairs(
    state: ModelState,
    arms: Mapping[WindowKey, Arm],
    plans: Mapping[str, Plan],
    paired: Mapping[WindowKey, Pairs],
    signals: list[Signal],
) -> tuple[ModelState, list[Signal]]:
    """A regression's versions are compared in pairs alone, so those without a pair are absent."""
    serving = sorted(
        key
        for key in arms
        if key.segment == WHOLE
        and key.variant is Variant.CHAMPION
        and plans[key.version].spec.task is Task.REGRESSION
    )
    if not serving:
        return state, signals
    window = JudgedWindow(serving[0], plans[serving[0].version], ())
    state, gone = _without_absent(state, window, {key.version for key in paired})
    return state, [*signals, *gone]


def _succeed(
    state: ModelState, window: JudgedWindow, champions: Mapping[WindowKey, Arm], plans: Mapping[str, Plan]
) -> tuple[ModelState, list[Signal]]:
    """Hold a champion that is on trial against its predecessor; what was said of one that has gone is over."""
    start_ms, before = window.key.window_start_ms, state.succession
    after = before.plus(start_ms, {key.version: arm for key, arm in champions.items()})
    signals: list[Signal] = []
    reign, old, replaced = after.champion, after.predecessor, before.champion
    if replaced and reign and replaced.taken_back and reign.since_ms != replaced.since_ms:
        signals.append(farewell(window, _key(replaced), replaced.since_ms))
    own = next((key for key in champions if reign and key.version == reign.version), None)
    if reign is None or old is None or own is None or reign.stable:
        return replace(state, succession=after), signals
    judged = JudgedWindow(own, plans[own.version], ())
    reign, said = _tried(reign, old, judged)
    return replace(state, succession=Succession(reign, old)), [*signals, *said]


def _tried(reign: Reign, old: Reign, window: JudgedWindow) -> tuple[Reign, list[Signal]]:
    policy = window.plan.spec.policy
    if reign.windows >= policy.budget.learning_windows:  # what it does has become what is usual
        over = [farewell(window, _key(reign), reign.since_ms)] if reign.taken_back else []
        return replace(reign, stable=True), over
    lately, total, drop = old.lately, reign.total, policy.performance.drop
    if reign.taken_back or total.labelled < policy.canary.min_labels or not lately.labelled:
        return reign, []
    alpha, regression = policy.canary.alpha, window.plan.spec.task is Task.REGRESSION
    found = (
        error_difference(lately, total, drop, alpha)
        if regression
        else _difference(lately, total, drop, alpha)
    )
    if not found:
        return reign, []
    (metric,) = found
    if metric.lower > metric.threshold:
        return replace(reign, stable=True), []
    if metric.upper >= metric.threshold:
        return reign, []
    metric = metric._replace(breached=True)
    signal = signal_of(SignalKind.ROLLBACK, Rule.CANARY, window, reign.since_ms, [metric])
    return replace(reign, taken_back=True), [signal]


def _difference(before: Arm, after: Arm, drop: float, alpha: float) -> list[Metric]:
    """As `contest.error_difference`, in accuracy."""
    interval = mean_difference_sequence(before.labelled, before.correct, after.labelled, after.correct, alpha)
    return [difference_of(before, after, interval, -drop)]


def arm_of(plan: Plan, sketch: Sketch | None) -> Arm:
    """A window's labelled rows, and how right they were."""
    return Arm(*outcome_totals(plan, sketch)) if plan.spec.task is not Task.REGRESSION else _errors(sketch)


def _errors(sketch: Sketch | None) -> Arm:
    labelled, absolute, squares = error_totals(sketch)
    return Arm(labelled, 0, absolute, squares)


def _key(reign: Reign) -> EpisodeKey:
    return EpisodeKey(Rule.CANARY, reign.version, Variant.CHAMPION, WHOLE)
