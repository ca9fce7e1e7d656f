"""What the values of a spec may be, beyond their types."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from types import MappingProxyType

from driftsonde.core.bounds import parse_bound
from driftsonde.core.control.access import Role
from driftsonde.core.events import MAX_TEXT_CHARS
from driftsonde.core.joint import MAX_COLUMNS
from driftsonde.core.outcomes import classes_of
from driftsonde.core.spec import DETECTORS, HOUR_MS, KNOWABLE, MINUTE_MS, ModelSpec, Policy, StageRule, Task

_DAY_MS = 24 * HOUR_MS
_MAX_CLASSES = 1_000
_MAX_SEGMENTS = 20
_MAX_VALUE = 1e12
_MAX_STAGES = 20
_MAX_UNIT = 20
_MAX_ASKED = 50


@dataclass(frozen=True, slots=True)
class _Limit:
    """`holds` must be false for NaN."""

    allowed: str
    holds: Callable[[float], bool]


_RATE = _Limit("0 to 1", lambda value: 0 <= value <= 1)
_LEVEL = _Limit("between 0 and 1, both excluded", lambda value: 0 < value < 1)
_COUNT = _Limit("1 or more", lambda value: value >= 1)

_POLICY_LIMITS: Mapping[str, _Limit] = MappingProxyType(
    {
        "drift.psi": _Limit("greater than 0, at most 100", lambda value: 0 < value <= 100),
        "drift.alpha": _LEVEL,
        "drift.min_rows": _COUNT,
        "drift.alert_after": _COUNT,
        "drift.retrain_after": _Limit("0 or more", lambda value: value >= 0),
        "drift.resolve_after": _COUNT,
        "quality.missing_rate": _RATE,
        "quality.unseen_rate": _RATE,
        "quality.out_of_range_rate": _RATE,
        "quality.volume": _Limit("0 to 0.99", lambda value: 0 <= value <= 0.99),
        "quality.freshness_ms": _Limit("0s to 365d", lambda value: 0 <= value <= 365 * _DAY_MS),
        "performance.drop": _Limit("greater than 0, at most 100", lambda value: 0 < value <= 100),
        "performance.confidence": _LEVEL,
        "performance.min_labels": _COUNT,
        "performance.alert_after": _COUNT,
        "performance.retrain_after": _Limit("0 or more", lambda value: value >= 0),
        "performance.resolve_after": _COUNT,
        "budget.false_pages": _Limit("greater than 0, at most 1000", lambda value: 0 < value <= 1_000),
        "budget.learning_windows": _Limit("10 to 10000", lambda value: 10 <= value <= 10_000),
        "canary.margin": _RATE,
        "fairness.difference": _RATE,
        "fairness.ratio": _RATE,
        "fairness.alert_after": _Limit("0 or more", lambda value: value >= 0),
        "fairness.resolve_after": _COUNT,
        "multivariate.shift": _Limit("greater than 0, at most 100", lambda value: 0 < value <= 100),
        "multivariate.reconstruction": _Limit("greater than 0, at most 100", lambda value: 0 < value <= 100),
        "multivariate.alert_after": _COUNT,
        "multivariate.resolve_after": _COUNT,
        "canary.alpha": _LEVEL,
        "canary.min_labels": _COUNT,
        "rollout.min_labels": _Limit("0 or more", lambda value: value >= 0),
        "rollout.min_stage_ms": _Limit("0s to 365d", lambda value: 0 <= value <= 365 * _DAY_MS),
        "rollout.max_stage_ms": _Limit("1s to 365d", lambda value: 1_000 <= value <= 365 * _DAY_MS),
        "actions.retrain_cooldown_ms": _Limit("0s to 365d", lambda value: 0 <= value <= 365 * _DAY_MS),
        "actions.retrain_per_week": _Limit("1 to 16", lambda value: 1 <= value <= 16),
        "actions.retrain_cost": _Limit(f"0 to {_MAX_VALUE:g}", lambda value: 0 <= value <= _MAX_VALUE),
        "actions.retrain_budget": _Limit(f"0 to {_MAX_VALUE:g}", lambda value: 0 <= value <= _MAX_VALUE),
        "actions.learning_ms": _Limit("0s to 365d", lambda value: 0 <= value <= 365 * _DAY_MS),
        "actions.approvals": _Limit("1 to 10", lambda value: 1 <= value <= 10),
        "actions.approval_expiry_ms": _Limit("1m to 365d", lambda value: MINUTE_MS <= value <= 365 * _DAY_MS),
    }
)

_SPEC_LIMITS: Mapping[str, _Limit] = MappingProxyType(
    {
        "window_ms": _Limit("1s to 366d", lambda value: 1_000 <= value <= 366 * _DAY_MS),
        "lateness_ms": _Limit("0s to 366d", lambda value: 0 <= value <= 366 * _DAY_MS),
        "label_wait_ms": _Limit("0s to 366d", lambda value: 0 <= value <= 366 * _DAY_MS),
        "baseline_rows": _Limit("100 to 100000", lambda value: 100 <= value <= 100_000),
        "error_cost": _Limit(f"0 to {_MAX_VALUE:g}", lambda value: 0 <= value <= _MAX_VALUE),
    }
)


def spec_problems(value: ModelSpec | Policy) -> Iterator[str]:
    """One text for each value out of its range: the field's path in the document, and what is allowed."""
    if isinstance(value, Policy):
        yield from _outside(value, _POLICY_LIMITS, "")
        yield from _stage_problems(value, "")
        yield from _detector_problems(value, "")
        yield from _promotion_problems(value, "")
        return
    yield from _name_problems(value.name)
    yield from _outside(value, _SPEC_LIMITS, "")
    yield from _class_problems(value)
    yield from _column_problems("segments", value.segments)
    yield from _column_problems("protected", value.protected)
    if len(value.policy.multivariate.columns) > MAX_COLUMNS:
        yield f"policy.multivariate.columns: expected at most {MAX_COLUMNS}"
    yield from _value_problems(value)
    if len(value.value_unit) > _MAX_UNIT or not value.value_unit.isprintable():
        yield f"value_unit: expected at most {_MAX_UNIT} printable characters"
    if value.error_cost and (value.task is Task.REGRESSION or value.outcome_values):
        yield "error_cost: expected none for a regression, and none beside outcome_values"
    yield from _outside(value.policy, _POLICY_LIMITS, "policy.")
    yield from _stage_problems(value.policy, "policy.")
    yield from _detector_problems(value.policy, "policy.")
    yield from _promotion_problems(value.policy, "policy.")


def _detector_problems(policy: Policy, path: str) -> Iterator[str]:
    chosen = policy.performance.detectors
    if set(chosen) - set(DETECTORS) or len(set(chosen)) < len(chosen):
        yield (
            f"{path}performance.detectors: expected some of {', '.join(DETECTORS)}, each once, not {list(chosen)}"
        )


def _stage_problems(policy: Policy, path: str) -> Iterator[str]:
    stages = policy.rollout.stages
    ascending = all(earlier < later for earlier, later in pairwise((0.0, *stages, 1.0)))
    if not stages or len(stages) > _MAX_STAGES or not ascending:
        yield (
            f"{path}rollout.stages: expected 1 to {_MAX_STAGES} parts of the requests, ascending, between 0 and 1, not "
            f"{list(stages)}"
        )


def _promotion_problems(policy: Policy, path: str) -> Iterator[str]:
    for name, rule in (("staging", policy.promotion.staging), ("production", policy.promotion.production)):
        yield from _rule_problems(rule, f"{path}promotion.{name}.")


def _rule_problems(rule: StageRule, path: str) -> Iterator[str]:
    roles = tuple(Role)
    for name in rule.known:
        if name not in KNOWABLE:
            yield f"{path}known: {name!r} is none of {', '.join(KNOWABLE)}"
    for role in rule.approvals:
        if role not in roles:
            yield f"{path}approvals: {role!r} is none of {', '.join(roles)}"
    for name, bounds in (("metrics", rule.metrics), ("live", rule.live)):
        for text in bounds:
            try:
                parse_bound(text)
            except ValueError as error:
                yield f"{path}{name}: {text!r}: {error}"
    if rule.live and path.endswith("staging."):
        yield f"{path}live: expected none: a version serves only from production on"
    if max(map(len, (rule.known, rule.metrics, rule.approvals, rule.checklist, rule.live))) > _MAX_ASKED:
        yield f"{path.removesuffix('.')}: expected at most {_MAX_ASKED} of each kind"
    if not all(0 < len(item) <= MAX_TEXT_CHARS for item in rule.checklist):
        yield f"{path}checklist: an item is empty or longer than {MAX_TEXT_CHARS} characters"


def _outside(value: ModelSpec | Policy, limits: Mapping[str, _Limit], path: str) -> Iterator[str]:
    for name, limit in limits.items():
        actual = attrgetter(name)(value)
        if not limit.holds(actual):
            unit = " ms" if name.endswith("_ms") else ""
            yield f"{path}{name.removesuffix('_ms')}: expected {limit.allowed}, not {actual!r}{unit}"


def _name_problems(name: str) -> Iterator[str]:
    # The slash separates model and version in the keys of the topic `models`.
    if not name or len(name) > MAX_TEXT_CHARS or "/" in name or not name.isprintable():
        yield f"name: expected 1 to {MAX_TEXT_CHARS} printable characters without a slash, not {name[:40]!r}"


def _class_problems(spec: ModelSpec) -> Iterator[str]:
    count = len(spec.classes)
    if len(set(spec.classes)) < count:
        yield "classes: one is listed twice"
    if spec.task is Task.BINARY and count not in (0, 2):
        yield f"classes: expected 2 (the second is the positive one) or none for a binary task, not {count}"
    if spec.task is Task.MULTICLASS and count and not 2 <= count <= _MAX_CLASSES:
        yield f"classes: expected 2 to {_MAX_CLASSES} or none for a multiclass task, not {count}"
    if spec.task is Task.REGRESSION and count:
        yield "classes: expected none for a regression"


def _column_problems(field: str, names: tuple[str, ...]) -> Iterator[str]:
    if len(names) > _MAX_SEGMENTS:
        yield f"{field}: expected at most {_MAX_SEGMENTS}, not {len(names)}"
    if len(set(names)) < len(names):
        yield f"{field}: one is listed twice"
    if not all(names):
        yield f"{field}: a column's name is empty"


def _value_problems(spec: ModelSpec) -> Iterator[str]:
    if not spec.outcome_values:
        return
    size = len(classes_of(spec))
    if spec.task is Task.REGRESSION or not size:
        yield "outcome_values: expected none without classes"
    elif {len(spec.outcome_values), *map(len, spec.outcome_values)} != {size}:
        yield f"outcome_values: expected {size} rows (one a label) of {size} values (one a prediction)"
    elif not all(abs(value) <= _MAX_VALUE for row in spec.outcome_values for value in row):
        yield f"outcome_values: expected numbers from -{_MAX_VALUE:g} to {_MAX_VALUE:g}"
