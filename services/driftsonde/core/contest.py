"""How a new version compares with the champion so far: the intervals that hold at every window at once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from driftsonde.core.events import Variant
from driftsonde.core.pairs import NO_PAIRS, Pairs
from driftsonde.core.reigns import Arm
from driftsonde.core.spec import CanaryRule
from driftsonde.core.statistics.anytime import mean_difference_sequence
from driftsonde.core.statistics.intervals import Interval, normal_mean, wilson
from driftsonde.core.statistics.paired import mean_loss_sequence, paired_accuracy_sequence, window_variance
from driftsonde.core.verdict import Metric

DIFFERENCE = "accuracy_difference"
PAIRED_DIFFERENCE = "paired_accuracy_difference"
PAIRED_ERROR = "paired_error_difference"
# Of one window, from which its pairs can be had again (`pairs_from`).
WINDOW_DIFFERENCE, DISAGREEMENT = "paired_difference", "paired_disagreement"
PAIRED_SIZES = (
    "paired_champion_mae",
    "paired_mae",
    "paired_champion_rmse",
    "paired_rmse",
    "paired_difference_rms",
)
ERROR_DIFFERENCE = "error_difference"
# An asymptotic sequence begins at some hundreds of rows of each side.
FEWEST_ERRORS = 200
NO_BOUNDS = Interval(math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A canary against the champion over the windows that both have served since `since_ms`. absent: consecutive windows of the
    champion, none of the canary, whose variant was the given one at last.

    pairs: rows that both answered, None where the first window had none: then it is told by all rows of both.
    """

    since_ms: int
    champion: Arm = field(default_factory=Arm)
    canary: Arm = field(default_factory=Arm)
    rolled_back: bool = False
    variant: Variant = Variant.CANARY
    absent: int = 0
    pairs: Pairs | None = None

    @property
    def begun(self) -> bool:
        """Whether a window has been compared."""
        return self.champion.labelled > 0 or self.pairs is not None

    def plus(self, champion: Arm, canary: Arm, pairs: Pairs) -> "Comparison":
        """With one more window. Whether pairs are looked at is settled by the first, by what there is and not by how it went."""
        known = self.pairs
        if known is None and not self.begun and pairs.n:
            known = Pairs()
        return replace(
            self,
            champion=self.champion.plus(champion),
            canary=self.canary.plus(canary),
            pairs=None if known is None else _add(known, pairs),
        )


def _add(known: Pairs, window: Pairs) -> Pairs:
    expected = (known.only_challenger - known.only_champion) / known.n if known.n else 0.0
    variance = window_variance(window.n, window.only_champion, window.only_challenger, expected)
    return Pairs(
        known.n + window.n,
        known.only_champion + window.only_champion,
        known.only_challenger + window.only_challenger,
        tuple(a + b for a, b in zip(known.sums, window.sums, strict=True)),
        known.variance + variance,
    )


def differences(known: Comparison, rule: CanaryRule, regression: bool = False) -> list[Metric]:
    """New version minus champion with the bar it is held against, as many ways as it is known; `n`: its rows.

    All intervals hold together at every window with probability 1 - alpha: with pairs, the paired one and that of all rows
    have half of alpha each. "accuracy_difference": all rows of both; "paired_accuracy_difference": rows both answered;
    "error_difference" and "paired_error_difference", of a regression: the champion's mean absolute error minus the new
    version's, in the label's unit, their bar margin times the champion's error.
    """
    found: list[Metric] = []
    alpha = rule.alpha if known.pairs is None else rule.alpha / 2
    champion, canary, pairs = known.champion, known.canary, known.pairs
    if regression:
        found.extend(error_difference(champion, canary, rule.margin, alpha))
    elif champion.labelled and canary.labelled:
        interval = mean_difference_sequence(
            champion.labelled, champion.correct, canary.labelled, canary.correct, alpha
        )
        value = canary.correct / canary.labelled - champion.correct / champion.labelled
        found.append(
            Metric("", DIFFERENCE, canary.labelled, value, interval.lower, interval.upper, -rule.margin)
        )
    if pairs is not None and pairs.n:
        found.append(
            _paired_error(pairs, rule, alpha) if regression else _paired_accuracy(pairs, rule, alpha)
        )
    return found


def _paired_accuracy(pairs: Pairs, rule: CanaryRule, alpha: float) -> Metric:
    interval = paired_accuracy_sequence(
        pairs.n, pairs.only_champion, pairs.only_challenger, pairs.variance, alpha
    )
    value = (pairs.only_challenger - pairs.only_champion) / pairs.n
    return Metric("", PAIRED_DIFFERENCE, pairs.n, value, interval.lower, interval.upper, -rule.margin)


def error_difference(before: Arm, after: Arm, margin: float, alpha: float) -> list[Metric]:
    """The mean absolute error of one side minus that of the other, with the bar -margin times the first; none with fewer than
    `FEWEST_ERRORS` rows on a side.

    Each side has its own `mean_loss_sequence` at alpha / 2, so the interval holds at every window at once (asymptotically) with
    probability 1 - alpha, however the sides depend on each other. It is that of (1 + margin) a - b, moved by the bar:
    the bar has an error of its own.
    """
    if min(before.labelled, after.labelled) < FEWEST_ERRORS:
        return []
    first = mean_loss_sequence(before.labelled, before.absolute, before.squares, alpha / 2)
    second = mean_loss_sequence(after.labelled, after.absolute, after.squares, alpha / 2)
    error, more = before.absolute / before.labelled, 1 + margin
    bar = -margin * error
    lower, upper = more * first.lower - second.upper + bar, more * first.upper - second.lower + bar
    value = error - after.absolute / after.labelled
    return [Metric("", ERROR_DIFFERENCE, after.labelled, value, lower, upper, bar)]


def _paired_error(pairs: Pairs, rule: CanaryRule, alpha: float) -> Metric:
    """The interval is that of the mean of (1 + margin) c - s, moved by the bar: the bar has an error of its own."""
    champion, shadow, champion_squares, product, shadow_squares = pairs.sums
    more = 1 + rule.margin
    squares = more * more * champion_squares - 2 * more * product + shadow_squares
    interval = mean_loss_sequence(pairs.n, more * champion - shadow, squares, alpha)
    bar = -rule.margin * champion / pairs.n
    value = (champion - shadow) / pairs.n
    return Metric("", PAIRED_ERROR, pairs.n, value, interval.lower + bar, interval.upper + bar, bar)


def window_numbers(pairs: Pairs, regression: bool, confidence: float) -> list[Metric]:
    """Of one window's pairs by itself: `paired_difference`, new version minus champion in accuracy (regression: champion minus
    new version in absolute error, the label's unit) with a normal interval; of a classification also
    `paired_disagreement`, the share of rows on which only one of both was right, with Wilson's; of a regression
    `PAIRED_SIZES`, the errors of both on those rows and the root mean square of how the absolute ones differ.
    """
    n = pairs.n
    if regression:
        champion, shadow, champion_squares, product, shadow_squares = pairs.sums
        total, squares = champion - shadow, champion_squares - 2 * product + shadow_squares
    else:
        total = float(pairs.only_challenger - pairs.only_champion)
        squares = float(pairs.only_challenger + pairs.only_champion)
    bounds = NO_BOUNDS
    if n > 1 and math.isfinite(total + squares):
        bounds = normal_mean(n, total, max(squares, total * total / n), confidence)
    found = [Metric("", WINDOW_DIFFERENCE, n, total / n if n else math.nan, bounds.lower, bounds.upper)]
    if regression:
        means = [value / n if n else math.nan for value in pairs.sums[:2]]
        roots = [
            math.sqrt(max(0.0, value) / n) if n else math.nan
            for value in (pairs.sums[2], pairs.sums[4], squares)
        ]
        sizes = zip(PAIRED_SIZES, (*means, *roots), strict=True)
        found.extend(Metric("", name, n, value) for name, value in sizes)
    else:
        share = wilson(squares, n, confidence) if n else NO_BOUNDS
        value = squares / n if n else math.nan
        found.append(Metric("", DISAGREEMENT, n, value, share.lower, share.upper))
    return found


def pairs_from(numbers: Mapping[str, Metric]) -> Pairs:
    """The pairs that `window_numbers` told of, by name; of a regression up to rounding. No pairs where they are not among the numbers,
    as in a regression's windows of before `PAIRED_SIZES` were told."""
    difference, disagreement = numbers.get(WINDOW_DIFFERENCE), numbers.get(DISAGREEMENT)
    if difference is None or not difference.n:
        return NO_PAIRS
    n = difference.n
    if disagreement is not None:
        net, differing = round(difference.value * n), round(disagreement.value * n)
        return Pairs(n, (differing - net) // 2, (differing + net) // 2)
    if any(name not in numbers for name in PAIRED_SIZES):
        return NO_PAIRS
    champion, shadow, *roots = (numbers[name].value for name in PAIRED_SIZES)
    champion_squares, shadow_squares, squares = (root * root for root in roots)
    product = (champion_squares + shadow_squares - squares) / 2
    means = (champion, shadow, champion_squares, product, shadow_squares)
    return Pairs(n, sums=tuple(n * value for value in means))
