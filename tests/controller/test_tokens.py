"""The file of tokens: what is refused, and that a change counts at once."""

import os
from pathlib import Path

import pytest

from driftsonde.commands.token import new
from driftsonde.controller.tokens import InvalidTokens, Tokens, parse_tokens
from driftsonde.core.control.access import Person, Role, hash_token, recognise

HASH = hash_token("secret")


def entry(name: str = "ann", role: str = "approver", sha256: str = HASH) -> str:
    return f'[[tokens]]\nname = "{name}"\nrole = "{role}"\nsha256 = "{sha256}"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tokens = 3", "tokens: "),
        ("[[tokens", "not TOML"),
        ("", "the file has none"),
        (entry(role="king"), "tokens.ann.role: expected one of viewer, operator, approver, admin"),
        (entry(sha256="secret"), "tokens.0.sha256"),
        (entry(name=""), "tokens.0.name"),
        (entry(name="controller"), "acts under this name"),
        (entry() + entry("bob"), "listed twice"),
        (entry() + "key = 1\n", "tokens.0.key"),
    ],
)
def test_what_is_wrong_is_named(text: str, problem: str) -> None:
    with pytest.raises(InvalidTokens, match=problem):
        parse_tokens(text)


def write(path: Path, text: str, tick: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(tick, tick))


def test_a_rotation_needs_no_restart(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    write(path, entry(), 1)
    tokens = Tokens(path=path)
    assert recognise(tokens.current(), "secret") == Person("ann", Role.APPROVER)
    write(path, entry() + entry(sha256=hash_token("newer")), 2)
    assert {recognise(tokens.current(), text) for text in ("secret", "newer")} == {
        Person("ann", Role.APPROVER)
    }
    write(path, entry(sha256=hash_token("newer")), 3)
    assert recognise(tokens.current(), "secret") is None
    write(path, "nonsense", 4)  # a mistake locks nobody out
    assert recognise(tokens.current(), "newer") is not None
    path.unlink()
    assert recognise(tokens.current(), "newer") is not None


def test_the_environments_token_is_an_admins(tmp_path: Path) -> None:
    assert Tokens().current() == ()
    (token,) = Tokens("secret").current()
    assert (token.person, token.sha256) == (Person("admin", Role.ADMIN), HASH)
    with pytest.raises(OSError, match=r"none\.toml"):
        Tokens(path=tmp_path / "none.toml")


def test_a_new_token_is_printed_once_with_what_to_configure(capsys: pytest.CaptureFixture[str]) -> None:
    new.main(["--name", "ann", "--role", "operator"], standalone_mode=False)
    first, _, configured = capsys.readouterr().out.partition("\n\n")
    text = first.rpartition(" ")[2]
    (token,) = parse_tokens(configured)
    assert (token.person, token.sha256) == (Person("ann", Role.OPERATOR), hash_token(text))
    assert len(text) >= 43
    assert text not in configured
