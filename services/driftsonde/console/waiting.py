"""Models of which nothing has been judged yet, and what each of them waits for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from driftsonde.adapters.clickhouse import Store
from driftsonde.core.spec import ModelSpec
from driftsonde.report.formats import format_moment, format_span

_FIRST_ROWS = """
SELECT model, toUnixTimestamp64Milli(min(timestamp)) FROM predictions WHERE model IN {models:Array(String)} GROUP BY model
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One model; `what` says it in a clause."""

    model: str
    what: str


def read_first_rows(store: Store, models: Sequence[str]) -> dict[str, int]:
    """The event time of the first archived row, where there is one; raises what `Store` raises."""
    return dict(store.query_rows(_FIRST_ROWS, {"models": list(models)})) if models else {}


def waiting_models(
    specs: Mapping[str, ModelSpec], judged: Collection[str], first_rows: Mapping[str, int], now: datetime
) -> tuple[Waiting, ...]:
    """Of all that is registered, what was not judged."""
    return tuple(
        Waiting(model, _what(specs[model], first_rows.get(model), now))
        for model in sorted(set(specs) - set(judged))
    )


def _what(spec: ModelSpec, first_ms: int | None, now: datetime) -> str:
    """
    >>> from driftsonde.core.spec import Task
    >>> spec = ModelSpec("m", Task.BINARY, window_ms=60_000, lateness_ms=5_000)
    >>> _what(spec, 70_000, datetime.fromtimestamp(80, UTC)).replace("\\N{NO-BREAK SPACE}", " ")
    'rows come in: waiting for the first window (closes about 1 Jan 1970 00:02:05 UTC)'
    """
    size = format_span(spec.window_ms)
    if first_ms is None:
        return f"no rows yet: its first window closes {size} after they come"
    closes_ms = (first_ms // spec.window_ms + 1) * spec.window_ms + spec.lateness_ms
    if datetime.fromtimestamp(closes_ms / 1000, UTC) < now:
        return (
            f"rows came, but no window of {size} is judged: `driftsonde doctor` says why, if more rows come"
        )
    return f"rows come in: waiting for the first window (closes about {format_moment(closes_ms)} UTC)"
