"""The monitored model: a logistic regression that river learns row by row, and the baselines of its versions."""

from collections.abc import Sequence

import numpy as np
from river import linear_model, preprocessing

from driftsonde.core.baseline import Baseline
from driftsonde.core.baseline_builder import ReferenceRows, build_baseline
from driftsonde.core.events import CategoricalColumn, Column, Floats, Ints, NumericColumn, Role
from driftsonde.core.spec import ModelSpec
from driftsonde.standalone.demo.data import CLASSES, FEATURES, Rows


class Classifier:
    """Scaling and logistic regression, fixed once trained. Features come as float64[rows, len(FEATURES)]."""

    def __init__(self, rows: Rows) -> None:
        """Learn from each row once, in order."""
        self._pipeline = preprocessing.StandardScaler() | linear_model.LogisticRegression()
        for values, label in zip(rows.features.tolist(), rows.labels.tolist(), strict=True):
            self._pipeline.learn_one(dict(zip(FEATURES, values, strict=True)), bool(label))

    def scores(self, features: Floats) -> Floats:
        """The probability of the second class, float64[rows]."""
        rows = (dict(zip(FEATURES, values, strict=True)) for values in features.tolist())
        return np.array([self._pipeline.predict_proba_one(row)[True] for row in rows], dtype=np.float64)


def decide(scores: Floats) -> Ints:
    """The predicted class as a position in `CLASSES`, int64[rows]."""
    return (scores > 0.5).astype(np.int64)


def names_of(classes: Ints) -> list[str]:
    """Positions in `CLASSES` as their names."""
    return [CLASSES[position] for position in classes.tolist()]


def accuracy(classifier: Classifier, rows: Rows) -> float:
    return float(np.mean(decide(classifier.scores(rows.features)) == rows.labels))


def baseline_of(
    spec: ModelSpec, version: str, classifier: Classifier, rows: Rows, timestamps_ms: Ints, source: str
) -> Baseline:
    """The baseline of a version from rows that it was not trained on, with what it says about them."""
    scores = classifier.scores(rows.features)
    columns: Sequence[Column] = (
        *(
            NumericColumn(name, Role.FEATURE, np.ascontiguousarray(rows.features[:, position]))
            for position, name in enumerate(FEATURES)
        ),
        CategoricalColumn("prediction", Role.PREDICTION, decide(scores).astype(np.int32), CLASSES),
        NumericColumn("score", Role.SCORE, scores),
    )
    labels = CategoricalColumn("label", Role.PREDICTION, rows.labels.astype(np.int32), CLASSES)
    return build_baseline(spec, version, ReferenceRows(timestamps_ms, tuple(columns), labels), source)
