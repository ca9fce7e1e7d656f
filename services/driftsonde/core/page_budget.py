"""What each rule may cost of a model's budget of false pages (`Budget`), and the bar of evidence that follows.

Each share is kept by itself (`evidence`), so all together cost at most their sum: the budget, and a quarter of it more where the
policy watches columns together (JOINT).
"""

from driftsonde.core.plan import Plan
from driftsonde.core.spec import Policy
from driftsonde.core.statistics.evidence import log_alarm_bar

DRIFT = 1 / 4
QUALITY = 1 / 4  # the columns' rates and the volume, where that is watched, have one half each
OUTCOMES = 1 / 4  # performance of the whole model
SEGMENTS = 1 / 4  # performance of its segments, equal parts of it
JOINT = 1 / 4


def log_page_bar(plan: Plan, share: float, among: int = 1) -> float:
    """The bar (`log_alarm_bar`) of one of `among` equal parts of a share of the budget."""
    budget = plan.spec.policy.budget
    return log_alarm_bar(budget.windows(plan.spec.window_ms), budget.false_pages * share / among)


def quality_parts(policy: Policy) -> int:
    """How many equal parts quality's share has: one for the columns' rates, one for the volume where that is watched."""
    return 2 if policy.quality.volume else 1
