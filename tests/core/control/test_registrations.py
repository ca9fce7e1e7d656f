"""What is registered enters the log, once each time that it changes."""

from dataclasses import replace

import pytest

from control_examples import NOW_MS, after, setting
from driftsonde.adapters.wire_control import decision_from_record, decision_to_record
from driftsonde.core.baseline import Lineage, Performance
from driftsonde.core.control import versions
from driftsonde.core.control.decisions import Kind
from driftsonde.core.control.inputs import Registered, SplitChange
from driftsonde.core.control.registered import Registration, Stage
from driftsonde.core.control.state import State, fold
from driftsonde.core.control.traffic import Share
from driftsonde.core.events import Variant
from driftsonde.core.origin import Origin

RULES = setting()
BASELINE = Registration(
    NOW_MS - 5_000,
    baseline="b1",
    rows=5_000,
    lineage=Lineage("train.parquet", "f00d", 0, 1, code_revision="9f1c"),
    performance=Performance("accuracy", 0.93, 1_000),
    origin=Origin("card", owner="ann", metrics=(("auc", 0.9),), params=(("depth", "3"),)),
)
SPEC = Registration(NOW_MS - 9_000, spec='{"name":"fraud"}')


def test_it_is_a_decision_only_when_something_changes() -> None:
    news = [Registered("fraud", "", SPEC), Registered("fraud", "1", BASELINE)]
    state, decisions = after(State(), [*news, *news], RULES)
    assert [(it.kind, it.version, it.sequence) for it in decisions] == [
        (Kind.REGISTER, "", 1),
        (Kind.REGISTER, "1", 2),
    ]
    assert decisions[1].detail.reason == (
        "registered: baseline b1 of 5000 rows, trained on train.parquet (f00d), code 9f1c, card"
    )
    assert decisions[1].detail.recipients == ()  # nobody is paged by a registration
    known = state.model("fraud").versions["1"]
    assert (known.registration, known.first_ms, known.stage) == (BASELINE, NOW_MS - 5_000, Stage.DEVELOPMENT)

    again = replace(BASELINE, at_ms=NOW_MS, rows=6_000)
    assert after(state, [Registered("fraud", "1", replace(BASELINE, at_ms=NOW_MS))], RULES)[1] == []
    state, (changed,) = after(state, [Registered("fraud", "1", again)], RULES)
    assert changed.detail.reason.startswith("rows changed: registered: baseline b1 of 6000 rows")
    known = state.model("fraud").versions["1"]
    assert (known.registration, known.first_ms, known.decision) == (again, NOW_MS - 5_000, changed.id)


def test_the_log_gives_it_back() -> None:
    state, decisions = after(State(), [Registered("fraud", "1", BASELINE)], RULES)
    read = [decision_from_record(decision_to_record(it)) for it in decisions]
    assert read == decisions
    assert fold(State(), read) == state


def test_without_a_baseline_it_says_so() -> None:
    _, (decision,) = after(State(), [Registered("fraud", "2", Registration(NOW_MS))], RULES)
    assert decision.detail.reason == "registered: no baseline yet"
    provisional = replace(BASELINE, lineage=Lineage("first rows", "aa", 0, 1, provisional=True), origin=None)
    _, (decision,) = after(State(), [Registered("fraud", "2", provisional)], RULES)
    assert decision.detail.reason == "registered: provisional baseline b1 of 5000 rows"


def test_the_champion_is_in_production_and_the_one_before_retired() -> None:
    only = [
        SplitChange("fraud", (Share(version, Variant.CHAMPION, 1.0),), "ann") for version in ("1", "2", "1")
    ]
    news = [Registered("fraud", version, BASELINE) for version in ("1", "2")]
    state, _ = after(State(), [*news, *only[:2]], RULES)
    stages = {version: known.stage for version, known in state.model("fraud").versions.items()}
    assert stages == {"1": Stage.RETIRED, "2": Stage.PRODUCTION}
    state, _ = after(state, [*only[2:]], RULES)
    stages = {version: known.stage for version, known in state.model("fraud").versions.items()}
    assert stages == {"1": Stage.PRODUCTION, "2": Stage.RETIRED}


def test_the_oldest_versions_are_forgotten_but_those_that_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "MAX_VERSIONS", 3)
    champion = SplitChange("fraud", (Share("1", Variant.CHAMPION, 1.0),), "ann")
    news = [Registered("fraud", version, BASELINE) for version in ("2", "3", "4")]
    state, _ = after(
        State(), [Registered("fraud", "", SPEC), Registered("fraud", "1", BASELINE), champion, *news], RULES
    )
    assert list(state.model("fraud").versions) == ["", "1", "4"]
