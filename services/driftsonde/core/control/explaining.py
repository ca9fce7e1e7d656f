"""A decision explained from what is stored: which rule, which windows, which baseline, which policy, who, and what came
of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from driftsonde.core.control.decisions import Decision, Kind
from driftsonde.core.control.incidents import Incident
from driftsonde.core.control.inputs import Unknown
from driftsonde.core.control.learning import in_words
from driftsonde.core.control.rollout import Rollout
from driftsonde.core.control.state import Record, State
from driftsonde.core.control.traffic import Traffic
from driftsonde.core.iso_time import iso_milliseconds
from driftsonde.core.signals import Evidence, Signal


@dataclass(frozen=True, slots=True)
class ExplainedStep:
    """One step. told: the endpoints that were to hear of it; quiet: why none. sequence, hash: its link of the audit log."""

    at_ms: int
    step: str
    actor: str
    reason: str
    told: tuple[str, ...]
    quiet: str
    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class ExplainedDelivery:
    at_ms: int
    endpoint: str
    about: str
    result: str
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is stored of a decision. related: the other decisions of the incident, oldest first, as (id, kind, step).

    signal, incident, traffic, rollout: None where the decision has none. pending: what is still to be done. impact: what it
    costs, "" where that is not known.
    """

    decision: str
    kind: str
    model: str
    version: str
    outcome: str
    mode: str
    policy: str
    signal: Signal | None
    incident: Incident | None
    steps: tuple[ExplainedStep, ...]
    traffic: Traffic | None
    rollout: Rollout | None
    run: str
    deliveries: tuple[ExplainedDelivery, ...]
    pending: tuple[str, ...]
    impact: str
    related: tuple[tuple[str, str, str], ...]


def explain(state: State, decision_id: str) -> Explanation:
    """Raises `Unknown`."""
    record = state.record(decision_id)
    if record is None:
        raise Unknown(f"no decision {decision_id}")
    first, last = record.first, record.last
    model = state.model(first.model)
    details = [step.detail for step in record.steps]
    return Explanation(
        decision=first.id,
        kind=first.kind.value,
        model=first.model,
        version=first.version,
        outcome=last.step.value,
        mode="" if first.mode is None else first.mode.value,
        policy=first.policy,
        signal=first.detail.signal,
        incident=model.incidents.get(first.incident),
        steps=tuple(_step(step) for step in record.steps),
        traffic=next((it.traffic for it in details if it.traffic is not None), None),
        rollout=next((it.rollout for it in details if it.rollout is not None), None),
        run=record.run,
        deliveries=tuple(_delivery(delivery) for delivery in record.deliveries),
        pending=tuple(
            effect.recipient or effect.action.value
            for effect in model.pending.values()
            if effect.decision.id == decision_id
        ),
        impact=first.detail.impact,
        related=tuple(_related(record, tuple(model.records.values()))),
    )


def _step(decision: Decision) -> ExplainedStep:
    detail = decision.detail
    return ExplainedStep(
        decision.timestamp_ms,
        decision.step.value,
        decision.actor,
        detail.reason,
        detail.recipients,
        detail.quiet,
        decision.sequence,
        decision.hash,
    )


def _delivery(delivery: Decision) -> ExplainedDelivery:
    detail = delivery.detail
    return ExplainedDelivery(
        delivery.timestamp_ms,
        detail.target,
        detail.parent_step,
        delivery.step.value,
        detail.attempts,
        detail.reason,
    )


def _related(record: Record, records: tuple[Record, ...]) -> Iterator[tuple[str, str, str]]:
    for other in records:
        if record.first.incident and other.first.incident == record.first.incident and other is not record:
            yield other.first.id, other.first.kind.value, other.last.step.value


def as_text(found: Explanation) -> str:
    """The explanation for a person, a line a fact; ends with a newline."""
    version = f", version {found.version}" if found.version else ""
    lines = [f"{found.kind} of {found.model}{version}: {found.outcome}", f"decision  {found.decision}"]
    if found.signal is not None:
        lines += _signal_lines(found.signal)
    if found.incident is not None:
        lines += _incident_lines(found.incident)
    lines += [f"costs     {found.impact}"] if found.impact else []
    mode = f"the policy says {found.mode} for this kind of action; " if found.mode else ""
    lines += [f"policy    {mode}version {found.policy}"] if found.policy else []
    lines += ["steps"] + [f"  {line}" for step in found.steps for line in _step_lines(step)]
    if found.traffic is not None:
        parts = (f"{it.version} {it.variant} {100 * it.weight:g} %" for it in found.traffic.split)
        lines.append(f"traffic   {', '.join(parts)} (revision {found.traffic.revision})")
    if found.rollout is not None:
        lines.append(f"rollout   version {found.rollout.version}: {found.rollout.status}, {found.rollout.at}")
    lines += [f"run       {found.run}"] if found.run else []
    lines += ["told"] if found.deliveries else []
    lines += [f"  {_delivery_line(delivery)}" for delivery in found.deliveries]
    lines += [f"still to do: {', '.join(found.pending)}"] if found.pending else []
    lines += ["of the same incident"] if found.related else []
    lines += [f"  {decision}  {kind} {step}" for decision, kind, step in found.related]
    return "\n".join(lines) + "\n"


def _signal_lines(signal: Signal) -> Iterator[str]:
    where = f" in {signal.segment}" if signal.segment else ""
    yield f"rule      {signal.rule}{where}, of the {signal.variant}: {signal.summary}"
    yield f"windows   since {iso_milliseconds(signal.since_ms)}; the last one {iso_milliseconds(signal.window_start_ms)} to {iso_milliseconds(signal.window_end_ms)}"
    yield f"baseline  {signal.baseline or 'none'}"
    yield f"signal    {signal.id}, judged by policy version {signal.policy}"
    yield "evidence"
    for entry in signal.evidence:
        yield f"  {_evidence_line(entry)}"


def _evidence_line(entry: Evidence) -> str:
    of = f" of {entry.column}" if entry.column else ""
    known = entry.lower == entry.lower and entry.upper == entry.upper  # NaN where there is no interval
    interval = f" [{entry.lower:.4g}, {entry.upper:.4g}]" if known else ""
    limit = f", limit {entry.threshold:.4g}" if entry.threshold == entry.threshold else ""
    window = f"window {iso_milliseconds(entry.window_start_ms)}"
    return f"{entry.statistic}{of} {entry.value:.4g}{interval}{limit}, n {entry.n}, {window}"


def _incident_lines(incident: Incident) -> Iterator[str]:
    yield f"incident  {incident.id}: {incident.status} since {iso_milliseconds(incident.opened_ms)}, {incident.signals} signals"
    if incident.learning_until_ms:
        yield f"          {in_words(incident.learning_until_ms)}: nobody was told of it"
    if incident.acknowledged_by:
        yield f"          acknowledged by {incident.acknowledged_by}, {iso_milliseconds(incident.acknowledged_ms)}"
    if incident.resolved_by:
        how = "called a false alarm" if incident.false_alarm else "resolved"
        yield f"          {how} by {incident.resolved_by}, {iso_milliseconds(incident.resolved_ms)}"


def _step_lines(step: ExplainedStep) -> Iterator[str]:
    yield f"{iso_milliseconds(step.at_ms)}  {step.step} by {step.actor}{f': {step.reason}' if step.reason else ''}"
    if step.told:
        yield f"    to tell: {', '.join(step.told)}"
    if step.quiet:
        yield f"    nobody is told: {step.quiet}"
    if step.sequence:
        yield f"    link {step.sequence} of the audit log, {step.hash[:16]}"


def _delivery_line(delivery: ExplainedDelivery) -> str:
    tries = "1 try" if delivery.attempts == 1 else f"{delivery.attempts} tries"
    why = f": {delivery.reason}" if delivery.reason else ""
    return f"{iso_milliseconds(delivery.at_ms)}  {delivery.endpoint} of {delivery.about}: {delivery.result} in {tries}{why}"


def concerning(decisions: tuple[Decision, ...], decision_id: str) -> tuple[Decision, ...]:
    """Of a whole log, what explains one decision: its steps and deliveries, and those of its incident."""
    incidents = {it.incident for it in decisions if it.id == decision_id and it.incident}
    parents = {it.id for it in decisions if it.incident in incidents} | {decision_id}
    return tuple(it for it in decisions if (it.detail.parent if it.kind is Kind.NOTIFY else it.id) in parents)
