"""Durations as people write them: "90s", "15m", "1h", "7d"."""

import re

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PATTERN = re.compile(r"(\d+)\s*(ms|s|m|h|d|w)")


def parse_duration_ms(text: str) -> int:
    """Milliseconds; raises ValueError.

    >>> parse_duration_ms("15m")
    900000
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'{text!r} is not a duration; write it like "90s", "15m", "1h" or "7d"')
    return int(match[1]) * _UNIT_MS[match[2]]


def format_duration(duration_ms: int) -> str:
    """The shortest text in whole units, days at most.

    >>> [format_duration(value) for value in (0, 1500, 90_000, 86_400_000, 1_209_600_000)]
    ['0ms', '1500ms', '90s', '1d', '14d']
    """
    for unit in ("d", "h", "m", "s"):
        if duration_ms and duration_ms % _UNIT_MS[unit] == 0:
            return f"{duration_ms // _UNIT_MS[unit]}{unit}"
    return f"{duration_ms}ms"
