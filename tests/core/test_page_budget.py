"""What the bars of all rules together allow: the budget, and a quarter of it more with columns watched together."""

import numpy as np
import pytest

from driftsonde.core.page_budget import (
    DRIFT,
    JOINT,
    OUTCOMES,
    QUALITY,
    SEGMENTS,
    log_page_bar,
    quality_parts,
)
from driftsonde.core.plan import Plan, plan_for
from driftsonde.core.spec import Budget, ModelSpec, Policy, QualityRule, Task


def plan(volume: float) -> Plan:
    policy = Policy(quality=QualityRule(volume=volume), budget=Budget(false_pages=2.3))
    return plan_for(ModelSpec("m", Task.BINARY, policy=policy), None, "", "policy")


def pages(plan: Plan, share: float, among: int = 1) -> float:
    """How many false pages a period may have at a bar."""
    windows = plan.spec.policy.budget.windows(plan.spec.window_ms)
    return float(windows / np.exp(log_page_bar(plan, share, among)))


@pytest.mark.parametrize("volume", [0.0, 0.5])
def test_the_shares_come_to_the_budget_and_a_quarter_more_with_columns_together(volume: float) -> None:
    model, segments = plan(volume), 7
    parts = quality_parts(model.spec.policy)
    rates, more_or_fewer = pages(model, QUALITY, parts), 2 * pages(model, QUALITY, 2 * parts)
    each_segment = pages(model, SEGMENTS, segments)
    spent = pages(model, DRIFT) + rates + pages(model, OUTCOMES) + segments * each_segment
    assert spent + (more_or_fewer if volume else 0) == pytest.approx(2.3)
    assert pages(model, JOINT) == pytest.approx(2.3 / 4)
