"""The tokens of the API: a TOML file, read again whenever it changes, so that a rotation needs no restart."""

import logging
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pydantic

from driftsonde.core.control.access import NAME_PATTERN, Person, Role, Token, hash_token
from driftsonde.core.control.decisions import CONTROLLER

FIRST_ADMIN = "admin"

_log = logging.getLogger(__name__)


class InvalidTokens(ValueError):
    """A file of tokens that can't be used: one line a problem."""


class _Entry(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, pydantic.StringConstraints(pattern=NAME_PATTERN)]
    role: str
    sha256: Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Document(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    tokens: list[_Entry] = []


def parse_tokens(text: str) -> tuple[Token, ...]:
    """Raises `InvalidTokens`. A name may have several tokens: the new one and the one being phased out."""
    try:
        document = _Document.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidTokens(f"not TOML: {error}") from None
    except pydantic.ValidationError as error:
        lines = (f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors(include_url=False))
        raise InvalidTokens("\n".join(lines)) from None
    if not document.tokens:
        raise InvalidTokens("tokens: the file has none; `driftsonde token new` makes one")
    twice = [text for text, count in Counter(entry.sha256 for entry in document.tokens).items() if count > 1]
    if twice:
        raise InvalidTokens(f"tokens: one is listed twice: sha256 {twice[0]}")
    return tuple(_token(entry) for entry in document.tokens)


def _token(entry: _Entry) -> Token:
    if entry.name == CONTROLLER:
        raise InvalidTokens(f"tokens.{entry.name}.name: the controller itself acts under this name")
    try:
        role = Role(entry.role)
    except ValueError:
        allowed = ", ".join(Role)
        raise InvalidTokens(
            f"tokens.{entry.name}.role: expected one of {allowed}, not {entry.role!r}"
        ) from None
    return Token(Person(entry.name, role), entry.sha256)


@dataclass(slots=True)
class Tokens:
    """The tokens that are valid now: those of the file, and that of the environment, an admin's.

    A file that can't be used any more leaves the last good one in force, and says so in the log.
    """

    environment: str = ""
    path: Path | None = None
    _read: tuple[Token, ...] = field(init=False, default=())
    _stamp: tuple[int, int] = field(init=False, default=(0, 0))

    def __post_init__(self) -> None:
        """Raises `InvalidTokens`, with the file's name before each problem, or OSError."""
        if self.path is not None:
            self._stamp = self._stat(self.path)
            self._read = self._load(self.path)

    def current(self) -> tuple[Token, ...]:
        """None at all means that the API asks for none."""
        if self.path is not None:
            self._refresh(self.path)
        if not self.environment:
            return self._read
        return (Token(Person(FIRST_ADMIN, Role.ADMIN), hash_token(self.environment)), *self._read)

    def _refresh(self, path: Path) -> None:
        try:
            stamp = self._stat(path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._read = self._load(path)
            _log.info("tokens read again", extra={"count": len(self._read)})
        except (OSError, InvalidTokens) as error:
            _log.error("the tokens can't be read; the last good ones stay", extra={"problem": str(error)})

    @staticmethod
    def _stat(path: Path) -> tuple[int, int]:
        found = path.stat()
        return found.st_mtime_ns, found.st_ino

    @staticmethod
    def _load(path: Path) -> tuple[Token, ...]:
        try:
            return parse_tokens(path.read_text(encoding="utf-8"))
        except (InvalidTokens, UnicodeDecodeError) as error:
            raise InvalidTokens("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None
