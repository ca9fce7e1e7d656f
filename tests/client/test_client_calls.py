"""What callers pass to `log` and `label`, in every form that is allowed, and the ones that are not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from driftsonde.client.batching import assemble
from driftsonde.client.calls import CallReader, PredictionCall
from driftsonde.client.rows import Block, Row
from driftsonde.core.events import CategoricalColumn, InvalidEvent, NumericColumn, Role

NOW_MS = 1_700_000_000_000


def reader(classification: bool = True) -> CallReader:
    return CallReader(
        classification, lambda count: [f"id{number}" for number in range(count)], lambda: NOW_MS
    )


def read(features: Any, prediction: Any, classification: bool = True, **others: Any) -> Block:
    """The call as a block, whichever way it went."""
    (block,) = assemble(
        [reader(classification).predictions(PredictionCall(features, prediction, **others))], {}
    )
    return block


def values(block: Block) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for column in block.columns:
        if isinstance(column, NumericColumn):
            found[column.name] = column.values.tolist()
        else:
            found[column.name] = [
                None if code == -1 else column.categories[code] for code in column.codes.tolist()
            ]
    return found


def roles(block: Block) -> dict[str, Role]:
    return {column.name: column.role for column in block.columns}


TWO_ROWS = {"age": [31.0, 50.0], "size": [1.0, 2.0]}
NAMES = ("age", "size")
MATRIX = np.array([[31.0, 1.0], [50.0, 2.0]])
STRUCTURED = np.array([(31.0, 1.0), (50.0, 2.0)], dtype=[("age", "f4"), ("size", "f8")])


@pytest.mark.parametrize(
    ("features", "names"),
    [
        (TWO_ROWS, None),
        ({"age": np.array([31, 50]), "size": (1, 2)}, None),
        (MATRIX, NAMES),
        (STRUCTURED, None),
        (pd.DataFrame(TWO_ROWS), None),
    ],
)
def test_a_batch_in_every_form(features: Any, names: Any) -> None:
    block = read(features, [1, 0], feature_names=names)
    assert values(block) == {**TWO_ROWS, "prediction": ["1", "0"]}
    assert block.ids == ("id0", "id1")
    assert block.timestamps_ms.tolist() == [NOW_MS, NOW_MS]


@pytest.mark.parametrize(
    ("features", "names"),
    [
        ({"age": 31, "size": 1.0}, None),
        ({"age": np.float32(31), "size": True}, None),
        (MATRIX[0], NAMES),
        (STRUCTURED[0], None),
        (pd.DataFrame(TWO_ROWS).iloc[0], None),
    ],
)
def test_a_row_in_every_form(features: Any, names: Any) -> None:
    call = PredictionCall(features, 1, feature_names=names)
    assert isinstance(reader().predictions(call), Row)
    block = read(features, 1, feature_names=names)
    assert values(block) == {"age": [31.0], "size": [1.0], "prediction": ["1"]}
    assert (block.ids, block.timestamps_ms.tolist()) == (("id0",), [NOW_MS])


@pytest.mark.parametrize("many", [True, False])
def test_every_part_has_its_role_and_order(many: bool) -> None:
    def part(value: Any) -> Any:
        return [value] if many else value

    block = read(
        {"age": part(31)},
        part("yes"),
        score=part(0.75),
        ids=part("a"),
        timestamps=part(5),
        segments={"region": part("south")},
        protected={"sex": part("f")},
        attributions={"age": part(0.5)},
    )
    assert list(roles(block).items()) == [
        ("age", Role.FEATURE),
        ("prediction", Role.PREDICTION),
        ("score", Role.SCORE),
        ("region", Role.SEGMENT),
        ("sex", Role.PROTECTED),
        ("attribution.age", Role.ATTRIBUTION),
    ]
    assert values(block)["attribution.age"] == [0.5]
    assert (block.ids, block.timestamps_ms.tolist()) == (("a",), [5])


def test_attributions_of_a_matrix_have_the_features_names() -> None:
    block = read(MATRIX, [1, 0], feature_names=NAMES, attributions=MATRIX * 2)
    assert values(block)["attribution.size"] == [2.0, 4.0]


def test_a_prediction_without_features() -> None:
    assert values(read({}, [1, 0])) == {"prediction": ["1", "0"]}


def test_a_regressions_predictions_are_numbers() -> None:
    assert values(read({}, [1, 0], classification=False)) == {"prediction": [1.0, 0.0]}
    assert values(read({}, 3, classification=False)) == {"prediction": [3.0]}


def test_ids_may_be_numbers() -> None:
    assert read({}, [1, 0], ids=np.array([7, 8])).ids == ("7", "8")
    assert read({}, 1, ids=7).ids == ("7",)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (PredictionCall({"age": [1, 2]}, [1]), "prediction"),
        (PredictionCall({"age": [1, 2], "size": [1]}, [1, 2]), "size"),
        (PredictionCall({"age": [1, 2]}, 1), "prediction"),
        (PredictionCall({"age": 1}, [1, 2]), "age"),
        (PredictionCall({"age": {"nested": 1}}, 1), "age"),
        (PredictionCall({"age": [[1], [2]]}, [1, 2]), "age"),
        (PredictionCall({"score": 1}, 1, score=0.5), "score"),
        (PredictionCall({"region": 1}, 1, segments={"region": "a"}), "region"),
        (PredictionCall({"": 1}, 1), "features"),
        (PredictionCall("features", 1), "features"),
        (PredictionCall(MATRIX, [1, 0]), "feature_names"),
        (PredictionCall(MATRIX, [1, 0], feature_names=["age"]), "features"),
        (PredictionCall({}, [1, 0], ids=["a"]), "ids"),
        (PredictionCall({}, 1, ids=["a", "b"]), "ids"),
        (PredictionCall({}, 1, ids=""), "ids"),
        (PredictionCall({}, 1, ids="x" * 1025), "ids"),
        (PredictionCall({}, 1, ids="\ud800"), "ids"),
        (PredictionCall({}, 1, timestamps=1.5), "timestamps"),
        (PredictionCall({}, 1, score="high"), "score"),
        (PredictionCall({}, [1], score=["high"]), "score"),
    ],
)
def test_calls_that_make_no_sense_are_refused_by_field(call: PredictionCall, field: str) -> None:
    with pytest.raises(InvalidEvent) as refusal:
        reader().predictions(call)
    assert refusal.value.field == field


def test_text_where_a_regression_wants_numbers_is_refused() -> None:
    for prediction in ("high", ["high"]):
        with pytest.raises(InvalidEvent, match="prediction"):
            reader(classification=False).predictions(PredictionCall({}, prediction))
    for label in ("high", ["high"]):
        with pytest.raises(InvalidEvent, match="labels"):
            reader(classification=False).labels(["a"], label, None)


@pytest.mark.parametrize(
    ("ids", "labels"), [("a", 1), (["a"], [1]), (np.array(["a"]), pd.Series([True])), (["a"], True)]
)
def test_labels_in_every_form(ids: Any, labels: Any) -> None:
    (block,) = assemble([reader().labels(ids, labels, None)], {})
    assert (block.ids, values(block)) == (("a",), {"label": ["1"]})
    assert roles(block) == {"label": Role.PREDICTION}
    assert isinstance(block.columns[0], CategoricalColumn)


def test_labels_without_their_ids_are_refused() -> None:
    with pytest.raises(InvalidEvent, match="ids"):
        reader().labels(["a"], [1, 0], None)
    with pytest.raises(InvalidEvent, match="labels"):
        reader().labels(["a"], {"not": "a label"}, None)
