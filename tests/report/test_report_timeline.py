"""Times on the timeline are of what went wrong; dots do not lie upon each other."""

from dataclasses import replace

from control_examples import signal
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.spec import HOUR_MS
from driftsonde.report.axis import TimeAxis
from driftsonde.report.timeline import asked_last, episodes_of, lanes


def canary(kind: SignalKind, hour: int) -> Signal:
    return replace(signal(kind, hour=hour), rule=Rule.CANARY, id=f"{kind} {hour}", episode="e")


def test_a_rollback_keeps_its_time_when_its_version_has_no_rows_any_more_later() -> None:
    (episode,) = episodes_of([canary(SignalKind.RESOLVE, 9), canary(SignalKind.ROLLBACK, 3)])
    assert asked_last(episode).kind is SignalKind.ROLLBACK


def test_dots_of_a_kind_that_would_overlap_are_one_that_counts_them() -> None:
    base = signal(SignalKind.ALERT).window_end_ms
    axis = TimeAxis(base - HOUR_MS, base + 99 * HOUR_MS, HOUR_MS, 1, 100)
    told = [replace(signal(SignalKind.ALERT, hour=hour), id=str(hour)) for hour in (1, 2, 60)]
    (lane,) = lanes(axis, episodes_of([*told, signal(SignalKind.RETRAIN, hour=2)]))
    assert lane.strip.count("mark alert") == 2
    assert "and 1 more soon after" in lane.strip
    assert lane.strip.count("mark retrain") == 1
