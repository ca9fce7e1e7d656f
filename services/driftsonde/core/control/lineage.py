"""A version's lineage: what it was made of, how far it came, and every decision about it; now, or at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from driftsonde.core.control.criteria import stage_of
from driftsonde.core.control.decisions import Decision, Kind
from driftsonde.core.control.inputs import Unknown
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.state import ModelState, State, fold
from driftsonde.core.control.traffic import share_of
from driftsonde.core.iso_time import iso_seconds


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a decision that names the version."""

    at_ms: int
    kind: str
    step: str
    actor: str
    reason: str
    decision: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """`at_ms` is the time that it speaks of. policy: the fingerprint of the policy under which it was registered.

    variant, weight: how it serves; "" and 0 where it does not. decision: the one that has the registration.
    """

    model: str
    version: str
    at_ms: int
    stage: str
    variant: str
    weight: float
    registered_ms: int
    decision: str
    policy: str
    registration: Registration
    events: tuple[Event, ...]


def state_at(decisions: Iterable[Decision], at_ms: int) -> State:
    """What the log says was so at a time. `decisions` in their order."""
    return fold(State(), (it for it in decisions if it.timestamp_ms <= at_ms))


def lineage(model: ModelState, version: str, at_ms: int) -> Lineage:
    """Raises `Unknown`."""
    known = model.versions.get(version)
    if known is None or not version:
        raise Unknown(f"no version {version!r} of model {model.model!r} is known to be registered")
    share = share_of(model.traffic, version)
    record = model.records.get(known.decision)
    return Lineage(
        model=model.model,
        version=version,
        at_ms=at_ms,
        stage=stage_of(model, version).value,
        variant="" if share is None else share.variant.value,
        weight=0.0 if share is None else share.weight,
        registered_ms=known.first_ms,
        decision=known.decision,
        policy="" if record is None else record.first.policy,
        registration=known.registration,
        events=tuple(_events(model, version)),
    )


def _events(model: ModelState, version: str) -> Iterator[Event]:
    steps = (step for record in model.records.values() for step in record.steps)
    for step in sorted(
        (it for it in steps if it.version == version), key=lambda it: (it.timestamp_ms, it.sequence)
    ):
        yield Event(
            step.timestamp_ms, step.kind.value, step.step.value, step.actor, step.detail.reason, step.id
        )


def trained_on(state: State, fingerprint: str) -> Iterator[tuple[str, str]]:
    """Models and versions that were trained on the data of this name or fingerprint."""
    for name, model in sorted(state.models.items()):
        for version, known in model.versions.items():
            if any(fingerprint in pair for pair in known.registration.data):
                yield name, version


def as_text(found: Lineage) -> str:
    """For a person, a line a fact; ends with a newline."""
    it, origin = found.registration, found.registration.origin
    serves = f", serves as {found.variant} with {100 * found.weight:g} %" if found.variant else ""
    lines = [
        f"{found.model}, version {found.version}: {found.stage}{serves}",
        f"registered    {iso_seconds(found.registered_ms)}, decision {found.decision}",
    ]
    lines += [f"trained on    {name} ({print_})" for name, print_ in it.data]
    lines += [f"code          {it.code_revision}"] if it.code_revision else []
    lines += [f"baseline      {it.baseline} of {it.rows} rows"] if it.baseline else []
    if it.performance is not None:
        lines.append(
            f"scored        {it.performance.metric} {it.performance.value:.4g} on {it.performance.n} rows"
        )
    if origin is not None:
        facts = {
            "source": origin.source,
            "run": origin.run,
            "owner": origin.owner,
            "context": origin.context,
            "intended use": origin.intended_use,
            "approval": origin.approval,
            "features": ", ".join(name for name, _ in origin.columns),
            "views": ", ".join(f"{name} {version}" for name, version in origin.feature_views),
            "parameters": ", ".join(f"{name} {value}" for name, value in origin.params),
            "metrics": ", ".join(f"{name} {value:.4g}" for name, value in origin.metrics),
        }
        lines += [f"{name:13} {text}" for name, text in facts.items() if text]
    lines.append("decisions")
    for event in found.events:
        why = f": {event.reason}" if event.reason and event.kind != Kind.REGISTER else ""
        lines.append(
            f"  {iso_seconds(event.at_ms)}  {event.kind} {event.step} by {event.actor}{why}  ({event.decision})"
        )
    return "\n".join(lines) + "\n"
