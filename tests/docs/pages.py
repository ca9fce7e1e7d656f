"""Runs the code blocks of a page, in their order, as a reader would.

A `toml` block whose first line is a comment with a file's name is that file, `controller.toml` is read as the controller reads it,
and one without a name is a part of a model's spec. A `python` block runs in the page's one namespace; a `sql` block is asked of the
store. Of a `console` block, the lines that begin with `$ driftsonde` run, and the lines under one must be in what it prints, in
their order (… stands for anything). `<!-- not run: why -->` before a block leaves it out, `<!-- run where MODULE is installed -->`
where it is not. Blocks of `text` are read by nobody but people.
"""

import contextlib
import importlib.util
import io
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from driftsonde.adapters.specs import parse_spec
from driftsonde.cli import main
from driftsonde.controller.config import parse_config

_BLOCK = re.compile(
    r"(?:<!-- (not run|run where) ?:? ?([^\n]+) -->\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
# Those that go on for ever, which the tests' own servers stand for.
_NOT_RUN = ("standalone", "demo")
_SPEC = {"name": "m", "task": "binary"}


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page; `line` is where it begins."""

    language: str
    text: str
    line: int
    runs: bool


def blocks_of(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    return [
        Block(match[3], match[4], text[: match.start(4)].count("\n") + 1, _runs(match[1], match[2]))
        for match in _BLOCK.finditer(text)
    ]


def _runs(condition: str | None, what: str) -> bool:
    if condition == "run where":
        return importlib.util.find_spec(what.removesuffix(" is installed")) is not None
    return condition is None


@dataclass(slots=True)
class Reader:
    """Follows one page in the current directory. addresses: what to put in the place of those in the page."""

    page: Path
    query: Callable[[str], object]
    addresses: Mapping[str, str] = field(default_factory=dict)
    names: dict[str, object] = field(default_factory=lambda: {"__name__": "page"})

    def follow(self) -> int:
        """Returns how many blocks were run."""
        done = 0
        for block in blocks_of(self.page):
            if not block.runs:
                continue
            match block.language:
                case "python":
                    # The line numbers of an error are those of the page.
                    text = block.text
                    for named, ours in self.addresses.items():
                        text = text.replace(named, ours)
                    code = compile("\n" * (block.line - 1) + text, str(self.page), "exec")
                    exec(code, self.names)
                case "toml":
                    self._write(block)
                case "console":
                    self._type(block)
                case "sql":
                    self.query(block.text)
                case _:
                    continue
            done += 1
        return done

    def _write(self, block: Block) -> None:
        named = re.match(r"# ([\w.-]+\.\w+)\n", block.text)
        if not named:
            parse_spec(_SPEC | tomllib.loads(block.text))
            return
        Path(named[1]).write_text(block.text, encoding="utf-8")
        if named[1] == "controller.toml":
            parse_config(block.text, {})

    def _type(self, block: Block) -> None:
        first, *commands = re.split(r"^\$ ", block.text.replace("\\\n", " "), flags=re.MULTILINE)
        assert not first, f"{self.page.name}, line {block.line}: expected a command, not {first!r}"
        for command in commands:
            line, *expected = (line for line in command.splitlines() if line.strip())
            arguments = shlex.split(line, comments=True)
            if arguments[0] == "driftsonde" and arguments[1] not in _NOT_RUN:
                self._check(block, line, expected, *_run(arguments[1:]))

    def _check(self, block: Block, command: str, expected: list[str], shown: str, status: object) -> None:
        """What is shown of a command is in what it prints; one that nothing is shown of is said to do its work."""
        where = f"{self.page.name}, line {block.line}: {command}"
        assert expected or not status, f"{where} ends with {status!r}\n{shown}"
        for line in expected:
            pattern = r"\s*" + r"[^\n]*".join(
                r"\s+".join(re.escape(word) for word in part.split()) for part in line.split("…")
            )
            found = re.search(pattern, shown)
            assert found, f"{where}: {line!r} is not in\n{shown}"
            shown = shown[found.end() :]


def _run(arguments: list[str]) -> tuple[str, object]:
    """What a command prints, and its exit status."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(arguments)
        except SystemExit as ended:
            return said.getvalue(), ended.code
    return said.getvalue(), 0
