"""A version's card, a TOML file: where it comes from and what it is for, in its team's words."""

import math
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from driftsonde.adapters.specs import InvalidSpec
from driftsonde.core.origin import Origin

SOURCE = "card"
MAX_TEXT_CHARS = 2_000
MAX_PAIRS = 200
_TEXTS = ("owner", "context", "intended_use", "approval", "description", "code_revision", "run", "artifact")
# The table of the file, and the field that it fills.
_TABLES = {
    "data": "data",
    "params": "params",
    "features": "columns",
    "feature_views": "feature_views",
    "tags": "tags",
}
_METRICS = "metrics"


def parse_card(text: str) -> Origin:
    """Raises `InvalidSpec`: one line a problem.

    >>> parse_card('owner = "ann"\\n[data]\\ntrain = "f00d"').data
    (('train', 'f00d'),)
    """
    try:
        card = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSpec((f"not TOML: {error}",)) from None
    problems = tuple(_problems(card))
    if problems:
        raise InvalidSpec(problems)
    fields: dict[str, Any] = {
        field: tuple((key, _as_text(value)) for key, value in card.get(table, {}).items())
        for table, field in _TABLES.items()
    }
    return Origin(
        source=SOURCE,
        **{name: card.get(name, "") for name in _TEXTS},
        **fields,
        metrics=tuple((key, float(value)) for key, value in card.get(_METRICS, {}).items()),
    )


def _problems(card: Mapping[str, object]) -> Iterator[str]:
    expected = sorted((*_TEXTS, *_TABLES, _METRICS))
    for key, value in card.items():
        if key in _TEXTS:
            if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
                yield f"{key}: expected a text of at most {MAX_TEXT_CHARS} characters, not {value!r:.60}"
        elif key not in expected:
            yield f"{key}: unknown; expected one of {', '.join(expected)}"
        elif not isinstance(value, dict) or len(value) > MAX_PAIRS:
            yield f"{key}: expected a table of at most {MAX_PAIRS} entries, not {value!r:.60}"
        else:
            yield from _table_problems(key, value)


def _table_problems(table: str, entries: Mapping[str, object]) -> Iterator[str]:
    for key, value in entries.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if table == _METRICS and not number:
            yield f"{table}.{key}: expected a number, not {value!r:.60}"
        if isinstance(value, dict | list) or len(str(value)) > MAX_TEXT_CHARS:
            yield f"{table}.{key}: expected a text, a number or a boolean, not {value!r:.60}"


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
