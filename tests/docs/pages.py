"""Runs the code blocks of a page, in their order, as a reader would.

A `toml` block whose first line is a comment with a file's name is that file. A `python` block runs in the page's one
namespace. Of a `console` block, the lines that begin with `$ driftsonde` run, and the lines under one must be in what it
prints, in their order (… stands for anything). `<!-- not run: why -->` before a block leaves it out, `<!-- run where MODULE is installed -->` where it
is not.
"""

import contextlib
import importlib.util
import io
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from driftsonde.cli import main

_BLOCK = re.compile(
    r"(?:<!-- (not run|run where) ?:? ?([^\n]+) -->\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
# Those that go on for ever, which the tests' own servers stand for.
_NOT_RUN = ("standalone", "demo")


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
    """Follows one page in the current directory."""

    page: Path
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
                    code = compile("\n" * (block.line - 1) + block.text, str(self.page), "exec")
                    exec(code, self.names)
                case "toml":
                    self._write(block)
                case "console":
                    self._type(block)
                case _:
                    continue
            done += 1
        return done

    def _write(self, block: Block) -> None:
        name = re.match(r"# ([\w.-]+\.\w+)\n", block.text)
        if name:
            Path(name[1]).write_text(block.text, encoding="utf-8")

    def _type(self, block: Block) -> None:
        shown = ""
        for line in block.text.splitlines():
            if line.startswith("$ "):
                arguments = shlex.split(line.removeprefix("$ "), comments=True)
                runs = arguments[0] == "driftsonde" and arguments[1] not in _NOT_RUN
                shown = self._run(arguments[1:]) if runs else "\N{REPLACEMENT CHARACTER}"
            elif line.strip() and shown != "\N{REPLACEMENT CHARACTER}":
                pattern = r"\s*" + r"[^\n]*".join(
                    r"\s+".join(re.escape(word) for word in part.split()) for part in line.split("…")
                )
                found = re.search(pattern, shown)
                assert found, f"{self.page.name}, line {block.line}: {line!r} is not in\n{shown}"
                shown = shown[found.end() :]

    def _run(self, arguments: list[str]) -> str:
        said = io.StringIO()
        with (
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            contextlib.suppress(SystemExit),
        ):
            main(arguments)
        return said.getvalue()
