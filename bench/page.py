"""`python -m bench.page`: write the figures of docs/capacity.md out of bench/results/full.json."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.figures import Entry, Failure, Figure, Target
from bench.report import capacity_table, format_number

_ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = _ROOT / "bench" / "results" / "full.json", _ROOT / "docs" / "capacity.md"
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


def entries_of(document: dict[str, Any]) -> tuple[Entry, ...]:
    """The entries of a results file."""
    return tuple(_entry(entry) for entry in document["entries"])


def _entry(content: dict[str, Any]) -> Entry:
    if "problem" in content:
        return Failure(**content)
    target = content["target"] and Target(**content["target"])
    fields = {name: value for name, value in content.items() if name not in ("target", "reached")}
    return Figure(**fields, target=target)


def figures(about: dict[str, str], entries: Iterable[Entry]) -> str:
    """What stands between the marks; says what has not been measured."""
    found = tuple(entries)
    cores, load = about.get("cores", "?"), about.get("load before", "?")
    lines = [f"Of {about['date']}, on {cores} cores; load average before the run {load}.", ""]
    needs = capacity_table(found) or ["What the load needs has not been measured."]
    growth = [*_growth(found)] or ["Growth has not been measured."]
    return "\n".join([*lines, *needs, "", *growth])


def _growth(entries: Iterable[Entry]) -> Iterator[str]:
    curves: dict[str, list[Figure]] = {}
    for entry in entries:
        if isinstance(entry, Figure) and entry.curve:
            curves.setdefault(entry.curve, []).append(entry)
    if curves:
        yield "| grows | measured ([drawn](../bench/results/full.svg)) | at the most against the least |"
        yield "|---|---|--:|"
    for curve, points in curves.items():
        points.sort(key=lambda figure: figure.at)
        measured = ", ".join(f"{point.at:,.0f}: {format_number(point.value)}" for point in points)
        ratio = points[-1].value / points[0].value
        yield f"| {curve} | {measured} {points[0].unit} | × {ratio:.2f} |"


def with_figures(page: str, text: str) -> str:
    """The page with other figures. Raises ValueError where a mark is missing.

    >>> with_figures("a\\n<!-- figures -->old<!-- /figures -->\\nb", "new")
    'a\\n<!-- figures -->\\n\\nnew\\n\\n<!-- /figures -->\\nb'
    """
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    return f"{page[:begin]}\n\n{text}\n\n{page[end:]}"


def main() -> None:
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = figures(document["about"], entries_of(document))
    PAGE.write_text(with_figures(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main()
