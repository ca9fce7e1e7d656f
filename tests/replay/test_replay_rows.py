"""Typed rows: what is kept, what is rejected and why."""

from pathlib import Path

import pytest

from driftsonde.core.spec import Task
from driftsonde.replay import rows as rows_module
from driftsonde.replay.files import first_rows, open_log
from driftsonde.replay.mapping import Choices, map_columns
from driftsonde.replay.rows import ReadRows, RowReader


def read(tmp_path: Path, content: str, choices: Choices) -> tuple[ReadRows, RowReader]:
    path = tmp_path / "log.csv"
    path.write_text(content, encoding="utf-8")
    log = open_log(path)
    piece = first_rows(log, 1_000)
    # What the columns are is decided by a sound first row, as it is when the bad ones come later in a long file.
    sample = type(piece)(
        piece.lines[:1], piece.rows[:1], {name: values[:1] for name, values in piece.columns.items()}
    )
    reader = RowReader(log, map_columns(choices, log.names, sample))
    return reader.read(piece), reader


def test_each_row_that_cannot_be_read_is_told_with_its_line_and_the_first_reason(tmp_path: Path) -> None:
    content = "\n".join(
        [
            "timestamp,id,x,prediction,score,label",
            "1,a,1.5,1,0.5,1",
            "soon,b,1,1,0.5,1",
            "-5,c,1,1,0.5,1",
            "2,d,much,1,0.5,1",
            "2,e,1,1,1.5,1",
            "2,,1,1,0.5,1",
            "2,a,1,1,0.5,1",
            "2,f",
            f"2,{'g' * 2000},1,1,0.5,1",
            "3,h,,,,",
            "",
        ]
    )
    result, _ = read(tmp_path, content, Choices(id="id", task=Task.BINARY))
    assert {entry.line: entry.reason for entry in result.rejected} == {
        3: "timestamp: 'soon' is no time (ISO 8601, or seconds or milliseconds since 1970)",
        4: "timestamp: '-5' is outside 1970 to 2100",
        5: "x: 'much' is no number",
        6: "score: '1.5' is outside 0 to 1",
        7: "no id",
        8: "id: 'a' is the id of line 2 already",
        9: "has 2 fields where the header has 6",
        10: "id: the text is longer than 1024 characters",
    }
    assert result.table["id"].to_pylist() == ["a", "h"]
    assert result.table["label"].to_pylist() == ["1", None]


def test_a_rejected_row_does_not_take_its_id(tmp_path: Path) -> None:
    content = "timestamp,id,prediction\n1,b,1\nsoon,a,1\n1,a,1\n"
    result, _ = read(tmp_path, content, Choices(id="id"))
    assert result.table["id"].to_pylist() == ["b", "a"]


def test_ids_of_long_ago_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "SEEN_IDS", 2)
    _, reader = read(tmp_path, "timestamp,id,prediction\n1,a,1\n1,b,1\n1,c,1\n", Choices(id="id"))
    assert list(reader._seen) == ["b", "c"]


def test_without_an_id_column_the_row_number_is_the_id(tmp_path: Path) -> None:
    result, _ = read(tmp_path, "timestamp,prediction\n1,1\nsoon,1\n2,1\n", Choices())
    assert result.table["id"].to_pylist() == ["1", "3"]


def test_classes_and_versions_are_collected_from_good_rows_by_one_name_each(tmp_path: Path) -> None:
    content = "timestamp,v,prediction,label\n1,2.10,1,0.0\n2,b,1.0,\nsoon,c,9,9\n"
    _, reader = read(tmp_path, content, Choices(version="v"))
    assert reader.classes == {"0", "1"}
    assert reader.versions == {"2.10", "b"}


def test_a_label_is_known_no_earlier_than_its_prediction(tmp_path: Path) -> None:
    content = "timestamp,prediction,label,at\n10,1,1,5\n10,1,1,20\n10,1,,\n10,1,1,soon\n"
    result, reader = read(tmp_path, content, Choices(label_timestamp="at"))
    assert result.table["label_time_ms"].to_pylist()[:2] == [10_000, 20_000]
    assert reader.labels_before_prediction == 1
    assert [entry.line for entry in result.rejected] == [5]


def test_a_regression_has_numbers(tmp_path: Path) -> None:
    content = "timestamp,prediction,label\n1,1.5,2\n2,cheap,2\n3,nan,\n"
    result, _ = read(tmp_path, content, Choices(task=Task.REGRESSION))
    assert result.table["prediction"].to_pylist()[0] == 1.5
    assert [entry.reason for entry in result.rejected] == ["prediction: 'cheap' is no number"]
