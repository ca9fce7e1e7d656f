"""What a run is written as: figures with their targets, parts in their order, curves."""

import math
from pathlib import Path
from xml.etree import ElementTree

from bench.figures import Entry, Failure, Figure, Recorder, Target, append_entry, read_entries
from bench.plots import draw_growth
from bench.report import Run, render

FAST = Figure("sketcher", "20 numeric", 1_234_567.0, "rows/s", rows=1_000, target=Target(1_000_000))
SLOW = Figure("judge", "a | window", 80.4, "ms", target=Target(50, at_least=False), note="two\nlines")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")][1:-1]


def test_every_entry_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "entries"
    entries: list[Entry] = [FAST, Failure("peers", "no pip"), SLOW]
    for entry in entries:
        append_entry(path, entry)
    assert list(read_entries(path.read_text().splitlines())) == entries


def test_a_recorder_writes_as_it_goes(tmp_path: Path) -> None:
    recorder = Recorder("kernels", tmp_path / "entries")
    for number in (1, 2):
        recorder.add("decode", number, "ns")
        assert len(recorder.path.read_text().splitlines()) == number


def test_targets_stand_beside_the_figures() -> None:
    text = render(Run({"date": "today"}, ("judge", "sketcher"), (FAST, SLOW)))
    assert text.index("## judge") < text.index("## sketcher")
    rows = [cells(line) for line in text.splitlines() if line.startswith(("| 20", "| a"))]
    assert rows[1][:5] == ["20 numeric", "1,230,000 rows/s", "≥ 1,000,000 rows/s", "reached", "1,000"]
    assert "**not reached**" in text and "two lines" in text


def test_a_part_that_failed_says_so_beside_what_it_had_measured() -> None:
    text = render(Run({}, ("judge",), (SLOW, Failure("judge", "boom"))))
    assert "80.4 ms" in text
    assert "**Not measured to the end:** boom" in text


def test_what_could_not_be_measured_reaches_no_target() -> None:
    assert not Target(1).is_reached(math.nan)
    assert not Target(1, at_least=False).is_reached(math.nan)


def test_each_curve_has_a_plot_with_all_its_points() -> None:
    points = [
        Figure("growth", f"{at} {curve}", at * 2.0, "µs", curve=curve, at=at)
        for curve in ("models", "workers")
        for at in (1, 10, 100)
    ]
    drawn = ElementTree.fromstring(draw_growth([*points, FAST]))
    space = "{http://www.w3.org/2000/svg}"
    assert len(drawn.findall(f"{space}circle")) == 6
    titles = [text.text for text in drawn.findall(f"{space}text") if text.get("class") == "title"]
    assert titles == ["µs by models", "µs by workers"]
    heights = [float(dot.get("cy", "")) for dot in drawn.findall(f"{space}circle")][:3]
    assert heights == sorted(heights, reverse=True)
    assert draw_growth([FAST]) == ""
