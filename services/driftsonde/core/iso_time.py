"""Times as text: ISO 8601, UTC."""

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


def _iso(time_ms: int, timespec: str) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
