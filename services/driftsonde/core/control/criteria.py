"""What a version must have before it enters a stage, and what of it is missing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from driftsonde.core.bounds import Bound, parse_bound
from driftsonde.core.control.access import Role
from driftsonde.core.control.registered import Registration, Review, Stage, VersionState
from driftsonde.core.control.state import ModelState
from driftsonde.core.control.versions import champion_of
from driftsonde.core.spec import PromotionRule, StageRule


@dataclass(frozen=True, slots=True)
class Criterion:
    """`found` says what there is: why it is met, or what is missing."""

    name: str
    met: bool
    found: str


def stage_of(model: ModelState, version: str) -> Stage:
    """The champion is in production, however it came there."""
    if champion_of(model.traffic) == version:
        return Stage.PRODUCTION
    known = model.versions.get(version)
    if known is None:
        return Stage.DEVELOPMENT
    return Stage.RETIRED if known.stage is Stage.PRODUCTION else known.stage


def next_stage(stage: Stage) -> Stage | None:
    """None after the last. What is retired begins again."""
    return {
        Stage.DEVELOPMENT: Stage.STAGING,
        Stage.RETIRED: Stage.STAGING,
        Stage.STAGING: Stage.PRODUCTION,
    }.get(stage)


def rule_of(rules: PromotionRule, stage: Stage) -> StageRule:
    return rules.production if stage is Stage.PRODUCTION else rules.staging


def lacking(model: ModelState, version: str, rules: PromotionRule, owner: str) -> tuple[str, ...]:
    """Why a version may not go to production, a text each; () if it may."""
    missing = []
    if rules.staging != StageRule() and stage_of(model, version) not in (Stage.STAGING, Stage.PRODUCTION):
        missing.append("it is not in staging: promote it to that first")
    found = criteria(model, version, rules.production, owner)
    return (*missing, *(f"{it.name}: {it.found}" for it in found if not it.met))


def criteria(model: ModelState, version: str, rule: StageRule, owner: str) -> tuple[Criterion, ...]:
    """All that the rule asks of a version before it enters, met or not. `owner` is the model's, for a version that names none."""
    if replace(rule, live=()) == StageRule():
        return ()
    known = model.versions.get(version)
    if known is None:
        return (Criterion("registered", False, f"version {version} is not registered"),)
    found = known.registration
    return (
        *((_baseline(found),) if rule.baseline else ()),
        *(_known(name, found, owner) for name in rule.known),
        *(_bound(parse_bound(text), found, _production(model)) for text in rule.metrics),
        *_approvals(rule.approvals, known),
        *(_item(item, known.reviews) for item in rule.checklist),
    )


def _baseline(found: Registration) -> Criterion:
    if found.lineage is None:
        return Criterion("baseline", False, "none is registered")
    if found.lineage.provisional:
        return Criterion("baseline", False, "it is provisional, of the first rows served")
    return Criterion("baseline", True, f"{found.baseline} of {found.rows} rows")


def _known(name: str, found: Registration, owner: str) -> Criterion:
    """`name` is one of `spec.KNOWABLE`."""
    match name:
        case "data":
            prints = [f"{data} ({print_})" for data, print_ in found.data if print_]
            return _said(name, ", ".join(prints[:3]), "no training data with a fingerprint is named")
        case "code_revision":
            return _said(name, found.code_revision)
        case "owner":
            return _said(name, (found.origin.owner if found.origin is not None else "") or owner)
        case _:
            value = getattr(found.origin, name, "")
            return _said(name, value if isinstance(value, str) else f"{len(value)} of them" if value else "")


def _said(name: str, text: str, otherwise: str = "is not registered") -> Criterion:
    return Criterion(name, bool(text), text or otherwise)


def _production(model: ModelState) -> VersionState | None:
    return model.versions.get(champion_of(model.traffic))


def _bound(bound: Bound, found: Registration, production: VersionState | None) -> Criterion:
    if not bound.relative:
        value = _value(bound.metric, found)
        if value is None:
            return Criterion(bound.text, False, f"{bound.metric} is not registered")
        return Criterion(bound.text, bound.holds(value, 0.0), f"it is {value:.6g}")
    if production is None:
        return Criterion(bound.text, True, "no version is in production to compare with")
    pair = _pair(bound.metric, found, production.registration)
    if pair is None:
        return Criterion(bound.text, False, f"{bound.metric} is not registered of both, measured alike")
    told = f"it is {pair[0]:.6g}, and {pair[1]:.6g} of version {production.version} in production"
    return Criterion(bound.text, bound.holds(*pair), told)


def _value(metric: str, found: Registration) -> float | None:
    told = _told(metric, found)
    return _measured(metric, found) if told is None else told


def _pair(metric: str, one: Registration, other: Registration) -> tuple[float, float] | None:
    """Like with like: what training told of both, or what the baselines' rows scored."""
    for source in (_told, _measured):
        values = source(metric, one), source(metric, other)
        if values[0] is not None and values[1] is not None:
            return values[0], values[1]
    return None


def _told(metric: str, found: Registration) -> float | None:
    return None if found.origin is None else dict(found.origin.metrics).get(metric)


def _measured(metric: str, found: Registration) -> float | None:
    measured = found.performance
    return measured.value if measured is not None and measured.metric == metric else None


def _approvals(roles: tuple[str, ...], known: VersionState) -> Iterator[Criterion]:
    """A different person for each role: the highest role first, each by whoever is just high enough."""
    people = {review.actor: Role(review.role) for review in known.reviews if review.approves}
    order = tuple(Role)
    free = sorted(people, key=lambda actor: order.index(people[actor]))
    for role in sorted((Role(name) for name in roles), key=order.index, reverse=True):
        actor = next((it for it in free if people[it].permits(role)), "")
        if actor:
            free.remove(actor)
        yield Criterion(
            f"approval by the role {role}", bool(actor), f"by {actor}" if actor else "nobody has approved"
        )


def _item(item: str, reviews: tuple[Review, ...]) -> Criterion:
    actor = next((review.actor for review in reviews if item in review.done), "")
    return Criterion(item, bool(actor), f"done by {actor}" if actor else "is not done")
