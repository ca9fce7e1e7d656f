"""What an incident costs, as far as the spec says what outcomes are worth or what an error costs."""

import math
from dataclasses import dataclass

from driftsonde.core.signals import Evidence, Signal

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Worth:
    """error_cost: of one wrong prediction, 0 = not said; drop: the loss of accuracy that the policy lets pass, which the bar
    lies below the baseline's; unit: of all costs and values."""

    error_cost: float = 0.0
    drop: float = 0.0
    unit: str = ""


def cost_in_words(signal: Signal, worth: Worth) -> str:
    """What the model costs a day as its newest judged window goes on; "" where that cannot be said.

    By what each outcome is worth, if the judge has told so; else by the errors beyond the baseline's or the champion's. The
    rows are the labelled ones, so where labels are few it costs more.
    """
    values = next((entry for entry in signal.evidence if entry.statistic == "value_per_row"), None)
    if values is not None and math.isfinite(values.value):
        rows = _rows_a_day(values.n, values.window_end_ms - values.window_start_ms)
        told = f"a row is worth {_amount(values.value, worth)}"
        return f"{told}, {_amount(values.value * rows, worth)} a day at {rows:.3g} labelled rows a day"
    for entry in signal.evidence:
        excess, rows = _errors(entry, signal, worth)
        if worth.error_cost and math.isfinite(excess) and excess > 0:
            return (
                f"about {_amount(excess * rows * worth.error_cost, worth)} a day: {100 * excess:.3g} % more errors "
                f"at {rows:.3g} labelled rows a day"
            )
    return ""


def _errors(entry: Evidence, signal: Signal, worth: Worth) -> tuple[float, float]:
    """By how much the rate of errors is higher than it should be, and the rows a day; NaN where the number is another one."""
    match entry.statistic:
        case "accuracy":
            period_ms = entry.window_end_ms - entry.window_start_ms
            return entry.threshold + worth.drop - entry.value, _rows_a_day(entry.n, period_ms)
        case "accuracy_difference":
            return -entry.value, _rows_a_day(entry.n, entry.window_end_ms - signal.since_ms)
        case _:
            return math.nan, 0.0


def _rows_a_day(rows: int, period_ms: int) -> float:
    return rows * _DAY_MS / period_ms if period_ms > 0 else 0.0


def _amount(value: float, worth: Worth) -> str:
    """
    >>> _amount(-39_612.4, Worth(unit="EUR")), _amount(0.123456, Worth())
    ('-39,600 EUR', '0.123')
    """
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    rounded = round(value, 2 - math.floor(math.log10(abs(value)))) if value else 0.0
    return f"{rounded:,.{min(digits, 6)}f} {worth.unit}".strip()
