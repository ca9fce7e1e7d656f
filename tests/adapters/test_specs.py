import json
import math
from dataclasses import replace

import numpy as np
import pytest

from driftsonde.adapters.river_detectors import DETECTORS as RIVER
from driftsonde.adapters.specs import (
    InvalidSpec,
    baseline_from_json,
    baseline_to_json,
    fingerprint,
    parse_spec,
    policy_from_toml,
    spec_from_json,
    spec_from_toml,
    spec_to_json,
)
from driftsonde.core.baseline import (
    Baseline,
    Calibration,
    CategoricalReference,
    ErrorSums,
    LabelCounts,
    Lineage,
    NumericReference,
    Performance,
)
from driftsonde.core.events import Role
from driftsonde.core.spec import (
    DETECTORS,
    ActionPolicy,
    DriftRule,
    Mode,
    ModelSpec,
    Policy,
    PromotionRule,
    StageRule,
    Task,
)

SPEC = ModelSpec(
    name="fraud",
    task=Task.BINARY,
    window_ms=900_000,
    lateness_ms=1_500,
    classes=("no", "yes"),
    segments=("country",),
    protected=("sex",),
    outcome_values=((0.0, -5.0), (-100.0, 20.5)),
    owner='the "team"\n\x7f',
    policy=Policy(
        promotion=PromotionRule(
            production=StageRule(True, ("data",), ("auc >= production - 0.02",), ("admin",), ("x",))
        ),
        drift=DriftRule(psi=0.3),
        actions=ActionPolicy(retrain=Mode.AUTO, retrain_cooldown_ms=0),
    ),
)

TOML = """
name = "fraud"
task = "binary"
window = "15m"
lateness = 1500
classes = ["no", "yes"]

[policy.actions]
retrain = "auto"
retrain_cooldown = "7d"
"""


def baseline() -> Baseline:
    return Baseline(
        model="fraud",
        version="1",
        rows=10,
        columns=(
            NumericReference(
                name="amount",
                role=Role.FEATURE,
                edges=np.array([0.1, 0.25, math.pi]),
                counts=np.array([1, 2, 3, 4, 0]),
                total=1 / 3,
                total_squares=math.inf,
                minimum=-math.inf,
                maximum=math.nan,
            ),
            CategoricalReference("country", Role.SEGMENT, ("de", "ß", ""), np.array([5, 3, 1, 1, 0])),
        ),
        segments=(("country", ("de", "ß")),),
        performance=Performance("accuracy", 0.9, 10),
        lineage=Lineage("file.csv", "abc", 0, 1_000, True, "r1"),
    )


def test_a_document_as_people_write_it() -> None:
    spec = spec_from_toml(TOML)
    assert (spec.window_ms, spec.lateness_ms, spec.classes) == (900_000, 1_500, ("no", "yes"))
    assert spec.policy.actions == ActionPolicy(retrain=Mode.AUTO, retrain_cooldown_ms=7 * 86_400_000)
    assert spec.policy.drift == DriftRule()


@pytest.mark.parametrize("spec", [SPEC, ModelSpec("m", Task.REGRESSION)])
def test_round_trips(spec: ModelSpec) -> None:
    assert spec_from_json(spec_to_json(spec)) == spec


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"windw": "1h"}, "windw: unknown; expected one of baseline_rows"),
        ({"window_ms": 5}, "window_ms: unknown"),
        ({"window": "1 fortnight"}, "window: '1 fortnight' is not a duration"),
        ({"window": "0s"}, "window: expected 1s to 366d, not 0 ms"),
        ({"window": 1.5}, "window: input should be a valid integer"),
        ({"window": True}, "window: input should be a valid integer"),
        ({"task": "clustering"}, "task: input should be 'binary', 'multiclass' or 'regression'"),
        ({"classes": "yes"}, "classes: input should be a valid array"),
        ({"classes": ["yes"]}, "classes: expected 2"),
        ({"classes": ["no", 2]}, "classes.1: input should be a valid string"),
        ({"segments": ["a", "a"]}, "segments: one is listed twice"),
        ({"protected": ["sex", ""]}, "protected: a column's name is empty"),
        ({"outcome_values": [[0, 1]]}, "outcome_values: expected 2 rows"),
        ({"outcome_values": [[0, 1], [1, 1e13]]}, "outcome_values: expected numbers from -1e+12"),
        ({"outcome_values": [[0]], "task": "regression"}, "outcome_values: expected none without classes"),
        ({"outcome_values": [[0, "1"], [1, 0]]}, "outcome_values"),
        ({"name": "a/b"}, "name: expected 1 to"),
        ({"policy": {"drift": {"psi": "high"}}}, "policy.drift.psi: input should be a valid number"),
        ({"policy": {"drift": {"psi": math.nan}}}, "policy.drift.psi: expected greater than 0"),
        ({"policy": {"drift": {"psy": 0.1}}}, "policy.drift.psy: unknown; expected one of alert_after"),
        ({"policy": {"actions": {"retrain": "maybe"}}}, "policy.actions.retrain: input should be 'observe'"),
        (
            {"policy": {"actions": {"approval_expiry": "1s"}}},
            "policy.actions.approval_expiry: expected 1m to 365d",
        ),
        ({"policy": {"rollout": {"stages": []}}}, "policy.rollout.stages: expected 1 to 20 parts"),
        ({"policy": {"rollout": {"stages": [0.5, 0.25]}}}, "policy.rollout.stages: expected 1 to 20 parts"),
        ({"policy": {"rollout": {"stages": [0.5, 1.0]}}}, "policy.rollout.stages: expected 1 to 20 parts"),
        (
            {"policy": {"promotion": {"staging": {"known": ["date"]}}}},
            "policy.promotion.staging.known: 'date' is none of data, ",
        ),
        (
            {"policy": {"promotion": {"production": {"approvals": ["boss"]}}}},
            "policy.promotion.production.approvals: 'boss' is none of viewer, operator, approver, admin",
        ),
        (
            {"policy": {"promotion": {"production": {"metrics": ["auc > 1"]}}}},
            "policy.promotion.production.metrics: 'auc > 1': expected METRIC",
        ),
        (
            {"policy": {"promotion": {"staging": {"checklist": [""]}}}},
            "policy.promotion.staging.checklist: an item is empty",
        ),
        (
            {"policy": {"promotion": {"staging": {"checklist": ["x"] * 51}}}},
            "policy.promotion.staging: expected at most 50 of each kind",
        ),
        ({"policy": {"rollout": {"when_late": "wait"}}}, "policy.rollout.when_late: input should be 'pause'"),
        ({"policy": 3}, "policy: "),
    ],
)
def test_a_fault_names_the_field_and_what_is_allowed(change: dict[str, object], expected: str) -> None:
    with pytest.raises(InvalidSpec) as error:
        parse_spec({"name": "m", "task": "binary"} | change)
    (problem,) = error.value.problems
    assert problem.startswith(expected)


def test_every_fault_has_its_line() -> None:
    with pytest.raises(InvalidSpec) as error:
        parse_spec({"window": "?", "typo": 1})
    assert sorted(line.split(":")[0] for line in str(error.value).splitlines()) == [
        "name",
        "task",
        "typo",
        "window",
    ]


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_not_a_document(text: str) -> None:
    with pytest.raises(InvalidSpec):
        spec_from_json(text)


def test_not_toml() -> None:
    with pytest.raises(InvalidSpec, match="not TOML"):
        spec_from_toml("name = ")


def test_a_baseline_comes_back_bit_for_bit() -> None:
    text = baseline_to_json(baseline())
    assert "NaN" not in text
    assert "Infinity" not in text
    again = baseline_from_json(text)
    assert baseline_to_json(again) == text
    amount = again.columns[0]
    assert isinstance(amount, NumericReference)
    original = baseline().columns[0]
    assert isinstance(original, NumericReference)
    np.testing.assert_array_equal(amount.edges, original.edges)
    np.testing.assert_array_equal(amount.counts, original.counts)
    assert amount.counts.dtype == np.int64
    assert (amount.total, amount.total_squares, amount.minimum) == (1 / 3, math.inf, -math.inf)
    assert math.isnan(amount.maximum)
    assert again.segments == baseline().segments
    assert again.performance == baseline().performance
    assert again.lineage == baseline().lineage


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"rows":10', '"rows":10,"extra":1', "extra: unknown"),
        ('"rows":10', '"rows":"10"', "rows: input should be a valid integer"),
        ("[0.1,0.25,", "[0.3,0.25,", "columns[amount].edges: expected at least 2, ascending"),
        ("[1,2,3,4,0]", "[1,2,3,4]", "columns[amount].counts: has 4 entries, expected 5"),
        ("[5,3,1,1,0]", "[5,3,1,1,-1]", "columns[country].counts: one is negative"),
    ],
)
def test_a_broken_baseline_names_the_field(old: str, new: str, expected: str) -> None:
    text = baseline_to_json(baseline())
    assert old in text
    with pytest.raises(InvalidSpec) as error:
        baseline_from_json(text.replace(old, new))
    assert expected in str(error.value)


def test_fingerprints_name_the_content() -> None:
    assert fingerprint(SPEC) == fingerprint(spec_from_json(spec_to_json(SPEC)))
    assert fingerprint(SPEC) != fingerprint(replace(SPEC, window_ms=1_000))
    assert fingerprint(baseline()) == fingerprint(baseline_from_json(baseline_to_json(baseline())))
    assert fingerprint(baseline()) != fingerprint(replace(baseline(), rows=11))
    assert len(fingerprint(Policy())) == 16


LABEL_COUNTS = LabelCounts("amount", np.arange(12).reshape(3, 2, 2))
ERROR_SUMS = ErrorSums("amount", np.array([3, 0, 1]), *(np.array([0.1 * k, 0.0, 1 / 3]) for k in (1, 2, 3)))


@pytest.mark.parametrize("calibration", [LABEL_COUNTS, ERROR_SUMS])
def test_a_calibration_comes_back_bit_by_bit(calibration: Calibration) -> None:
    calibrated = replace(baseline(), calibration=calibration)
    again = baseline_from_json(baseline_to_json(calibrated)).calibration
    assert type(again) is type(calibration)
    assert repr(again) == repr(calibration)
    assert fingerprint(calibrated) != fingerprint(baseline())
    assert "calibration" not in json.loads(baseline_to_json(baseline()))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": "odds"}, "calibration"),
        ({"column": "country"}, "calibration.column: 'country' is no numeric column of the baseline"),
        ({"column": "gone"}, "calibration.column"),
        ({"counts": [[[1, 0], [0, 1]]]}, "calibration: expected 3 bins, got 1"),
        ({"counts": [[[1, 0], [0]]] * 3}, "calibration.counts: every bin needs a square matrix"),
        ({"counts": [[[1, 0]]] * 3}, "calibration.counts: every bin needs a square matrix"),
        ({"counts": [[[-1, 0], [0, 1]]] * 3}, "calibration: a count or sum is negative"),
        ({"counts": [[[0, 0], [0, 0]]] * 3}, "calibration: has no rows"),
        ({"counts": [[[0.5, 0], [0, 1]]] * 3}, "calibration"),
    ],
)
def test_refuses_a_calibration_that_is_none(change: dict[str, object], expected: str) -> None:
    document = json.loads(baseline_to_json(replace(baseline(), calibration=LABEL_COUNTS)))
    document["calibration"] |= change
    with pytest.raises(InvalidSpec) as caught:
        baseline_from_json(json.dumps(document))
    assert any(problem.startswith(expected) for problem in caught.value.problems), caught.value.problems


def test_refuses_error_sums_of_other_sizes() -> None:
    document = json.loads(baseline_to_json(replace(baseline(), calibration=ERROR_SUMS)))
    document["calibration"]["fourth"] = [1.0]
    with pytest.raises(InvalidSpec, match="one entry for each bin"):
        baseline_from_json(json.dumps(document))


def test_detectors_are_named_once_each_and_retraining_by_drift_may_be_asked_for() -> None:
    policy = policy_from_toml('[drift]\nretrain_after = 3\n[performance]\ndetectors = ["adwin", "ddm"]')
    assert (policy.drift.retrain_after, policy.performance.detectors) == (3, ("adwin", "ddm"))
    assert set(DETECTORS) == set(RIVER)
    for wrong in ('["adwim"]', '["adwin", "adwin"]'):
        with pytest.raises(InvalidSpec, match=r"performance\.detectors: expected some of adwin"):
            policy_from_toml(f"[performance]\ndetectors = {wrong}")
