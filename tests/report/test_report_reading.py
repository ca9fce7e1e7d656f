"""Files that are missing or broken: one clear error that names the file and the line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from driftsonde.report.reading import FILES, read_counts, read_results
from driftsonde.report.results import ColumnWindow, InvalidResults, SeriesKey
from report_sample import MODEL, Story, write_sample

_STORY = Story(windows=3, columns=2, segments=("a=b",), fault=0, repaired=3, baseline_windows=0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_sample(tmp_path, _STORY)


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    path.write_text("\n".join(change(lines)), encoding="utf-8")


def replace_in(line: int, old: str, new: str) -> Callable[[list[str]], list[str]]:
    """An edit of one line, counted from 1; it must change something."""

    def change(lines: list[str]) -> list[str]:
        assert old in lines[line - 1]
        return [*lines[: line - 1], lines[line - 1].replace(old, new, 1), *lines[line:]]

    return change


def error_of(directory: Path) -> InvalidResults:
    with pytest.raises(InvalidResults) as caught:
        read_results(directory)
    return caught.value


def test_series_hold_what_the_rows_say(directory: Path) -> None:
    results = read_results(directory)
    series = results.series[SeriesKey("1", "champion", "", "temperature", "psi")]
    assert series.starts_ms.tolist() == [_STORY.start_of(window) for window in range(3)]
    assert (series.value > 1).all() and series.breached.all()
    assert np.isnan(series.lower).all()
    assert results.model == MODEL
    assert [file.name for file in results.files] == list(FILES)


def test_of_several_revisions_the_newest_counts(directory: Path) -> None:
    path = directory / "metrics.csv"
    first = path.read_text(encoding="utf-8").split("\n")[1].split(",")
    again = [*first[:9], "42.5", *first[10:-1], "3"]
    older = [*first[:9], "41.5", *first[10:-1], "2"]
    edit(path, lambda lines: [lines[0], ",".join(again), ",".join(older), *lines[1:]])
    series = read_results(directory).series[SeriesKey("1", "champion", "", "temperature", "psi")]
    assert series.value[0] == 42.5
    assert len(series.value) == 3


def test_counts_are_those_of_the_wanted_windows(directory: Path) -> None:
    wanted = ColumnWindow("1", "champion", "temperature", _STORY.start_of(1))
    absent = ColumnWindow("1", "champion", "temperature", _STORY.start_of(9))
    counts = read_counts(directory, [wanted, absent])
    assert list(counts) == [wanted]
    bins = counts[wanted]
    assert bins[0].label.startswith("below ") and bins[-1].label == "missing"
    results = read_results(directory)
    psi = results.series[SeriesKey("1", "champion", "", "temperature", "psi")]
    assert sum(entry.count for entry in bins) == psi.n[1]
    assert sum(entry.reference_count for entry in bins) == 24_000


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(directory: Path, name: str) -> None:
    (directory / name).unlink()
    assert str(error_of(directory)).startswith(f"{name}: there is no such file")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (replace_in(5, "champion", '"champion'), "metrics.csv"),
        (replace_in(4, ",false,", ",perhaps,"), "metrics.csv, line 4: breached: CSV conversion error"),
        (replace_in(3, "2026-03-02T", "yesterday"), "metrics.csv, line 3: window_start: "),
        (replace_in(6, ",0", ""), "metrics.csv, line 6: "),
        (replace_in(1, "threshold", "bar"), "metrics.csv, line 1: the column 'threshold' is missing"),
        (replace_in(2, MODEL, "other"), "metrics.csv: is of other, but the baseline is of demand"),
        (replace_in(2, "2026-03-02T08:00:00Z", ""), "metrics.csv, line 2: window_start: is empty"),
        (lambda lines: [], "metrics.csv: Empty CSV file"),
    ],
)
def test_broken_metrics_are_named_by_line(
    directory: Path, change: Callable[[list[str]], list[str]], problem: str
) -> None:
    edit(directory / "metrics.csv", change)
    assert str(error_of(directory)).startswith(problem)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("{", "", "signals.jsonl, line 2: "),
        ('"kind": "', '"kind": "x', "signals.jsonl, line 2: 'x"),
        ('"episode"', '"epoch"', "signals.jsonl, line 2: episode: is missing"),
    ],
)
def test_a_broken_signal_is_named_by_line(directory: Path, old: str, new: str, problem: str) -> None:
    edit(directory / "signals.jsonl", replace_in(2, old, new))
    assert str(error_of(directory)).startswith(problem)


def test_a_line_that_is_no_object_is_named(directory: Path) -> None:
    edit(directory / "decisions.jsonl", lambda lines: [lines[0], "[]", *lines[1:]])
    assert str(error_of(directory)) == "decisions.jsonl, line 2: expected a JSON object"


def test_a_broken_baseline_is_named_with_its_problem(directory: Path) -> None:
    (directory / "baseline.json").write_text('{"model": "demand"}', encoding="utf-8")
    assert str(error_of(directory)).startswith("baseline.json: version:")


def test_broken_counts_are_named_by_line(directory: Path) -> None:
    wanted = [ColumnWindow("1", "champion", "temperature", _STORY.start_of(0))]
    path = directory / "windows.csv"
    whole = path.read_text(encoding="utf-8")
    rows = whole.split("\n")
    path.write_text("\n".join([*rows[:7], rows[7].replace(",0", ",many", 1), *rows[8:]]), encoding="utf-8")
    with pytest.raises(InvalidResults, match=r"^windows\.csv, line 8: "):
        read_counts(directory, wanted)
    fields = rows[7].split(",")
    path.write_text(
        "\n".join([*rows[:7], ",".join([*fields[:-3], "", *fields[-2:]]), *rows[8:]]), encoding="utf-8"
    )
    with pytest.raises(InvalidResults, match=r"^windows\.csv, line 8: count: is empty$"):
        read_counts(directory, wanted)
