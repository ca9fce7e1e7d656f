"""Measure our rules again, and keep what a result says of the others: `python -m bench.detection.again --date DATE [--out DIR]`.

The rules of others do not change with our code, and take most of the time of a whole run. A stream that the result does
not have yet is added with our rules alone.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from bench.detection import column_rules
from bench.detection.columns import SHAPES, column_stream
from bench.detection.electricity import electricity
from bench.detection.ours import watch_outcomes
from bench.detection.report import to_json, to_markdown
from bench.detection.scoring import Score, score
from bench.detection.streams import (
    BASELINE_ROWS,
    GENERATORS,
    ROWS,
    WANDERS,
    OutcomeStream,
    bernoulli,
    briefly_worse,
    generated,
    wandering,
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.detection.again", description=__doc__)
    parser.add_argument("--elec2", type=Path)
    parser.add_argument("--date", required=True, help="the day of the run, for its record")
    parser.add_argument("--out", type=Path, default=Path("bench/results/detection"))
    options = parser.parse_args()
    result = json.loads((options.out / "detection.json").read_text(encoding="utf-8"))
    scores, about = [_score_of(row) for row in result["scores"]], result["about"] | {"ours": options.date}
    for one in _ours(options.elec2):
        scores = with_score(scores, one)
        print(
            one.stream, one.rule, one.any_false, one.median_delay, f"{one.found}/{one.episodes}", flush=True
        )
        (options.out / "detection.json").write_text(to_json(scores, about), encoding="utf-8")
        (options.out / "detection.md").write_text(to_markdown(scores, about), encoding="utf-8")


def with_score(scores: Iterable[Score], one: Score) -> list[Score]:
    """The scores with `one` in place of that of the same stream and rule; else first in its stream, or last of all."""
    kept = list(scores)
    for place, other in enumerate(kept):
        if (other.stream, other.rule) == (one.stream, one.rule):
            return [*kept[:place], one, *kept[place + 1 :]]
    first = next((place for place, other in enumerate(kept) if other.stream == one.stream), len(kept))
    return [*kept[:first], one, *kept[first:]]


def _ours(elec2: Path | None) -> Iterator[Score]:
    for shape in SHAPES:
        stream = column_stream(shape, 20)
        for window_rows in (100, 500):
            pages = column_rules.ours(stream, window_rows)
            yield score(f"{stream.name}; windows of {window_rows}", "ours", pages, ROWS, stream.changes)
    for wander in WANDERS:
        for rise in (0.0, 0.1):
            yield _outcomes(wandering(wander, 30, rise), 100)
    for brief in briefly_worse(60):
        yield _outcomes(brief, 100)
    for name in GENERATORS:
        for outcome_stream in generated(name, 10):
            yield _outcomes(outcome_stream, 100)
    for outcome_stream in electricity(elec2) if elec2 else ():
        yield _outcomes(outcome_stream, 100)
    for changed in (False, True):
        reference = bernoulli(60, changed)
        yield _outcomes(reference, 100)
        yield _outcomes(reference, 50)
        yield replace(_outcomes(reference, 1), rule="ours, every row")
        known = _outcomes(reference, 1, 0.2)
        yield replace(known, rule="ours, every row, baseline known")


def _outcomes(stream: OutcomeStream, window_rows: int, known_rate: float | None = None) -> Score:
    loss = f" (loss {stream.loss:.2f})" if stream.changes else ""
    pages = watch_outcomes(stream, window_rows, known_rate)
    rows = stream.errors.shape[1] - BASELINE_ROWS
    return score(stream.name + loss, f"ours, windows of {window_rows}", pages, rows, stream.changes)


def _score_of(row: dict[str, object]) -> Score:
    values = {field.name: row[field.name] for field in fields(Score)}
    return Score(**{name: np.nan if value is None else value for name, value in values.items()})  # type: ignore[arg-type]  # from our own JSON


if __name__ == "__main__":
    main()
