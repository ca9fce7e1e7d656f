"""Incidents as the lists show them: each in a sentence, with how things stand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftsonde.adapters.wire_models import Catalogue
from driftsonde.console.sentences import Told, main_column, tell
from driftsonde.console.stories import Ranked
from driftsonde.console.texts import age
from driftsonde.core.control.decisions import Kind, Step
from driftsonde.core.control.incidents import Incident, Status
from driftsonde.core.control.state import Record, State
from driftsonde.core.events import Role
from driftsonde.core.signals import Signal, SignalKind
from driftsonde.report.formats import format_moment
from driftsonde.report.results import BinCount, ColumnWindow

_OPEN_FIRST = {Status.OPEN: 0, Status.ACKNOWLEDGED: 1, Status.RESOLVED: 2}
_HAPPENED = frozenset({Step.DECIDED, Step.APPROVED, Step.STARTED, Step.PERFORMED})
_DONE = {
    Kind.RETRAIN: "retraining was started",
    Kind.ROLLBACK: "the version was taken back",
    Kind.PROMOTE: "a new version took over",
}


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """`what` happened and why one can say so; `waits`: what a person is asked for, `done`: what was done; `learning`: why
    nobody was told of it; "" for nothing."""

    id: str
    model: str
    about: str
    rule: str
    status: Status
    what: str
    reasons: tuple[str, ...]
    since: str
    lasted: str
    waits: str
    done: str
    learning: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """An incident with the last thing that was said to be wrong, None where that is forgotten. `outputs`: the names of
    the version's scores and predictions."""

    incident: Incident
    signal: Signal | None
    outputs: frozenset[str]

    @property
    def window(self) -> ColumnWindow | None:
        """Whose counts say how the main column changed."""
        column = main_column(self.signal, self.outputs) if self.signal else ""
        if self.signal is None or not column:
            return None
        return ColumnWindow(self.signal.version, self.signal.variant, column, self.signal.window_start_ms)

    def told(self, bins: Sequence[BinCount] = (), ranking: Sequence[Ranked] = ()) -> Told:
        if self.signal is None:
            return Told(self.incident.summary, ())
        return tell(self.signal, self.outputs, bins, ranking)


def cases_of(state: State, catalogue: Catalogue, model: str = "") -> list[Case]:
    """All incidents, or one model's: open ones first, each kind with the newest first."""
    incidents = [
        incident
        for name, known in state.models.items()
        if model in ("", name)
        for incident in known.incidents.values()
    ]
    ordered = sorted(incidents, key=lambda i: (_OPEN_FIRST[i.status], -i.updated_ms, i.id))
    return [case_of(incident, state, catalogue) for incident in ordered]


def case_of(incident: Incident, state: State, catalogue: Catalogue) -> Case:
    records = state.model(incident.model).records.values()
    baseline = catalogue.baseline(incident.model, incident.version)
    columns = baseline.columns if baseline else ()
    outputs = frozenset(c.name for c in columns if c.role in (Role.SCORE, Role.PREDICTION))
    return Case(incident, _newest_signal(incident, records), outputs)


def incident_line(case: Case, told: Told, state: State, now: datetime) -> IncidentLine:
    incident = case.incident
    segment = f", {incident.segment}" if incident.segment else ""
    records = [r for r in state.model(incident.model).records.values() if r.first.incident == incident.id]
    waiting = [record.last.kind for record in records if record.last.step is Step.PROPOSED]
    done = [record.last.kind for record in records if record.last.step in _HAPPENED]
    end_ms = incident.resolved_ms or now.timestamp() * 1000
    return IncidentLine(
        id=incident.id,
        model=incident.model,
        about=f"version {incident.version}, {incident.variant}{segment}",
        rule=incident.rule,
        status=incident.status,
        what=told.what,
        reasons=told.reasons,
        since=format_moment(incident.since_ms),
        lasted=age(timedelta(milliseconds=end_ms - incident.opened_ms)),
        waits=f"{waiting[0]} waits for approval" if waiting else "",
        done=", ".join(words for kind, words in _DONE.items() if kind in done),
        learning=f"learning until {format_moment(incident.learning_until_ms)} UTC; would have paged"
        if incident.learning_until_ms
        else "",
    )


def _newest_signal(incident: Incident, records: Iterable[Record]) -> Signal | None:
    signals = [record.first.detail.signal for record in records if record.first.incident == incident.id]
    known = [signal for signal in signals if signal is not None and signal.kind is not SignalKind.RESOLVE]
    return max(known, key=lambda signal: (signal.window_end_ms, signal.id), default=None)
