"""Promotion: refused with all that is missing, and recorded with its grounds."""

from dataclasses import replace

import pytest

from control_examples import NOW_MS, after, setting
from driftsonde.core.baseline import Lineage, Performance
from driftsonde.core.control.criteria import criteria, stage_of
from driftsonde.core.control.decisions import Kind
from driftsonde.core.control.inputs import (
    Promotion,
    Refused,
    Registered,
    RolloutStart,
    Setting,
    Unknown,
    Verdict,
)
from driftsonde.core.control.machine import step
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.registered import Registration, Stage
from driftsonde.core.control.state import State, fold, with_traffic
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.origin import Origin
from driftsonde.core.spec import ActionPolicy, PromotionRule, StageRule

ALONE = Traffic("fraud", (Share("1", Variant.CHAMPION, 1.0),), 1, "d0")
RULES = PromotionRule(
    staging=StageRule(baseline=True, known=("data", "code_revision", "owner")),
    production=StageRule(
        metrics=("accuracy >= production - 0.02", "equal_opportunity_gap <= 0.1"),
        approvals=("approver", "admin"),
        checklist=("model card read",),
    ),
)
LINEAGE = Lineage("train.parquet", "f00d", 0, 1, code_revision="9f1c")
FAIR = Origin("card", metrics=(("equal_opportunity_gap", 0.05),))


def version(accuracy: float, origin: Origin | None = FAIR, lineage: Lineage = LINEAGE) -> Registration:
    return Registration(NOW_MS, "", "b", 5_000, lineage, Performance("accuracy", accuracy, 1_000), origin)


def rules(promotion: PromotionRule = RULES, owner: str = "ann") -> Setting:
    governance = Governance(ActionPolicy(), "p1", owner, promotion=promotion)
    return replace(setting(), governance=lambda _: governance)


def started(candidate: Registration) -> State:
    news = [Registered("fraud", "1", version(0.93)), Registered("fraud", "2", candidate)]
    return after(with_traffic(State(), ALONE), [*news], rules())[0]


def wish(name: str = "2") -> Promotion:
    return Promotion("fraud", name, "ann", "quarterly model")


def refusal(state: State, asked: Promotion | RolloutStart, policy: Setting) -> str:
    with pytest.raises(Refused) as found:
        step(state, asked, NOW_MS, policy)
    return str(found.value)


def test_development_staging_production() -> None:
    state = started(version(0.92))
    state, (staged,) = after(state, [wish()], rules())
    assert (staged.kind, staged.version, staged.actor, staged.policy) == (Kind.STAGE, "2", "ann", "p1")
    assert staged.detail.reason == (
        "development → staging; baseline (b of 5000 rows); data (train.parquet (f00d)); code_revision (9f1c); "
        "owner (ann); quarterly model"
    )
    assert stage_of(state.model("fraud"), "2") is Stage.STAGING
    assert refusal(state, wish(), rules()) == (
        "version 2 may not go to production; missing: approval by the role admin: nobody has approved; "
        "approval by the role approver: nobody has approved; model card read: is not done"
    )
    said = [
        Verdict("fraud", "2", "ann", "admin", approves=True),
        Verdict("fraud", "2", "ann", "admin", approves=True),
        Verdict("fraud", "2", "bob", "operator", done=("model card read",)),
        Verdict("fraud", "2", "eve", "approver", approves=True, reason="as discussed"),
    ]
    state, reviews = after(state, [*said], rules())
    assert [(it.kind, it.actor) for it in reviews] == [(Kind.REVIEW, who) for who in ("ann", "bob", "eve")]
    state, (rollout,) = after(state, [wish()], rules())
    assert (rollout.kind, rollout.version) == (Kind.ROLLOUT, "2")
    assert "it is 0.92, and 0.93 of version 1 in production" in rollout.detail.reason
    assert (
        "approval by the role admin (by ann); approval by the role approver (by eve)" in rollout.detail.reason
    )
    assert stage_of(state.model("fraud"), "1") is Stage.PRODUCTION
    assert refusal(state, wish(), rules()) == "version 2 is being rolled out already, shadow"


@pytest.mark.parametrize(
    ("candidate", "missing"),
    [
        (
            Registration(NOW_MS),
            "baseline: none is registered; data: no training data with a fingerprint is named",
        ),
        (
            version(0.9, None, replace(LINEAGE, provisional=True)),
            "baseline: it is provisional, of the first rows",
        ),
        (version(0.9, None, replace(LINEAGE, code_revision="")), "missing: code_revision: is not registered"),
    ],
)
def test_what_staging_lacks(candidate: Registration, missing: str) -> None:
    assert missing in refusal(started(candidate), wish(), rules())


@pytest.mark.parametrize(
    ("candidate", "missing"),
    [
        (version(0.9), "accuracy >= production - 0.02: it is 0.9, and 0.93 of version 1 in production"),
        (version(0.93, None), "equal_opportunity_gap <= 0.1: equal_opportunity_gap is not registered"),
        (
            version(0.93, Origin("card", metrics=(("equal_opportunity_gap", 0.2),))),
            "equal_opportunity_gap <= 0.1: it is 0.2",
        ),
        (replace(version(0.9), performance=None), "accuracy is not registered of both, measured alike"),
    ],
)
def test_what_production_lacks(candidate: Registration, missing: str) -> None:
    state, _ = after(started(candidate), [wish()], rules())
    assert missing in refusal(state, wish(), rules())


def test_a_rollout_is_no_way_around() -> None:
    said = refusal(started(version(0.93)), RolloutStart("fraud", "2", "ann"), rules())
    assert said.startswith("version 2 may not go to production; missing: it is not in staging: promote it")
    asks_nothing = rules(PromotionRule())
    assert after(started(version(0.1)), [RolloutStart("fraud", "2", "ann")], asks_nothing)[1]


def test_one_person_approves_for_one_role_only() -> None:
    rule = StageRule(approvals=("approver", "approver"))
    state, _ = after(
        started(version(0.9)),
        [Verdict("fraud", "2", who, "admin", approves=True) for who in ("ann", "ann")],
        rules(),
    )
    assert [it.met for it in criteria(state.model("fraud"), "2", rule, "")] == [True, False]
    state, _ = after(state, [Verdict("fraud", "2", "bob", "operator", approves=True)], rules())
    assert [it.met for it in criteria(state.model("fraud"), "2", rule, "")] == [True, False]
    state, _ = after(state, [Verdict("fraud", "2", "eve", "approver", approves=True)], rules())
    assert [it.met for it in criteria(state.model("fraud"), "2", rule, "")] == [True, True]


def test_what_was_said_of_another_content_lapses() -> None:
    state, _ = after(started(version(0.9)), [Verdict("fraud", "2", "ann", "admin", approves=True)], rules())
    assert len(state.model("fraud").versions["2"].reviews) == 1
    state, _ = after(state, [Registered("fraud", "2", version(0.91))], rules())
    assert state.model("fraud").versions["2"].reviews == ()


def test_the_first_version_of_a_model_serves_at_once() -> None:
    free = rules(PromotionRule())
    state, _ = after(State(), [Registered("fraud", "1", version(0.9))], free)
    state, (staged, split) = after(state, [wish("1"), wish("1")], free)
    assert (staged.kind, split.kind) == (Kind.STAGE, Kind.TRAFFIC)
    assert stage_of(state.model("fraud"), "1") is Stage.PRODUCTION
    assert after(state, [wish("1")], free)[1] == []
    with pytest.raises(Refused, match="there is no next stage"):
        step(state, Verdict("fraud", "1", "ann", "admin", approves=True), NOW_MS, free)


def test_what_makes_no_sense_is_said() -> None:
    state = started(version(0.9))
    with pytest.raises(Unknown, match="no version '9'"):
        step(state, wish("9"), NOW_MS, rules())
    with pytest.raises(Unknown, match="no version '9'"):
        step(state, Verdict("fraud", "9", "ann", "admin", approves=True), NOW_MS, rules())
    with pytest.raises(Refused, match="not on the checklist of staging: shoes tied; it has: nothing"):
        step(state, Verdict("fraud", "2", "ann", "admin", done=("shoes tied",)), NOW_MS, rules())
    with pytest.raises(Refused, match="say that you approve"):
        step(state, Verdict("fraud", "2", "ann", "admin"), NOW_MS, rules())


def test_the_log_gives_stages_and_reviews_back() -> None:
    news = [Registered("fraud", "1", version(0.93)), Registered("fraud", "2", version(0.93))]
    said = Verdict("fraud", "2", "ann", "admin", done=("model card read",))
    start = with_traffic(State(), ALONE)
    state, decisions = after(start, [*news, wish(), said], rules())
    assert fold(start, decisions) == state
    (review,) = state.model("fraud").versions["2"].reviews
    assert (review.actor, review.done) == ("ann", ("model card read",))
