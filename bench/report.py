"""A run as Markdown: a table for each part, targets beside the figures."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.capacity import Load, needs
from bench.figures import Entry, Failure, Figure, Target

LOAD = Load(rows_per_s=1e6, features=100)

_PROBLEM_CHARS = 400


@dataclass(frozen=True, slots=True)
class Run:
    """`about` says by name what was measured where and when; `titles` are the parts in their order."""

    about: dict[str, str]
    titles: tuple[str, ...]
    entries: tuple[Entry, ...]


def render(run: Run) -> str:
    """The whole document."""
    lines = ["# How fast it is", ""]
    lines += [f"* {name}: {text}" for name, text in run.about.items()]
    ordered = sorted(run.entries, key=lambda entry: run.titles.index(entry.part))
    for part, entries in groupby(ordered, key=lambda entry: entry.part):
        lines += ["", f"## {part}", "", *_table(list(entries))]
    lines += _capacity(run.entries)
    return "\n".join(lines) + "\n"


def capacity_table(entries: Sequence[Entry]) -> list[str]:
    """What the load of docs/capacity.md needs; no lines where too little was measured."""
    rows = [
        f"| {need.what} | {format_number(need.value)} {need.unit} | {need.how} |"
        for need in needs(LOAD, entries)
    ]
    return ["| what | needs | from |", "|---|--:|---|", *rows] if rows else []


def _capacity(entries: Sequence[Entry]) -> list[str]:
    table = capacity_table(entries)
    title = f"## capacity: {LOAD.rows_per_s:,.0f} predictions a second with {LOAD.features} features"
    return ["", title, "", *table] if table else []


def _table(entries: Sequence[Entry]) -> Iterable[str]:
    figures = [entry for entry in entries if isinstance(entry, Figure)]
    if figures:
        yield "| what | figure | target | | rows | columns | message | cores | CPU | memory | note |"
        yield "|---|--:|--:|---|--:|--:|--:|--:|--:|--:|---|"
        yield from (_row(figure) for figure in figures)
    for entry in entries:
        if isinstance(entry, Failure):
            yield from ("", f"**Not measured to the end:** {_one_line(entry.problem)[:_PROBLEM_CHARS]}")


def _row(figure: Figure) -> str:
    cells = (
        figure.name,
        f"{format_number(figure.value)} {figure.unit}",
        _target(figure.target, figure.unit),
        _verdict(figure),
        _count(figure.rows),
        _count(figure.columns),
        f"{figure.message_bytes / 1000:.3g} kB" if figure.message_bytes else "",
        _count(figure.cores),
        f"{figure.cpu_s:.1f} s" if figure.cpu_s else "",
        f"{figure.peak_mb:.0f} MB" if figure.peak_mb else "",
        _one_line(figure.note),
    )
    return f"| {' | '.join(cells)} |"


def _target(target: Target | None, unit: str) -> str:
    return "" if target is None else f"{'≥' if target.at_least else '≤'} {format_number(target.bound)} {unit}"


def _verdict(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return "reached" if figure.target.is_reached(figure.value) else "**not reached**"


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def format_number(value: float) -> str:
    """Three digits that count; thousands apart.

    >>> [format_number(value) for value in (1234567.0, 12.345, 0.001234, math.nan)]
    ['1,230,000', '12.3', '0.00123', '–']
    """
    if math.isnan(value):
        return "–"
    if abs(value) >= 100:
        digits = max(0, math.floor(math.log10(abs(value))) - 2)
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
