"""What to do about an incident, by its cause: whom to ask, and whether retraining or taking a version back is the remedy."""

from collections.abc import Iterable, Mapping, Sequence

from driftsonde.console.hints import KIND_OF_RATE
from driftsonde.console.incidents import Case
from driftsonde.console.sentences import main_column, suspect
from driftsonde.console.stories import Ranked
from driftsonde.core.changes import ChangeKind, changes_of
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.state import State
from driftsonde.core.signals import Rule, Signal
from driftsonde.core.verdict import ColumnCounts
from driftsonde.core.volume import FRESHNESS
from driftsonde.core.volume import RATIO as VOLUME
from driftsonde.report.formats import format_moment

_UNIT = "Ask whoever produces {name} whether its unit changed, and have it put right there. Retraining would learn the wrong unit."
_GONE = "Ask whoever produces {name} why its values stopped coming. Retraining does not bring them back."
_NEW = (
    "Ask whoever produces {name} whether its new categories are real or another spelling. If they are real, retrain once "
    "there are labels for them."
)
_MOVED = (
    "Ask whoever produces {name} whether the change is real. If it is, retrain with rows from since; if not, have it put right "
    "there."
)
_BY_CHANGE = {
    ChangeKind.UNIT: _UNIT,
    ChangeKind.SCALE: _UNIT,
    ChangeKind.MISSING: _GONE,
    ChangeKind.CONSTANT: _GONE,
    ChangeKind.UNSEEN: _NEW,
}


def advice(
    case: Case,
    cases: Iterable[Case],
    state: State,
    columns: Mapping[str, ColumnCounts],
    ranking: Sequence[Ranked],
) -> str:
    """In a sentence or two; "" where nothing is left to do, or nothing can be said. `cases`: the model's."""
    learned = _learned(case, cases, state)
    if learned or case.signal is None or case.incident.status is Status.RESOLVED:
        return learned
    return _by_cause(case.signal, case.outputs, columns, ranking)


def _by_cause(
    signal: Signal,
    outputs: frozenset[str],
    columns: Mapping[str, ColumnCounts],
    ranking: Sequence[Ranked],
) -> str:
    first = next(iter(signal.evidence), None)
    if first is None or signal.rule is Rule.FAIRNESS:
        return ""
    if signal.rule is Rule.CANARY:
        return f"Take version {signal.version} back: the champion does better at the same time."
    if first.statistic in (VOLUME, FRESHNESS):
        return "Ask whoever sends the rows: the model is not the cause."
    main = main_column(signal, outputs)
    name = suspect(ranking, outputs) if main in outputs or not main else main
    if name:
        said = next((it.statistic for it in signal.evidence if it.column == name), "")
        changes = [change.kind for change in changes_of(columns[name])] if name in columns else []
        kinds = [KIND_OF_RATE[said]] if said in KIND_OF_RATE else changes
        return _BY_CHANGE.get(kinds[0] if kinds else ChangeKind.SHIFT, _MOVED).format(name=name)
    if signal.rule is Rule.PERFORMANCE and ranking:
        return "The same inputs have other outcomes: check the labels; if they are right, retrain with rows from since."
    return ""


def _learned(case: Case, cases: Iterable[Case], state: State) -> str:
    """Which version's baseline is of rows from an incident whose cause went back; of that incident, and of the version's own."""
    own = case.incident
    for other in cases:
        if other.went_back and _made_during(own.version, other, state):
            return (
                f"The baseline of version {own.version} is of rows from an incident whose cause went back since "
                f"({other.told().what}, {format_moment(other.incident.since_ms)} UTC): if it learned from them too, take it back "
                "and retrain it on other rows."
            )
    versions = [v for v in state.model(own.model).versions if case.went_back and _made_during(v, case, state)]
    if not versions:
        return ""
    return (
        f"The baseline of version {' and '.join(versions)} is of rows from this incident, whose cause went back: "
        "if it learned from them too, it will fail as the inputs are now."
    )


def _made_during(version: str, case: Case, state: State) -> bool:
    known = state.model(case.incident.model).versions.get(version)
    lineage = known.registration.lineage if known else None
    if lineage is None or version in ("", case.incident.version) or case.until_ms is None:
        return False
    return lineage.start_ms < case.until_ms and lineage.end_ms > case.incident.since_ms
