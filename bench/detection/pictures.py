"""`python -m bench.detection.pictures --out DIR`: what the evidence looks like, from two real runs, as SVG for docs/deciding.md."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from bench.detection.ours import BUDGET, BUDGET_ROWS, DROP, learned, start_ms
from bench.detection.streams import BASELINE_ROWS, WANDERS, Flags, Floats, OutcomeStream, bernoulli, wandering
from driftsonde.core.statistics.evidence import WEIGHTS, log_alarm_bar, log_mean
from driftsonde.core.statistics.rate_detector import chosen_null, observe_rate
from driftsonde.report import svg

_WIDTH, _PANEL, _GAP = 720, 130, 34
_STYLE = (
    "text{font:12px sans-serif;fill:#444}path{fill:none;stroke-width:1.5;stroke-linecap:round}"
    ".rate{stroke:#35618f}.evidence{stroke:#b3502b}.bar{stroke:#888;stroke-dasharray:5 4}"
    ".change{stroke:#999}rect.ill{fill:#b3502b;fill-opacity:.12}rect.frame{fill:#fff}"
)


@dataclass(frozen=True, slots=True)
class Trace:
    """One seed's run: after each window its error rate, ln R of the null that counts, which null that is, and the alarm."""

    rates: Floats
    evidence: Floats
    nulls: Floats
    alarmed: Floats
    log_bar: float
    window_rows: int


def trace(stream: OutcomeStream, window_rows: int) -> Trace:
    """The run of the stream's first seed."""
    only = OutcomeStream(stream.name, stream.errors[:1], stream.changes, stream.day_rows)
    windows = only.errors.shape[1] // window_rows
    hits = only.errors[:, : windows * window_rows].reshape(1, windows, window_rows).sum(axis=2)
    first = BASELINE_ROWS // window_rows
    state = learned(hits[:, :first], window_rows, only.day_rows, None)
    bar = log_alarm_bar(BUDGET_ROWS / window_rows, BUDGET)
    rows = []
    for window in range(first, windows):
        at_ms = start_ms(window, window_rows, only.day_rows)
        state = observe_rate(state, hits[:, window], np.array([window_rows]), at_ms, DROP, bar)
        null = int(chosen_null(state)[0])
        evidence = float(log_mean(state.log_evidence[0, null], WEIGHTS))
        rows.append((hits[0, window] / window_rows, evidence, float(null), float(state.alarmed[0])))
    rates, evidence_of, nulls, alarmed = np.array(rows).T
    return Trace(rates, evidence_of, nulls, alarmed, bar, window_rows)


def draw(run: Trace, title: str, change: int) -> str:
    """Two panels over the same rows: the windows' error rates, and the evidence with its bar."""
    ill = run.alarmed > 0
    rate = _panel(run, run.rates, 0.0, float(run.rates.max()) * 1.05, 0, "rate", ill, change)
    low = min(-2.0, float(run.evidence[np.isfinite(run.evidence)].min()))
    evidence = _panel(run, run.evidence, low, run.log_bar + 1, 1, "evidence", ill, change)
    height = _y(run.log_bar, low, run.log_bar + 1, 1)
    bar = svg.line([(0, height), (_WIDTH, height)], "bar")
    page = int(np.flatnonzero(ill)[0] + 1) * run.window_rows if ill.any() else 0
    words = [
        _text(0, 14, f"{title}: share of wrong predictions in windows of {run.window_rows} rows"),
        _text(0, 14 + _PANEL + _GAP, "evidence, ln R; dashed: the bar that keeps the budget"),
        _text(
            0,
            2 * (_PANEL + _GAP) + 12,
            f"change at row {change:,}; page after row {page:,}; shaded: in alarm",
        ),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {2 * (_PANEL + _GAP) + 20}">'
        f"<style>{_STYLE}</style>{Markup('').join([*rate, *evidence, bar, *words])}</svg>\n"
    )


def _panel(
    run: Trace, values: Floats, low: float, high: float, place: int, css: str, ill: Flags, change: int
) -> list[Markup]:
    step = _WIDTH / len(values)
    top = _top(place)
    points = [
        ((window + 1) * step, _y(float(value), low, high, place))
        for window, value in enumerate(values)
        if np.isfinite(value)
    ]
    x = change / run.window_rows * step
    return [
        svg.rectangle(0, top, _WIDTH, _PANEL, "frame"),
        *(svg.rectangle(window * step, top, step, _PANEL, "ill") for window in np.flatnonzero(ill).tolist()),
        svg.line([(x, top), (x, top + _PANEL)], "change"),
        svg.line(points, css),
    ]


def _top(place: int) -> float:
    return 22.0 + place * (_PANEL + _GAP)


def _y(value: float, low: float, high: float, place: int) -> float:
    return _top(place) + _PANEL * (1 - (value - low) / (high - low))


def _text(x: float, y: float, words: str) -> Markup:
    return Markup('<text x="{}" y="{}">{}</text>').format(x, y, words)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.detection.pictures", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    out: Path = parser.parse_args(arguments).out
    out.mkdir(parents=True, exist_ok=True)
    change = 5_000
    plain = draw(trace(bernoulli(1, True), 50), "An error rate of 0.2 rises to 0.3", change)
    (out / "deciding-change.svg").write_text(plain, encoding="utf-8")
    seasonal = draw(trace(wandering(WANDERS[0], 1, 0.1), 100), "A daily season, then 0.1 more", change)
    (out / "deciding-season.svg").write_text(seasonal, encoding="utf-8")


if __name__ == "__main__":
    main()
