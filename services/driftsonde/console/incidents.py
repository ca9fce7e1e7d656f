"""Incidents as the lists show them: each in a sentence, with how things stand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftsonde.adapters.wire_models import Catalogue
from driftsonde.console.deeds import ACTIONS
from driftsonde.console.sentences import Told, main_column, tell
from driftsonde.console.stories import Ranked, with_sums
from driftsonde.console.texts import Moment, age, moment, who_text
from driftsonde.core.baseline import Reference
from driftsonde.core.control.decisions import Change, Kind, Step
from driftsonde.core.control.incidents import CAUSE_WINDOWS, Incident, Status
from driftsonde.core.control.state import Record, State
from driftsonde.core.events import Role
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.verdict import ColumnCounts
from driftsonde.report.formats import format_moment
from driftsonde.report.results import ColumnWindow

_OPEN_FIRST = {Status.OPEN: 0, Status.ACKNOWLEDGED: 1, Status.RESOLVED: 2}
_HAPPENED = frozenset({Step.DECIDED, Step.APPROVED, Step.STARTED, Step.PERFORMED})
_DONE = {
    Kind.RETRAIN: "retraining was started",
    Kind.ROLLBACK: "the version was taken back",
    Kind.PROMOTE: "a new version took over",
}


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """`what` happened and why one can say so; `lasted`: from the first window past its limit on; `waits`: what a person is
    asked for, `done`: what was done, or was not wanted; `snoozed`: until when; `learning`: why nobody was told of it; "" for nothing."""

    id: str
    model: str
    about: str
    rule: str
    status: Status
    what: str
    reasons: tuple[str, ...]
    since: str
    began: Moment
    lasted: str
    waits: str
    done: str
    learning: str = ""
    snoozed: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """An incident with the last thing that was said to be wrong: of a column if it is about one (`signal`), and of the outcomes
    (`loss`); None where there is none, or where it is forgotten. `until_ms`: event time of its end, None while it goes on;
    `went_back`: it ended because the numbers were back. `references`: the columns of the version's baseline."""

    incident: Incident
    signal: Signal | None
    loss: Signal | None
    until_ms: int | None
    went_back: bool
    references: tuple[Reference, ...]

    @property
    def outputs(self) -> frozenset[str]:
        """The names of the version's scores and predictions."""
        return frozenset(c.name for c in self.references if c.role in (Role.SCORE, Role.PREDICTION))

    @property
    def window(self) -> ColumnWindow | None:
        """Whose counts say how the main column changed."""
        return self.window_of(main_column(self.signal, self.outputs)) if self.signal else None

    def window_of(self, column: str) -> ColumnWindow | None:
        """A column in the window that the signal is about."""
        if self.signal is None or not column:
            return None
        return ColumnWindow(self.signal.version, self.signal.variant, column, self.signal.window_start_ms)

    def told(self, counts: Iterable[ColumnCounts] = (), ranking: Sequence[Ranked] = ()) -> Told:
        """`counts`: of some columns in the signal's window."""
        if self.signal is None:
            return Told(self.incident.summary, ())
        columns = {column.reference.name: with_sums(column, self.references) for column in counts}
        return tell(self.signal, self.outputs, columns, ranking, self.loss)


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
    baseline = catalogue.baseline(incident.model, incident.version)
    records = records_of(incident, state)
    signals = [signal for record in records if (signal := record.first.detail.signal) is not None]
    end = _end(incident, records)
    signals.sort(key=lambda signal: (signal.window_end_ms, signal.id))
    wrong = [signal for signal in signals if signal.kind is not SignalKind.RESOLVE]
    of_columns = [signal for signal in wrong if any(entry.column for entry in signal.evidence)]
    losses = [signal for signal in wrong if signal.rule is Rule.PERFORMANCE and signal not in of_columns]
    return Case(
        incident=incident,
        signal=next(reversed(of_columns or wrong), None),
        loss=losses[-1] if of_columns and losses else None,
        until_ms=_until_ms(incident, end),
        went_back=end is not None,
        references=baseline.columns if baseline else (),
    )


def records_of(incident: Incident, state: State) -> list[Record]:
    """What was decided on it."""
    return [r for r in state.model(incident.model).records.values() if r.first.incident == incident.id]


def related(case: Case, cases: Iterable[Case]) -> list[Case]:
    """Other incidents of the model that began at about the same time, or while this one went on."""
    return [
        other
        for other in cases
        if other.incident.model == case.incident.model
        and other.incident.id != case.incident.id
        and (_near(case, other) or _during(case, other) or _during(other, case))
    ]


def incident_line(case: Case, told: Told, state: State, now: datetime) -> IncidentLine:
    incident = case.incident
    segment = f", {incident.segment}" if incident.segment else ""
    records = records_of(incident, state)
    waiting = [record.last.kind for record in records if record.last.step is Step.PROPOSED]
    done = [record.last.kind for record in records if record.last.step in _HAPPENED]
    rejected = [
        f"{ACTIONS[last.kind].lower()} was rejected {who_text(last.actor)}"
        for last in (record.last for record in records)
        if last.step is Step.REJECTED and last.kind in ACTIONS
    ]
    end_ms = now.timestamp() * 1000 if case.until_ms is None else case.until_ms
    return IncidentLine(
        id=incident.id,
        model=incident.model,
        about=f"version {incident.version}, {incident.variant}{segment}",
        rule=incident.rule,
        status=incident.status,
        what=told.what,
        reasons=told.reasons,
        since=format_moment(incident.since_ms, exact=True),
        began=moment(incident.since_ms, now),
        lasted=age(timedelta(milliseconds=end_ms - incident.since_ms)),
        waits=f"{waiting[0]} waits for approval" if waiting else "",
        done=", ".join([*(words for kind, words in _DONE.items() if kind in done), *rejected]),
        learning=f"learning until {format_moment(incident.learning_until_ms)} UTC; would have paged"
        if incident.learning_until_ms
        else "",
        snoozed=f"snoozed until {format_moment(incident.snoozed_until_ms)} UTC"
        if incident.status is not Status.RESOLVED and incident.snoozed_until_ms > now.timestamp() * 1000
        else "",
    )


def _until_ms(incident: Incident, end: Signal | None) -> int | None:
    """When the numbers were back, where the judge said so; else when a person or the controller closed it."""
    if incident.status is not Status.RESOLVED:
        return None
    return max(end.window_end_ms if end else incident.resolved_ms, incident.since_ms)


def _end(incident: Incident, records: Iterable[Record]) -> Signal | None:
    """What the judge said of its end, where that ended it."""
    if incident.status is not Status.RESOLVED:
        return None
    ends = (r.first.detail.signal for r in records if r.first.detail.change is Change.RESOLVED)
    return next((signal for signal in ends if signal and signal.id == incident.last_signal), None)


def _near(case: Case, other: Case) -> bool:
    signal = case.signal or other.signal
    window_ms = signal.window_end_ms - signal.window_start_ms if signal else 0
    return abs(case.incident.since_ms - other.incident.since_ms) <= CAUSE_WINDOWS * window_ms


def _during(case: Case, other: Case) -> bool:
    began_ms = other.incident.since_ms
    return case.incident.since_ms <= began_ms and (case.until_ms is None or began_ms <= case.until_ms)
