"""The figures of the page about capacity."""

import json
from dataclasses import asdict

import pytest

from bench.figures import Failure, Figure, Target
from bench.page import BEGIN, END, PAGE, RESULTS, entries_of, figures, with_figures

ABOUT = {"date": "2026-01-01", "cores": "2", "load before": "0.10"}


def test_what_is_read_is_what_was_measured() -> None:
    entries = (
        Figure("judge", "close", 40.0, "ms", target=Target(50, at_least=False)),
        Figure("kernels", "fold", 1.0, "µs", curve="models", at=10),
        Failure("peers", "no network"),
    )
    plain = [asdict(entry) for entry in entries]
    plain[0]["reached"] = True
    assert entries_of(json.loads(json.dumps({"entries": plain}))) == entries


def test_growth_is_told_from_the_least_to_the_most() -> None:
    points = [
        Figure("growth", f"{at}", value, "µs", curve="models", at=at)
        for at, value in ((100, 3.0), (1, 2.0), (10, 2.5))
    ]
    text = figures(ABOUT, points)
    assert "| models | 1: 2, 10: 2.5, 100: 3 µs | × 1.50 |" in text
    assert "What the load needs has not been measured." in text
    assert "Growth has not been measured." in figures(ABOUT, [])


def test_the_page_has_its_marks_and_the_results_can_be_read() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = figures(document["about"], entries_of(document))
    assert with_figures(with_figures(page, "old"), text) == with_figures(page, text)
    with pytest.raises(ValueError, match="substring not found"):
        with_figures("no marks", text)
