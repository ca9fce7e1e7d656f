"""An incident explained in one go, for the terminal and the API: this column, since then, because of that. What its page says."""

from dataclasses import dataclass
from datetime import datetime

from driftsonde.adapters.clickhouse import Store, StoreRejected, StoreUnavailable
from driftsonde.adapters.wire_models import Catalogue
from driftsonde.console.incidents import Case, cases_of
from driftsonde.console.stories import read_counts_of, read_effect, read_ranking
from driftsonde.console.views import IncidentView, Stored, incident_view, wanted_counts
from driftsonde.core.control.inputs import Unknown
from driftsonde.core.control.state import State


@dataclass(frozen=True, slots=True)
class IncidentExplained:
    """`since`: in event time; `because`: a sentence each; `effect` on how well the model does, `advice`: what to do, `waits` for what a person is
    asked for, "" for nothing. `done`: when and what. `decisions`: ids, for more about each."""

    incident: str
    model: str
    about: str
    status: str
    what: str
    since: str
    ago: str
    because: tuple[str, ...]
    effect: str
    advice: str
    waits: str
    over: str
    done: tuple[tuple[str, str], ...]
    decisions: tuple[str, ...]


def explain_incident(
    state: State, catalogue: Catalogue, store: Store, about: str, now: datetime
) -> IncidentExplained:
    """`about`: an incident's id, or a model, or "" for all: of these the newest that is open, or else the newest. Raises
    `Unknown`."""
    model = about if about in state.models else ""
    cases = cases_of(state, catalogue, model)
    case = next((case for case in cases if about in ("", model, case.incident.id)), None)
    if case is None:
        raise Unknown(f"no incident {about!r}, and none of a model {about!r}" if about else "no incident yet")
    alike = [other for other in cases if other.incident.model == case.incident.model]
    view = incident_view(case, alike, state, read_stored(store, case, now), now)
    records = state.model(case.incident.model).records.values()
    return _explained(view, [r.first.id for r in records if r.first.incident == case.incident.id])


def read_stored(store: Store, case: Case, now: datetime) -> Stored:
    """What the store adds to an incident; nothing where it can't be read, so that people can still act."""
    if case.signal is None:
        return Stored()
    incident = case.incident
    until_ms = int(now.timestamp() * 1000) if case.until_ms is None else case.until_ms
    try:
        ranking = read_ranking(store, case.signal)
        counts = read_counts_of(store, incident.model, wanted_counts(case, ranking))
        effect = read_effect(store, case.signal, incident.since_ms, until_ms)
    except (StoreUnavailable, StoreRejected):
        return Stored()
    return Stored(ranking, counts, effect, read=True)


def incident_text(found: IncidentExplained) -> str:
    """For a person, a line a fact; ends with a newline."""
    lines = [
        f"{found.model}: {found.what} ({found.status})",
        f"since     {found.since} ({found.ago}), {found.about}",
    ]
    lines += _under("because", found.because)
    lines += _under("effect", [found.effect] if found.effect else [])
    lines += _under("to do", [found.advice] if found.advice else [])
    lines += _under("done", [f"{when}: {what}" for when, what in found.done])
    lines += _under("waits", [found.waits] if found.waits else [])
    lines += _under("over", [found.over] if found.over else [])
    lines += _under("more", [f"driftsonde explain {decision}" for decision in found.decisions])
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ") + "\n"


def _under(name: str, texts: list[str] | tuple[str, ...]) -> list[str]:
    return [f"{'' if place else name:<10}{text}" for place, text in enumerate(texts)]


def _explained(view: IncidentView, decisions: list[str]) -> IncidentExplained:
    line = view.line
    return IncidentExplained(
        incident=line.id,
        model=line.model,
        about=line.about,
        status=str(line.status),
        what=line.what,
        since=line.began.text,
        ago=line.began.ago,
        because=line.reasons,
        effect=view.effect,
        advice=view.advice,
        waits=line.waits,
        over=view.over,
        done=tuple(
            (deed.when.text, f"{deed.what}{f': {deed.why}' if deed.why else ''}") for deed in view.done
        ),
        decisions=tuple(decisions),
    )
