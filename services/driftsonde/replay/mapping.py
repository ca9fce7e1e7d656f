"""What each column of a log is: as the caller says, and inferred where nothing is said."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from driftsonde.core.spec import Task
from driftsonde.replay.files import Piece, Raw
from driftsonde.replay.parsing import class_of, is_missing, parse_numbers

SAMPLE_ROWS = 20_000

# A text column is left out when it has more distinct values than this, and nearly every row its own: a name, not a
# feature.
_MANY_VALUES = 1_000
_OWN_VALUE_SHARE = 0.5

# A column with no more texts among its numbers than this is numeric, and rows with such a text can't be read.
_SLIPS_SHARE = 0.05

# Numbers with more distinct values than this are not classes.
_MAX_NUMERIC_CLASSES = 50

# Names that the events give to these columns themselves.
_RESERVED = ("prediction", "score", "label")


class WrongChoice(ValueError):
    """An option that doesn't fit the file."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller said; None and empty: to be inferred. timed: every row needs a time."""

    task: Task | None = None
    timestamp: str | None = None
    id: str | None = None
    version: str | None = None
    version_name: str = "1"
    features: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    prediction: str | None = None
    score: str | None = None
    label: str | None = None
    label_timestamp: str | None = None
    segments: tuple[str, ...] = ()
    timed: bool = True


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """What every used column is. `inferred` says what was not the caller's choice. `timestamp` None: of no time.

    Without `prediction` the predicted class is score >= 0.5, of the classes "0" and "1".
    """

    task: Task
    timestamp: str | None
    id: str | None
    version: str | None
    version_name: str
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    prediction: str | None
    score: str | None
    label: str | None
    label_timestamp: str | None
    segments: tuple[str, ...]
    inferred: Mapping[str, object] = field(default_factory=dict)


def map_columns(choices: Choices, names: Sequence[str], sample: Piece) -> ColumnMap:
    """Decide with the help of the file's first rows. Raises `WrongChoice`."""
    inferred: dict[str, object] = {}
    _check_names(choices, names)
    timestamp = _named("timestamp", choices.timestamp, names, inferred)
    if timestamp is None and choices.timed:
        raise WrongChoice(f"--timestamp is needed: the file has no column 'timestamp', but {_listed(names)}")
    prediction = _named("prediction", choices.prediction, names, inferred)
    score = _named("score", choices.score, names, inferred)
    label = _named("label", choices.label, names, inferred)
    if choices.label_timestamp and label is None:
        raise WrongChoice("--label-timestamp is of no use without --label")
    outcomes = [sample.columns[name] for name in (prediction, label) if name is not None]
    task = choices.task or _infer_task(outcomes, score, inferred)
    if score is not None and task is not Task.BINARY:
        raise WrongChoice(f"--score is for a binary task; the task is {task}")
    if prediction is None:
        if score is None:
            raise WrongChoice(
                f"--prediction is needed: the file has no column 'prediction', but {_listed(names)}"
            )
        inferred["prediction"] = f"1 where {score} >= 0.5, else 0"
    if choices.id is None:
        inferred["id"] = "row number"
    taken = {timestamp, choices.id, choices.version, prediction, score, label, choices.label_timestamp}
    features = _features(choices, names, taken, sample, inferred)
    categorical = _categorical(choices, features, sample, inferred)
    return ColumnMap(
        task,
        timestamp,
        choices.id,
        choices.version,
        choices.version_name,
        tuple(name for name in features if name not in categorical),
        categorical,
        prediction,
        score,
        label,
        choices.label_timestamp,
        choices.segments,
        inferred,
    )


def choose_classes(task: Task, found: Iterable[str], inferred: dict[str, object]) -> tuple[str, ...]:
    """The classes of a classification, sorted; of two the positive one is the last. Raises `WrongChoice`.

    >>> choose_classes(Task.BINARY, {"1", "0"}, {}), choose_classes(Task.BINARY, {"TRUE", "maybe"}, {})
    (('0', '1'), ('maybe', 'TRUE'))
    """
    if task is Task.REGRESSION:
        return ()
    classes = sorted(found)
    if task is Task.BINARY:
        classes = _two_classes(classes)
        inferred["positive class"] = classes[1]
    inferred["classes"] = classes
    return tuple(classes)


def _two_classes(classes: list[str]) -> list[str]:
    """Two classes, the positive one last: "1" or "true", else the last in order."""
    if len(classes) == 1:
        pairs = (("0", "1"), ("false", "true"))
        classes = next(([*pair] for pair in pairs if classes[0].lower() in pair), classes)
    if len(classes) != 2:
        raise WrongChoice(
            f"a binary task has two classes, but labels and predictions have {len(classes)}: {_listed(classes)}"
        )
    return sorted(classes, key=lambda name: (name.lower() in ("1", "true"), name))


def _check_names(choices: Choices, names: Sequence[str]) -> None:
    asked = {
        "--timestamp": choices.timestamp,
        "--id": choices.id,
        "--version": choices.version,
        "--prediction": choices.prediction,
        "--score": choices.score,
        "--label": choices.label,
        "--label-timestamp": choices.label_timestamp,
    }
    several = {
        "--features": choices.features,
        "--categorical": choices.categorical,
        "--segment": choices.segments,
    }
    wanted = [(option, name) for option, name in asked.items() if name is not None]
    wanted += [(option, name) for option, many in several.items() for name in many]
    for option, name in wanted:
        if name not in names:
            raise WrongChoice(f"{option}: the file has no column {name!r}, but {_listed(names)}")


def _named(role: str, chosen: str | None, names: Sequence[str], inferred: dict[str, object]) -> str | None:
    """The chosen column, or the one that has the role's own name."""
    if chosen is None and role in names:
        inferred[role] = role
        return role
    return chosen


def _infer_task(outcomes: Sequence[Raw], score: str | None, inferred: dict[str, object]) -> Task:
    """Regression for numbers with many values, else by the number of classes."""
    values = {value for column in outcomes for value in _distinct(column)}
    numeric = all(not parse_numbers([value])[1][0] for value in values)
    whole = numeric and all(float(value).is_integer() for value in values if np.isfinite(float(value)))
    if not values or score is not None or len(values) <= 2:
        task = Task.BINARY
    elif numeric and (not whole or len(values) > _MAX_NUMERIC_CLASSES):
        task = Task.REGRESSION
    else:
        task = Task.MULTICLASS
    inferred["task"] = task.value
    return task


def _distinct(column: Raw) -> set[str]:
    if isinstance(column, list):
        return {class_of(text) for text in set(column) if not is_missing(text)}
    return {class_of(repr(value)) for value in np.unique(column[~np.isnan(column)]).tolist()}


def _features(
    choices: Choices,
    names: Sequence[str],
    taken: set[str | None],
    sample: Piece,
    inferred: dict[str, object],
) -> tuple[str, ...]:
    features = choices.features
    if not features:
        rest = [name for name in names if name and name not in taken and name not in choices.segments]
        left_out = [
            name for name in rest if name not in choices.categorical and _is_a_name(sample.columns[name])
        ]
        features = tuple(name for name in rest if name not in left_out)
        inferred["features"] = list(features)
        if left_out:
            inferred["left out, nearly every value is different"] = left_out
    for name in (*features, *choices.segments):
        if name in _RESERVED:
            raise WrongChoice(
                f"the column {name!r} has a name that is taken; rename it, or name it as what it is"
            )
    both = [name for name in choices.segments if name in features]
    if both:
        raise WrongChoice(f"{both[0]!r} is both a feature and a segment; it can be one of them")
    return tuple(dict.fromkeys((*features, *choices.categorical)))


def _is_a_name(column: Raw) -> bool:
    if not isinstance(column, list):
        return False
    texts = [text for text in column if not is_missing(text)]
    distinct = len(set(texts))
    if distinct <= _MANY_VALUES or distinct < _OWN_VALUE_SHARE * len(texts):
        return False
    return _has_texts(column)


def _categorical(
    choices: Choices, features: Sequence[str], sample: Piece, inferred: dict[str, object]
) -> tuple[str, ...]:
    """The chosen ones, and those that hold texts in the first rows."""
    found = [
        name for name in features if name not in choices.categorical and _has_texts(sample.columns[name])
    ]
    if found or not choices.categorical:
        inferred["categorical"] = found
    return tuple(name for name in features if name in choices.categorical or name in found)


def _has_texts(column: Raw) -> bool:
    """Whether it is more than a slip that some values are no numbers."""
    if not isinstance(column, list):
        return False
    values, bad = parse_numbers(column)
    known = np.count_nonzero(~np.isnan(values)) + np.count_nonzero(bad)
    return bool(np.count_nonzero(bad) > _SLIPS_SHARE * known)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
