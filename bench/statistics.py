"""What each statistic costs: one column of ten bins by itself, and thousands of columns at once as the judge does it."""

from collections.abc import Callable
from functools import partial

import numpy as np

from bench.figures import Recorder, Scale
from bench.folding import plan_of
from bench.judge import sketch_of
from bench.timing import Call, best_seconds
from bench.workload import Workload
from driftsonde.core.input_numbers import input_numbers
from driftsonde.core.statistics import anytime, distances, intervals, performance

_COLUMNS = 2_000


def measure(scale: Scale, recorder: Recorder) -> None:
    rounds = scale.pick(3, 9)
    best = best_seconds(_one_column() | _outcomes(), rounds, least_s=0.005)
    for name, seconds in best.items():
        recorder.add(f"{name}, one column", seconds * 1e6, "µs")
    workload = Workload(messages=1, numeric=_COLUMNS, partitions=1, windows=1)
    plan = plan_of(workload)
    counts = sketch_of(workload, plan).counts
    policy = plan.spec.policy
    best = best_seconds({"all": lambda: [*input_numbers(plan.inputs, counts, policy)]}, rounds)
    recorder.add(
        "all of a column's six numbers, with intervals and bars",
        best["all"] / _COLUMNS * 1e6,
        "µs",
        columns=_COLUMNS,
        note="a column, of so many at once",
    )


def _one_column() -> dict[str, Call]:
    rng = np.random.default_rng(0)
    reference, current = rng.poisson(500, 11), rng.poisson(100, 11)
    edges = np.arange(12.0)
    functions: dict[str, Callable[..., object]] = {
        "psi": distances.population_stability_index,
        "kullback_leibler": distances.kullback_leibler,
        "js_divergence": distances.jensen_shannon_divergence,
        "hellinger": distances.hellinger_distance,
        "total_variation": distances.total_variation,
        "l_infinity": distances.l_infinity,
        "ks": distances.kolmogorov_smirnov,
        "chi_square": distances.chi_square,
        "g_test": distances.g_test,
        "cramers_v": distances.cramers_v,
    }
    calls: dict[str, Call] = {name: partial(call, reference, current) for name, call in functions.items()}
    return calls | {
        "wasserstein": lambda: distances.wasserstein_distance(edges, reference, current),
        "psi's critical value": lambda: distances.population_stability_index_critical(11, 5_000, 1_000, 1e-5),
    }


def _outcomes() -> dict[str, Call]:
    rng = np.random.default_rng(0)
    negatives, positives = rng.poisson(3, 1_024), rng.poisson(3, 1_024)
    return {
        "wilson": lambda: intervals.wilson(40, 1_000, 0.99),
        "roc_auc, 1,024 scores": lambda: performance.roc_auc(negatives, positives),
        "hanley_mcneil": lambda: intervals.hanley_mcneil(0.8, 3_000, 3_000, 0.99),
        "mean_difference_sequence": lambda: anytime.mean_difference_sequence(1_000, 900, 500, 440, 0.05),
    }
