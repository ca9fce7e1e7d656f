"""The whole way from files to the page, on a made directory."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from driftsonde.report.report import write_report
from report_sample import Story, write_sample

_VOID = {"meta", "link", "br", "img", "input", "hr", "col"}
_SMALL = Story(windows=230, columns=6, rows=300)


class Page(HTMLParser):
    """Checks nesting as it reads; keeps texts, attributes and tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).replace("\N{NO-BREAK SPACE}", " ").split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)


def page_of(directory: Path, story: Story) -> Page:
    page = Page(write_report(write_sample(directory, story)).read_text(encoding="utf-8"))
    assert page.open == []
    return page


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample"), _SMALL)


@pytest.fixture(scope="module")
def html(directory: Path) -> str:
    return write_report(directory).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_is_well_formed(page: Page) -> None:
    assert page.open == []
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_the_page_asks_no_host_for_anything(html: str, page: Page) -> None:
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object"}
    assert "//" not in html
    assert "url(" not in html and "@import" not in html


def test_every_link_leads_to_a_place_on_the_page(page: Page) -> None:
    places = {attributes.get("id") for _, attributes in page.tags}
    links = [attributes["href"] or "" for attributes in page.all("a")]
    assert len(links) > 5
    assert all(link.startswith("#") and link[1:] in places for link in links)


def test_the_verdict_says_what_when_and_how_much(page: Page) -> None:
    assert "9 signals, all incidents ended by 10 Mar 2026 23:00" in page.text
    assert re.search(r"temperature \(PSI 5\.\d\d against 0\.\d\d\) and \w+ \(PSI", page.text)
    assert re.search(r"drifted from 8 Mar 2026 14:00 to 10 Mar 2026 23:00", page.text)
    assert re.search(r"accuracy fell from 91\.2 % to 7[5-9]\.\d % from 8 Mar 2026 15:00", page.text)
    assert "version 2 as canary was worse than the champion by 7.1 points" in page.text


def test_signals_come_with_what_was_decided_on_them(page: Page) -> None:
    text = page.text
    assert text.index("Alert 8 Mar") < text.index("Retrain 8 Mar") < text.index("Roll back 10 Mar")
    assert text.index("Roll back 10 Mar") < text.index("Resolved 10 Mar 2026 23:00")
    assert "retrain : approved 8 Mar 2026 17:14:04 by controller, mode recommend: approved by ada" in text
    assert "rollback → 1 100% : performed" in text
    assert "message to oncall : performed 8 Mar 2026 15:00:09 by controller: webhook: 200; 2 tries" in text


def test_charts_say_in_words_what_they_show(page: Page) -> None:
    drawings = [attributes for attributes in page.all("svg") if attributes["class"] == "plot"]
    assert len(drawings) > 15
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in drawings)


def test_what_scrolls_can_be_reached_by_keyboard(page: Page) -> None:
    scrolling = [
        attributes for _, attributes in page.tags if "scroll" in (attributes.get("class") or "").split()
    ]
    assert scrolling
    assert all(attributes["tabindex"] == "0" and attributes["aria-label"] for attributes in scrolling)


def test_the_worst_segment_comes_first(page: Page) -> None:
    table = page.text[page.text.index("Furthest drift") :]
    assert table.index("region=west") < min(table.index("region=north"), table.index("region=south"))


def test_the_page_names_its_sources(page: Page) -> None:
    for text in ("metrics.csv", "windows.csv", "demand-2026-03.csv, first 24,000 rows", "6f1c2a97b0d14e55"):
        assert text in page.text


def test_the_same_files_give_the_same_bytes(directory: Path, html: str) -> None:
    assert write_report(directory).read_text(encoding="utf-8") == html


def test_many_windows_are_folded_and_the_page_says_so(tmp_path: Path) -> None:
    story = Story(windows=480, columns=20, segments=(), rows=120, fault=100, repaired=400, canary=False)
    page = page_of(tmp_path, story)
    assert "one cell stands for 2 windows" in page.text
    assert (tmp_path / "report.html").stat().st_size < 2_000_000
    heat = [a for a in page.all("rect") if (a.get("class") or "").startswith("heat")]
    assert len(heat) == 20 * 240


def test_columns_beyond_the_first_twenty_are_in_a_table(tmp_path: Path) -> None:
    page = page_of(tmp_path, Story(windows=5, columns=23, segments=(), signals=False, baseline_windows=0))
    assert "3 more columns" in page.text
    assert "feature_22" in page.text


def test_without_signals_the_page_is_calm(tmp_path: Path) -> None:
    page = page_of(tmp_path, Story(windows=30, columns=3, segments=(), signals=False, fault=99))
    assert "Nothing to act on: no column drifted and accuracy held, in 30 windows." in page.text
    assert "No signal was raised in this period." in page.text


def test_a_breach_without_a_signal_is_not_hidden(tmp_path: Path) -> None:
    story = Story(
        windows=12, columns=3, segments=(), signals=False, fault=10, repaired=12, baseline_windows=2
    )
    page = page_of(tmp_path, story)
    assert "No signal: 2 of 12 windows went past a limit" in page.text


def test_an_open_episode_is_an_alarm(tmp_path: Path) -> None:
    write_sample(tmp_path, _SMALL)
    lines = (tmp_path / "signals.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if '"kind": "resolve"' not in line]
    (tmp_path / "signals.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "3 incidents still open, 6 signals" in page.text
    assert any(attributes.get("class") == "verdict alarm" for attributes in page.all("div"))


def test_without_labels_performance_is_unknown(tmp_path: Path) -> None:
    page = page_of(tmp_path, Story(windows=210, columns=3, segments=("a=b",), labels=False))
    assert "No label was joined with a prediction" in page.text
    assert "a=b" in page.text


def test_one_window_is_enough(tmp_path: Path) -> None:
    page = page_of(tmp_path, Story(windows=1, columns=2, segments=(), signals=False))
    assert "in 1 window" in page.text


def test_no_window_at_all_is_said(tmp_path: Path) -> None:
    page = page_of(tmp_path, Story(windows=0, columns=2, signals=False))
    assert "No window was closed, so there is nothing to judge." in page.text


def test_names_are_escaped(tmp_path: Path) -> None:
    story = Story(windows=4, columns=1, names=('<b>&"x',), segments=("k=<script>",), signals=False)
    page = page_of(tmp_path, story)
    assert '<b>&"x' in page.text
    assert not page.all("script")
