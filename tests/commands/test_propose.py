"""What is proposed after the learning period."""

import tomllib
from dataclasses import replace

import pytest

from driftsonde.commands.backtest import TODAY, Report, Sweep, Tried
from driftsonde.commands.propose import in_lines, proposal_of
from driftsonde.core.backtest import WEEK_MS, Page, Span, Step, Tally
from driftsonde.core.signals import Rule
from driftsonde.core.spec import ActionPolicy, DriftRule, Mode, ModelSpec, Policy, Task

SPEC = ModelSpec("fraud", Task.BINARY, policy=Policy(DriftRule(psi=0.1)))


def tally(pages_per_week: float) -> Tally:
    return Tally(0, pages_per_week, 0, 0, 0, 0, None, 0)


def sweep(bar: str, steps: dict[float, float], within: float | None) -> Sweep:
    return Sweep(bar, [Step(value, tally(pages)) for value, pages in steps.items()], within)


def report(psi: Sweep) -> Report:
    pages = [Page(Rule.DRIFT, "1", "", at, at, None, "drift") for at in range(6)]
    drop = sweep("performance.drop", {0.01: 9.0, 0.05: 0.5}, 0.05)
    tried = [Tried(TODAY, "p", pages, tally(3.0))]
    return Report("fraud", Span(0, 2 * WEEK_MS), 9, (), False, 0, 0, 0, tried, [psi, drop], 1.0)


def test_a_limit_that_pages_too_often_is_raised_and_one_that_does_not_stays() -> None:
    found = proposal_of(SPEC, report(sweep("drift.psi", {0.1: 3.0, 0.2: 0.5, 0.3: 0.0}, 0.2)), WEEK_MS)
    assert found.would_have_paged == {"drift": 3.0}
    assert [(it.key, it.proposed, it.changes) for it in found.limits] == [
        ("drift.psi", 0.2, True),
        ("performance.drop", 0.05, False),
    ]
    assert found.ready
    assert tomllib.loads(found.change) == {
        "policy": {"drift": {"psi": 0.2}, "actions": {"retrain": "auto", "rollback": "auto"}}
    }
    assert found.commands[-1] == "driftsonde automation start --model fraud"
    lines = [*in_lines(found)]
    assert "  drift.psi: 0.2 (0.5 a week) instead of 0.1 (3 a week)" in lines
    assert "  performance.drop: stays 0.05 (0.5 a week)" in lines


@pytest.mark.parametrize(
    ("until_ms", "within", "reason"),
    [(3 * WEEK_MS, 0.2, "not over until"), (WEEK_MS, None, "none that was tried keeps the budget")],
)
def test_nothing_is_automated_before_the_end_or_beyond_the_budget(
    until_ms: int, within: float | None, reason: str
) -> None:
    found = proposal_of(
        SPEC, report(sweep("drift.psi", {0.1: 3.0, 0.2: 2.0 if within is None else 0.5}, within)), until_ms
    )
    assert not found.ready
    assert "auto" not in found.change
    assert not any("automation start" in command for command in found.commands)
    assert any(reason in line for line in in_lines(found))


def test_a_policy_that_acts_within_the_budget_has_nothing_to_change() -> None:
    acting = replace(SPEC, policy=Policy(DriftRule(psi=0.1), actions=ActionPolicy(Mode.AUTO, Mode.AUTO)))
    found = proposal_of(acting, report(sweep("drift.psi", {0.1: 0.2}, 0.1)), WEEK_MS)
    assert (found.change, found.commands) == ("", ["driftsonde automation start --model fraud"])
