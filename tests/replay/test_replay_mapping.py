"""What columns are taken for, and what is said about it."""

from typing import Any

import numpy as np
import pytest

from driftsonde.core.spec import Task
from driftsonde.replay.files import Piece
from driftsonde.replay.mapping import Choices, ColumnMap, WrongChoice, choose_classes, map_columns


def mapped(choices: Choices, **columns: Any) -> ColumnMap:
    rows = np.arange(1, 1 + len(next(iter(columns.values()))))
    return map_columns(choices, list(columns), Piece(rows + 1, rows, columns))


def test_everything_can_be_inferred_and_is_said() -> None:
    columns = mapped(
        Choices(),
        timestamp=["1", "2"],
        x=["1", ""],
        plan=["a", "b"],
        prediction=["0", "1"],
        score=["0.1", "0.9"],
        label=["0", "0"],
    )
    assert (columns.task, columns.numeric, columns.categorical) == (Task.BINARY, ("x",), ("plan",))
    assert (columns.prediction, columns.score, columns.label) == ("prediction", "score", "label")
    assert columns.inferred["features"] == ["x", "plan"]
    assert columns.inferred["id"] == "row number"


def test_what_is_chosen_is_not_inferred() -> None:
    columns = mapped(
        Choices(task=Task.MULTICLASS, timestamp="at", prediction="p", features=("x",), segments=("c",)),
        at=["1"],
        x=["1"],
        y=["2"],
        p=["a"],
        c=["FR"],
    )
    assert columns.numeric == ("x",)
    assert columns.segments == ("c",)
    assert not columns.inferred.keys() & {"task", "timestamp", "prediction", "features"}


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["1", "0", "1"], Task.BINARY),
        (["yes", "no"], Task.BINARY),
        (["a", "b", "c"], Task.MULTICLASS),
        (["1", "2", "3"], Task.MULTICLASS),
        (["1.5", "2", "3"], Task.REGRESSION),
        ([str(n) for n in range(60)], Task.REGRESSION),
    ],
)
def test_the_task_is_inferred_from_the_predictions(values: list[str], task: Task) -> None:
    assert mapped(Choices(), timestamp=values, prediction=values).task is task


def test_a_column_of_names_is_left_out_and_said() -> None:
    names = [f"user-{n}" for n in range(2_000)]
    columns = mapped(Choices(), timestamp=names, prediction=["1"] * 2_000, user=names)
    assert columns.categorical == ()
    assert columns.inferred["left out, nearly every value is different"] == ["user"]
    chosen = mapped(Choices(categorical=("user",)), timestamp=names, prediction=["1"] * 2_000, user=names)
    assert chosen.categorical == ("user",)


def test_numbers_that_are_called_categorical_are() -> None:
    columns = mapped(Choices(categorical=("day",)), timestamp=["1"], prediction=["1"], day=["3"], x=["1"])
    assert (columns.numeric, columns.categorical) == (("x",), ("day",))


def test_a_few_texts_among_many_numbers_are_slips() -> None:
    numbers = [str(n % 2) for n in range(100)]
    few, many = [*numbers[:-5], *"abcde"], [*numbers[:-6], *"abcdef"]
    columns = mapped(Choices(), timestamp=numbers, prediction=numbers, few=few, many=many)
    assert (columns.numeric, columns.categorical) == (("few",), ("many",))


def test_without_a_prediction_the_score_decides() -> None:
    columns = mapped(Choices(), timestamp=["1"], score=["0.7"])
    assert columns.prediction is None
    assert columns.inferred["prediction"] == "1 where score >= 0.5, else 0"


@pytest.mark.parametrize(
    ("choices", "problem"),
    [
        (
            Choices(timestamp="when"),
            "--timestamp: the file has no column 'when', but 'timestamp', 'prediction', 'x'",
        ),
        (Choices(features=("x", "q")), "--features: the file has no column 'q'"),
        (Choices(segments=("q",)), "--segment: the file has no column 'q'"),
        (Choices(label_timestamp="x"), "--label-timestamp is of no use without --label"),
        (Choices(task=Task.MULTICLASS, score="x"), "--score is for a binary task"),
        (Choices(features=("x",), segments=("x",)), "'x' is both a feature and a segment"),
        (Choices(prediction="x"), "the column 'prediction' has a name that is taken"),
    ],
)
def test_a_wrong_choice_is_told(choices: Choices, problem: str) -> None:
    with pytest.raises(WrongChoice, match=problem):
        mapped(choices, timestamp=["1"], prediction=["1"], x=["2"])


@pytest.mark.parametrize(
    ("found", "classes"),
    [
        ({"0", "1"}, ("0", "1")),
        ({"1", "2"}, ("2", "1")),
        ({"True", "False"}, ("False", "True")),
        ({"no", "yes"}, ("no", "yes")),
        ({"1"}, ("0", "1")),
        ({"false"}, ("false", "true")),
    ],
)
def test_the_positive_class(found: set[str], classes: tuple[str, ...]) -> None:
    assert choose_classes(Task.BINARY, found, {}) == classes


@pytest.mark.parametrize("found", [set(), {"yes"}, {"a", "b", "c"}])
def test_a_binary_task_needs_two_classes(found: set[str]) -> None:
    with pytest.raises(WrongChoice, match=f"have {len(found)}"):
        choose_classes(Task.BINARY, found, {})


def test_other_tasks_take_what_there_is() -> None:
    assert choose_classes(Task.MULTICLASS, {"b", "a", "c"}, {}) == ("a", "b", "c")
    assert choose_classes(Task.REGRESSION, set(), {}) == ()
