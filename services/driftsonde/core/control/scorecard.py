"""Numbers for the business, from what was decided: how fast things are found, handled and delivered, and how well."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from driftsonde.core.control.decisions import Decision, Kind, Step
from driftsonde.core.control.incidents import Incident, Status
from driftsonde.core.control.rollout import RolloutStatus
from driftsonde.core.control.state import ModelState, Record, State
from driftsonde.core.events import Variant


@dataclass(frozen=True, slots=True)
class Registered:
    """One registered version. lineage: whether its baseline names its data by a fingerprint, and is not provisional."""

    model: str
    version: str
    owner: str
    lineage: bool


@dataclass(frozen=True, slots=True)
class Sla:
    """What is promised of an incident: somebody has acknowledged or resolved it so soon after it opened, and it is over
    so soon."""

    acknowledge_ms: int
    resolve_ms: int


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took: how often it happened, the median, and what nine of ten were below; None without any."""

    n: int
    median_ms: int | None
    p90_ms: int | None


@dataclass(frozen=True, slots=True)
class Spending:
    """Retrainings of a model that were set going, what they cost by the policy of then, and how much they may cost in 30 days
    (0 = any)."""

    retrainings: int
    cost: float
    budget: float
    unit: str


@dataclass(frozen=True, slots=True)
class Account:
    """What a model's spec says of its costs."""

    budget: float = 0.0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Of the period [since, now), without the incidents of which nobody was told, since the model was learning.

    detect: from the start of what was wrong (event time) to the incident. acknowledge, resolve: from its opening; people
    alone acknowledge. answer: from a proposal to a person's answer. deploy: from the registration of a version to
    the decision that made it champion; of one that is not known to be registered, from the first decision that names it. false_alarms: of `incidents`, those that
    a person called so. near_misses: versions taken back before they were champion. retrainings, by their last step.
    spending: of the models that were retrained or have a budget.
    within_sla: the share of registered models all of whose incidents kept the promise. lineage: the share of registered
    versions whose data is named. Shares are None where there is nothing registered.
    """

    since_ms: int
    now_ms: int
    models: int
    models_per_owner: Mapping[str, int]
    incidents: int
    open_incidents: int
    false_alarms: int
    detect: Times
    acknowledge: Times
    resolve: Times
    answer: Times
    deploy: Times
    near_misses: int
    retrainings: Mapping[str, int]
    spending: Mapping[str, Spending]
    within_sla: float | None
    lineage: float | None


def score(
    state: State,
    registered: Iterable[Registered],
    owners: Mapping[str, str],
    since_ms: int,
    now_ms: int,
    sla: Sla,
    accounts: Mapping[str, Account],
) -> Scorecard:
    """`owners` has every registered model with its owner, `accounts` what its spec says of its costs. The state forgets what is oldest: for long periods ask the
    store's views."""
    states = tuple(state.models.values())
    incidents = [
        it
        for model in states
        for it in model.incidents.values()
        if it.opened_ms >= since_ms and not it.learning_until_ms
    ]
    records = [it for model in states for it in model.records.values() if it.first.timestamp_ms >= since_ms]
    versions = tuple(registered)
    broken = {it.model for it in incidents if not _kept(it, now_ms, sla)}
    answers = [
        step.timestamp_ms - record.first.timestamp_ms
        for record in records
        for step in record.steps
        if record.first.step is Step.PROPOSED and step.step in (Step.APPROVED, Step.REJECTED)
    ]
    return Scorecard(
        since_ms=since_ms,
        now_ms=now_ms,
        models=len(owners),
        models_per_owner=dict(sorted(Counter(owner or "nobody" for owner in owners.values()).items())),
        incidents=len(incidents),
        open_incidents=sum(it.status is not Status.RESOLVED for it in incidents),
        false_alarms=sum(it.false_alarm for it in incidents),
        detect=times([max(0, it.opened_ms - it.since_ms) for it in incidents]),
        acknowledge=times([it.acknowledged_ms - it.opened_ms for it in incidents if it.acknowledged_ms]),
        resolve=times([it.resolved_ms - it.opened_ms for it in incidents if it.resolved_ms]),
        answer=times(answers),
        deploy=times([took for model in states for took in _deployments(model, since_ms)]),
        near_misses=sum(_is_near_miss(record) for record in records),
        retrainings=dict(
            sorted(Counter(it.last.step.value for it in records if it.first.kind is Kind.RETRAIN).items())
        ),
        spending=_spending(records, accounts),
        within_sla=_share(sum(name not in broken for name in owners), len(owners)),
        lineage=_share(sum(it.lineage for it in versions), len(versions)),
    )


def times(durations_ms: Iterable[int]) -> Times:
    """
    >>> times([3, 1, 2])
    Times(n=3, median_ms=2, p90_ms=3)
    """
    ordered = sorted(durations_ms)
    if not ordered:
        return Times(0, None, None)
    return Times(len(ordered), ordered[(len(ordered) - 1) // 2], ordered[-(-9 * len(ordered) // 10) - 1])


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _kept(incident: Incident, now_ms: int, sla: Sla) -> bool:
    answered = [at for at in (incident.acknowledged_ms, incident.resolved_ms) if at]
    taken_ms = min(answered, default=now_ms) - incident.opened_ms
    over_ms = (incident.resolved_ms or now_ms) - incident.opened_ms
    return taken_ms <= sla.acknowledge_ms and over_ms <= sla.resolve_ms


def _is_near_miss(record: Record) -> bool:
    """A champion that gives its place back has done its harm."""
    signal = record.first.detail.signal
    back = record.last.kind is Kind.ROLLBACK and record.last.step is Step.PERFORMED
    return back and signal is not None and signal.variant is not Variant.CHAMPION


def spending_of(records: Iterable[Record], account: Account, since_ms: int = 0) -> Spending:
    """Of one model's decisions since then."""
    costs = [
        max(step.detail.cost for step in record.steps)
        for record in records
        if record.first.timestamp_ms >= since_ms
        and record.first.kind is Kind.RETRAIN
        and _was_set_going(record)
    ]
    return Spending(len(costs), sum(costs), account.budget, account.unit)


def _spending(records: Iterable[Record], accounts: Mapping[str, Account]) -> dict[str, Spending]:
    of_model: dict[str, list[Record]] = {name: [] for name in accounts}
    for record in records:
        of_model.setdefault(record.first.model, []).append(record)
    found = {name: spending_of(of_model[name], accounts.get(name, Account())) for name in sorted(of_model)}
    return {name: spent for name, spent in found.items() if spent.retrainings or spent.budget}


def _was_set_going(record: Record) -> bool:
    steps = {step.step for step in record.steps}
    never_began = Step.FAILED in steps and Step.STARTED not in steps
    return bool(steps & {Step.DECIDED, Step.APPROVED}) and not never_began


def _takes_back(step: Decision) -> bool:
    rollout = step.detail.rollout
    return step.kind is Kind.ROLLBACK or (rollout is not None and rollout.status is RolloutStatus.ROLLED_BACK)


def _deployments(model: ModelState, since_ms: int) -> Iterable[int]:
    """How long each version took that became champion in the period, after another one was; not one that got its place back."""
    named = {version: known.first_ms for version, known in model.versions.items()}
    champion = ""
    for record in model.records.values():
        for step in record.steps:
            traffic = step.detail.traffic
            if traffic is None:
                continue
            for share in traffic.split:
                named.setdefault(share.version, step.timestamp_ms)
            now = next(share.version for share in traffic.split if share.variant is Variant.CHAMPION)
            if champion and now != champion and step.timestamp_ms >= since_ms and not _takes_back(step):
                yield max(0, step.timestamp_ms - named[now])
            champion = now
