"""What the demo reads, learns and sends."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from driftsonde.core.control.traffic import Share
from driftsonde.core.events import Variant
from driftsonde.standalone.demo.classifier import Classifier, accuracy, baseline_of
from driftsonde.standalone.demo.data import FEATURES, InvalidData, Rows, read_rows, shuttle_file
from driftsonde.standalone.demo.serving import Fault
from driftsonde.standalone.demo.story import BASELINE_ROWS, SPEC, TRAINING_ROWS
from driftsonde.standalone.demo.traffic import share_for

HEADER = ",".join((*FEATURES, "anomaly"))


@pytest.fixture(scope="module")
def shuttle() -> Rows:
    return read_rows(shuttle_file())


def test_the_shuttle_data_is_all_there(shuttle: Rows) -> None:
    assert shuttle.features.shape == (49_097, 9)
    assert shuttle.features[0].tolist() == [50, 21, 77, 0, 28, 0, 27, 48, 22]
    assert np.bincount(shuttle.labels).tolist() == [49_097 - 3_511, 3_511]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("f1,f2\n1,2\n", "has no column f3, f4"),
        ("", "has no column f1"),
        (f"{HEADER}\n1,2,3,4,5,6,7,8,9,0\n1,2,x,4,5,6,7,8,9,0\n", "line 3: f3 is 'x'; expected a number"),
        (f"{HEADER}\n1,2,3,4,5,6,7,8,nan,0\n", "line 2: f9 is 'nan'"),
        (f"{HEADER}\n1,2,3,4\n", "line 2: anomaly is None"),
        (f"{HEADER}\n1,2,3,4,5,6,7,8,9,2\n", "line 2: anomaly is '2'; expected 0 or 1"),
    ],
)
def test_a_file_that_can_not_be_used_is_named_with_the_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(InvalidData, match=problem):
        read_rows(path)


def test_columns_are_found_by_name_in_a_compressed_file_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    names = ["anomaly", *reversed(FEATURES)]
    path.write_bytes(gzip.compress(f"{','.join(names)}\n1,9,8,7,6,5,4,3,2,1\n".encode()))
    rows = read_rows(path)
    assert (rows.features.tolist(), rows.labels.tolist()) == ([[1, 2, 3, 4, 5, 6, 7, 8, 9]], [1])
    (tmp_path / "torn.csv.gz").write_bytes(path.read_bytes()[:30])
    with pytest.raises(InvalidData, match="can't be read"):
        read_rows(tmp_path / "torn.csv.gz")


def test_a_version_that_learnt_the_fault_looks_good_where_it_learnt_and_is_worse_elsewhere(
    shuttle: Rows,
) -> None:
    fault = Fault("f3", from_ms=0)
    version_1 = Classifier(shuttle.part(0, TRAINING_ROWS))
    faulty = Rows(fault.apply(shuttle.features, np.arange(len(shuttle))), shuttle.labels)
    version_2 = Classifier(faulty.part(20_000, 22_000))
    assert accuracy(version_1, shuttle.part(TRAINING_ROWS, TRAINING_ROWS + BASELINE_ROWS)) > 0.99
    assert accuracy(version_2, faulty.part(22_000, 23_000)) > 0.98
    assert accuracy(version_2, shuttle.part(22_000, 26_000)) < 0.85


def test_a_baseline_ends_before_the_stream_begins_and_knows_the_model_s_accuracy(shuttle: Rows) -> None:
    classifier, rows = Classifier(shuttle.part(0, 2_000)), shuttle.part(2_000, 3_000)
    baseline = baseline_of(SPEC, "1", classifier, rows, np.arange(-1_000, 0), "shuttle")
    assert [column.name for column in baseline.columns] == [*FEATURES, "prediction", "score"]
    assert baseline.lineage.end_ms == 0
    assert baseline.performance is not None
    assert baseline.performance.value == accuracy(classifier, rows)


def test_a_fault_changes_one_feature_while_it_lasts() -> None:
    features = np.full((4, len(FEATURES)), 212.0)
    sent = Fault("f3", from_ms=20, until_ms=40).apply(features, np.array([19, 20, 39, 40]))
    assert sent[:, 2].tolist() == [212, 100, 100, 212]
    sent[:, 2] = 212
    assert (sent == features).all()


def test_requests_are_split_as_the_weights_say_and_always_the_same_way() -> None:
    split = (Share("1", Variant.CHAMPION, 0.8), Share("2", Variant.CANARY, 0.2))
    chosen = [share_for(split, f"request-{number}").version for number in range(10_000)]
    assert 1_900 <= chosen.count("2") <= 2_100
    assert chosen == [share_for(split, f"request-{number}").version for number in range(10_000)]
    alone = (Share("1", Variant.CHAMPION, 1.0), Share("2", Variant.SHADOW, 0.0))
    assert {share_for(alone, f"request-{number}").version for number in range(1_000)} == {"1"}
