"""Times as text: ISO 8601, UTC; and how long."""

from datetime import UTC, datetime


def iso_seconds(time_ms: int) -> str:
    """
    >>> iso_seconds(1500)
    '1970-01-01T00:00:01Z'
    """
    return _iso(time_ms, "seconds")


def iso_milliseconds(time_ms: int) -> str:
    """
    >>> iso_milliseconds(1500)
    '1970-01-01T00:00:01.500Z'
    """
    return _iso(time_ms, "milliseconds")


def span_text(span_ms: int) -> str:
    """How long, in the largest unit of which there are two or more.

    >>> [span_text(hours * 3_600_000) for hours in (0, 1, 24, 48)]
    ['0 s', '60 min', '24 h', '2 d']
    """
    seconds = max(0, span_ms // 1000)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _iso(time_ms: int, timespec: str) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
