"""Elec2, the electricity prices of New South Wales: a real stream, of which nobody knows when it changed.

The file has a row each half hour and the columns timestamp, six features and label (did the price go up?), 0 or 1.
"""

import csv
import gzip
from collections.abc import Hashable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from river import forest
from sklearn.tree import DecisionTreeClassifier  # type: ignore[import-untyped]  # scikit-learn ships no types

from bench.detection.streams import OutcomeStream

FEATURES = ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
_TRAINING_ROWS = 5_000
_DAY_ROWS = 48


def electricity(path: Path) -> list[OutcomeStream]:
    """The outcomes of a model that never learns again, and of one that learns from every row."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    features = np.array([[float(row[name]) for name in FEATURES] for row in rows])
    labels = np.array([int(row["label"]) for row in rows])
    return [
        OutcomeStream("elec2, frozen model", _frozen(features, labels)[None], None, _DAY_ROWS),
        OutcomeStream("elec2, online model", _online(features, labels)[None], None, _DAY_ROWS),
    ]


def _frozen(features: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    tree = DecisionTreeClassifier(max_depth=8, random_state=0)
    tree.fit(features[:_TRAINING_ROWS], labels[:_TRAINING_ROWS])
    return np.asarray(tree.predict(features[_TRAINING_ROWS:]) != labels[_TRAINING_ROWS:])


def _online(features: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    model = forest.ARFClassifier(n_models=3, seed=0)
    wrong = []
    for row, label in zip(features.tolist(), labels.tolist(), strict=True):
        named: dict[Hashable, float] = dict(zip(FEATURES, row, strict=True))
        wrong.append(model.predict_one(named) != label)
        model.learn_one(named, label)
    return np.array(wrong[_TRAINING_ROWS:])
