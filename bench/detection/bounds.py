"""What no detector can do: the best chance to find a loss within the budget, by Neyman and Pearson.

`python -m bench.detection.bounds` prints it for the wandering streams. The detector of the bound knows the law of the healthy stream,
how large the loss is and when it begins, and looks at everything before it and at all of it; a real one knows none of this.

A budget of b false pages in N rows leaves, on average over the N / n stretches of n rows, b n / N of them for each; so in some
stretch a page is false with probability at most alpha = b n / N, and what tells a loss there apart is a test of that size. Of
all such tests the likelihood ratio's is the most powerful: with Gaussian windows of covariance S and a loss s, its power is
Phi(d - z_alpha), d^2 = s' S^-1 s less what the unknown mean takes away.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.detection.ours import BUDGET, BUDGET_ROWS
from bench.detection.streams import BASELINE_ROWS, WANDERS, Wander

_RATE = 0.2
_WINDOW_ROWS = 25


@dataclass(frozen=True, slots=True)
class Bound:
    """power: the highest probability to find `loss` within the `rows` that it lasts."""

    wander: str
    loss: float
    rows: int
    distance: float
    power: float


def bound(wander: Wander, loss: float, rows: int) -> Bound:
    """For a season that is known, so that it does not count as variation."""
    before = (BASELINE_ROWS + 5_000) // _WINDOW_ROWS
    at = np.arange(before + rows // _WINDOW_ROWS) * _WINDOW_ROWS
    deviation = wander.deviation * _RATE * (1 - _RATE)
    covariance = deviation**2 * np.exp(-np.abs(at[:, None] - at) / wander.memory_rows)
    covariance += np.eye(len(at)) * _RATE * (1 - _RATE) / _WINDOW_ROWS
    signal = np.where(np.arange(len(at)) >= before, loss, 0.0)
    solved = np.linalg.solve(covariance, np.stack([signal, np.ones(len(at))], axis=1))
    (a, b), (_, c) = np.stack([signal, np.ones(len(at))]) @ solved
    distance = float(np.sqrt(a - b * b / c))
    power = stats.norm.cdf(distance - stats.norm.isf(BUDGET * rows / BUDGET_ROWS))
    return Bound(wander.name, loss, rows, distance, float(power))


def main() -> None:
    print("| healthy stream | loss | for rows | d | at most found |\n|---|---|---|---|---|")
    for wander in (Wander("independent rows"), *WANDERS[1:]):
        for loss, rows in ((0.05, 1_000), (0.1, 1_000), (0.1, 5_000)):
            one = bound(wander, loss, rows)
            print(f"| {one.wander} | {loss:.2f} | {rows:,} | {one.distance:.2f} | {one.power:.0%} |")


if __name__ == "__main__":
    main()
