"""Streams of outcomes (was the prediction wrong?), of which it is known when they changed. A day has `DAY_ROWS` rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from river.datasets import synth
from river.datasets.base import SyntheticDataset
from sklearn.tree import DecisionTreeClassifier  # type: ignore[import-untyped]  # scikit-learn ships no types

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

BASELINE_ROWS, ROWS = 5_000, 10_000
DAY_ROWS = 2_400
_CHANGE = 5_000


@dataclass(frozen=True, slots=True)
class OutcomeStream:
    """errors: bool[seeds, BASELINE_ROWS + rows]. changes: when it was worse, [start, end) in rows after the baseline;
    None where nobody knows. loss: by how much the error rate was higher then, as measured."""

    name: str
    errors: Flags
    changes: tuple[tuple[int, int], ...] | None
    day_rows: int = DAY_ROWS

    @property
    def loss(self) -> float:
        if not self.changes:
            return 0.0
        monitored = self.errors[:, BASELINE_ROWS:]
        worse = np.zeros(monitored.shape[1], dtype=np.bool_)
        for start, end in self.changes:
            worse[start:end] = True
        return float(monitored[:, worse].mean() - self.errors[:, :BASELINE_ROWS].mean())


def bernoulli(seeds: int, changed: bool) -> OutcomeStream:
    """The reference stream: a rate of 0.2, from row 5,000 of 10,000 on 0.3. The monitored rows come from
    `numpy.random.default_rng(seed)`, the baseline from a generator of its own."""
    rate = np.full(ROWS, 0.2)
    if changed:
        rate[_CHANGE:] = 0.3
    errors = [
        np.concatenate(
            (
                np.random.default_rng(10_000 + seed).random(BASELINE_ROWS) < 0.2,
                np.random.default_rng(seed).random(ROWS) < rate,
            )
        )
        for seed in range(seeds)
    ]
    name = "Bernoulli .2 → .3" if changed else "Bernoulli .2"
    return OutcomeStream(name, np.array(errors), ((_CHANGE, ROWS),) if changed else ())


def briefly_worse(seeds: int) -> list[OutcomeStream]:
    """An error rate of 0.05, 0.1 or 0.2 that is 0.05 higher for 1,000 rows."""
    streams = []
    for healthy in (0.05, 0.1, 0.2):
        rate = np.full(BASELINE_ROWS + ROWS, healthy)
        rate[BASELINE_ROWS + _CHANGE : BASELINE_ROWS + _CHANGE + 1_000] += 0.05
        errors = [np.random.default_rng(seed).random(len(rate)) < rate for seed in range(seeds)]
        name = f"Bernoulli {healthy:g} → {healthy + 0.05:g} for 1,000 rows"
        streams.append(OutcomeStream(name, np.array(errors), ((_CHANGE, _CHANGE + 1_000),)))
    return streams


@dataclass(frozen=True, slots=True)
class Wander:
    """What moves the log odds of a healthy error rate of about 0.2: a daily wave and an autoregression (standard
    deviation, and the rows after which its correlation is 1/e)."""

    name: str
    wave: float = 0.0
    deviation: float = 0.0
    memory_rows: float = 1.0


WANDERS = (
    Wander("daily season", wave=0.6),
    Wander("autocorrelated, 200 rows", deviation=0.4, memory_rows=200),
    Wander("autocorrelated, 1,000 rows", deviation=0.4, memory_rows=1_000),
    Wander("autocorrelated a little, 200 rows", deviation=0.25, memory_rows=200),
    Wander("autocorrelated a little, 1,000 rows", deviation=0.2, memory_rows=1_000),
    Wander("season and autocorrelation", wave=0.5, deviation=0.3, memory_rows=500),
)


def wandering(wander: Wander, seeds: int, rise: float = 0.0) -> OutcomeStream:
    """A healthy stream that wanders; with `rise`, from row 5,000 on that much worse."""
    errors = []
    for seed in range(seeds):
        randomness = np.random.default_rng(seed)
        rows = np.arange(BASELINE_ROWS + ROWS)
        phase = randomness.random()
        odds = np.log(0.25) + wander.wave * np.sin(2 * np.pi * (rows / DAY_ROWS + phase))
        odds = odds + wander.deviation * autoregression(randomness, len(rows), wander.memory_rows)
        rate = 1 / (1 + np.exp(-odds))
        rate[BASELINE_ROWS + _CHANGE :] += rise
        errors.append(randomness.random(len(rows)) < rate)
    if not rise:
        return OutcomeStream(wander.name, np.array(errors), ())
    return OutcomeStream(f"{wander.name}, then +{rise:.2f}", np.array(errors), ((_CHANGE, ROWS),))


def autoregression(randomness: np.random.Generator, rows: int, memory_rows: float) -> Floats:
    """A stationary AR(1) of variance 1 whose correlation is 1/e after `memory_rows`."""
    keep = float(np.exp(-1 / memory_rows))
    shocks = randomness.standard_normal(rows) * np.sqrt(1 - keep**2)
    values = np.empty(rows)
    value = float(randomness.standard_normal())
    for row, shock in enumerate(shocks.tolist()):
        value = keep * value + shock
        values[row] = value
    return values


# --- river's generators, seen by a model that does not learn any more ------------------------------------------------

Concepts = Callable[[int], tuple[SyntheticDataset, SyntheticDataset]]

GENERATORS: dict[str, Concepts] = {
    "SEA": lambda seed: (synth.SEA(0, noise=0.1, seed=seed), synth.SEA(2, noise=0.1, seed=seed + 1)),
    "LED": lambda seed: (
        synth.LEDDrift(seed, 0.1, irrelevant_features=True, n_drift_features=0),
        synth.LEDDrift(seed + 1, 0.1, irrelevant_features=True, n_drift_features=3),
    ),
    "Agrawal": lambda seed: (
        synth.Agrawal(0, seed=seed, perturbation=0.1),
        synth.Agrawal(2, seed=seed + 1, perturbation=0.1),
    ),
    "Sine": lambda seed: (
        synth.Sine(0, seed=seed, has_noise=True),
        synth.Sine(2, seed=seed + 1, has_noise=True),
    ),
}

# The chance that a row follows the second concept, by row.
_ROW = np.arange(ROWS)
SHAPES: dict[str, tuple[Floats, tuple[tuple[int, int], ...]]] = {
    "abrupt": ((_ROW >= _CHANGE).astype(float), ((_CHANGE, ROWS),)),
    "gradual": (1 / (1 + np.exp(-(_ROW - 6_000) / 250)), ((_CHANGE, ROWS),)),
    "incremental": (np.clip((_ROW - _CHANGE) / 3_000, 0, 1), ((_CHANGE, ROWS),)),
    "recurring": (((_ROW // 2_500) % 2).astype(float), ((2_500, 5_000), (7_500, ROWS))),
}


def generated(generator: str, seeds: int) -> list[OutcomeStream]:
    """Outcomes of a decision tree that learnt 5,000 rows of the first concept: a stream for each of the SHAPES."""
    outcomes = [_outcomes(generator, seed) for seed in range(seeds)]
    streams = []
    for shape, (share, changes) in SHAPES.items():
        errors = []
        for seed, (wrong, wrong_after) in enumerate(outcomes):
            follows = np.random.default_rng(seed).random(ROWS) < share
            monitored = np.where(follows, wrong_after, wrong[BASELINE_ROWS:])
            errors.append(np.concatenate((wrong[:BASELINE_ROWS], monitored)))
        streams.append(OutcomeStream(f"{generator}, {shape}", np.array(errors), changes))
    return streams


def _outcomes(generator: str, seed: int) -> tuple[Flags, Flags]:
    """Where the tree is wrong, on BASELINE_ROWS + ROWS of the first concept and on ROWS of the second."""
    first, second = GENERATORS[generator](1_000 * seed + 1)
    before, labels = _table(first, 2 * BASELINE_ROWS + ROWS)
    after, changed_labels = _table(second, ROWS)
    tree = DecisionTreeClassifier(max_depth=10, random_state=0)
    tree.fit(before[:BASELINE_ROWS], labels[:BASELINE_ROWS])
    wrong = tree.predict(before[BASELINE_ROWS:]) != labels[BASELINE_ROWS:]
    return np.asarray(wrong), np.asarray(tree.predict(after) != changed_labels)


def _table(dataset: SyntheticDataset, rows: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The features and labels of the first rows; a feature that is no number is numbered."""
    features, labels = zip(*dataset.take(rows), strict=True)
    return (
        np.array([[float(value) for value in row.values()] for row in features]),
        np.array([int(label) for label in labels]),
    )
