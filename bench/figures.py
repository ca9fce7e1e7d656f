"""What a benchmark says: figures with what they were measured on, and the target that each is held against."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Scale(StrEnum):
    """How much is measured: `QUICK` in a minute or two, to see that everything works; `FULL` to quote from."""

    QUICK = "quick"
    FULL = "full"

    def pick(self, quick: int, full: int) -> int:
        return full if self is Scale.FULL else quick


@dataclass(frozen=True, slots=True)
class Target:
    """A figure reaches it at `bound` or beyond: above it if `at_least`, else below."""

    bound: float
    at_least: bool = True

    def is_reached(self, value: float) -> bool:
        """NaN, for what could not be measured, reaches nothing.

        >>> Target(50, at_least=False).is_reached(49.0), Target(50).is_reached(float("nan"))
        (True, False)
        """
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number, and on what: 0 where a field says nothing about it.

    part, name: what was measured. rows, columns: of the load (columns: features). message_rows, message_bytes: of a message, the mean. cores: what
    the measured process or processes may use. cpu_s: what they used. peak_mb: their peak resident memory together.
    curve, at: of a growth curve, what grows and how far it has.
    """

    part: str
    name: str
    value: float
    unit: str
    rows: int = 0
    columns: int = 0
    message_rows: int = 0
    message_bytes: int = 0
    cores: int = 1
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    target: Target | None = None
    note: str = ""
    curve: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A part that did not come to its end, and why."""

    part: str
    problem: str


Entry = Figure | Failure


@dataclass(slots=True)
class Recorder:
    """Takes figures as they come: each is in the file, and shown, before the next is measured."""

    part: str
    path: Path

    def add(self, name: str, value: float, unit: str, **more: Any) -> None:
        """`more` are the other fields of a `Figure`."""
        figure = Figure(self.part, name, value, unit, **more)
        append_entry(self.path, figure)
        print(f"  {figure.part}: {figure.name}: {figure.value:,.4g} {figure.unit} {figure.note}", flush=True)


def append_entry(path: Path, entry: Entry) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": type(entry).__name__, **asdict(entry)}) + "\n")


def read_entries(lines: Iterable[str]) -> Iterator[Entry]:
    """The entries of a file of `append_entry`."""
    for line in lines:
        content: dict[str, Any] = json.loads(line)
        if content.pop("kind") == Failure.__name__:
            yield Failure(**content)
        else:
            target = content.pop("target")
            yield Figure(**content, target=None if target is None else Target(**target))
