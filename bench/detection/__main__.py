"""`python -m bench.detection [--quick] [--elec2 FILE] --date DATE --out DIR`: measure, and write DIR/detection.{json,md}.

--quick: few seeds, to see that it works; its figures mean little. --elec2: the electricity data (see `electricity`), without
which that part is left out.
"""

import argparse
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from bench.detection import column_rules, river_rules
from bench.detection.columns import SHAPES as COLUMN_SHAPES
from bench.detection.columns import ColumnStream, column_stream
from bench.detection.electricity import electricity
from bench.detection.ours import watch_outcomes
from bench.detection.report import to_json, to_markdown
from bench.detection.scoring import Score, score
from bench.detection.streams import (
    BASELINE_ROWS,
    GENERATORS,
    ROWS,
    SHAPES,
    WANDERS,
    OutcomeStream,
    bernoulli,
    generated,
    wandering,
)

WINDOW_ROWS = 100
_SLOW_SEEDS = 2  # of KSWIN, which does some 3,000 rows a second


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.detection", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--elec2", type=Path)
    parser.add_argument("--date", required=True, help="the day of the run, for its record")
    parser.add_argument("--out", type=Path, default=Path("bench/results/detection"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    about: dict[str, object] = {
        "date": options.date,
        "scale": "quick" if options.quick else "full",
        **{name: version(name) for name in ("numpy", "scipy", "river")},
    }
    scores: list[Score] = []
    for one in _scores(options.quick, options.elec2):
        print(f"{one.stream}: {one.rule}", flush=True)
        scores.append(one)
        (options.out / "detection.json").write_text(to_json(scores, about), encoding="utf-8")
        (options.out / "detection.md").write_text(to_markdown(scores, about), encoding="utf-8")


def _scores(quick: bool, elec2: Path | None) -> Iterator[Score]:
    seeds, few = (6, 2) if quick else (60, 10)
    for changed in (False, True):
        yield from _reference(bernoulli(seeds, changed), quick)
    for wander in WANDERS:
        for rise in (0.0, 0.1):
            yield from _outcomes(wandering(wander, few if quick else 30, rise), quick)
    for generator in ("Sine",) if quick else GENERATORS:
        for shape in SHAPES:
            yield from _outcomes(generated(generator, shape, few), quick)
    for stream in electricity(elec2) if elec2 else ():
        yield from _outcomes(stream, quick)
    for columns in COLUMN_SHAPES[-2:] if quick else COLUMN_SHAPES:
        yield from _columns(column_stream(columns, few if quick else 20))


def _reference(stream: OutcomeStream, quick: bool) -> Iterator[Score]:
    """The reference stream also row by row, with the baseline known, and with river's detectors not shown it."""
    if not quick:
        yield _score(stream, "ours, every row", watch_outcomes(stream, 1))
        yield _score(stream, "ours, every row, baseline known", watch_outcomes(stream, 1, 0.2))
    yield _score(stream, "ours, windows of 50", watch_outcomes(stream, 50))
    yield from _outcomes(stream, quick)
    for name in river_rules.DETECTORS:
        seeds = _seeds(name, stream, quick)
        yield _score(stream, f"{name}, not shown the baseline", river_rules.watch(name, stream, False, seeds))


def _outcomes(stream: OutcomeStream, quick: bool) -> Iterator[Score]:
    yield _score(stream, f"ours, windows of {WINDOW_ROWS}", watch_outcomes(stream, WINDOW_ROWS))
    for name in river_rules.DETECTORS:
        if name == "KSWIN" and quick:
            continue
        pages = river_rules.watch(name, stream, True, _seeds(name, stream, quick))
        yield _score(stream, name, pages)


def _columns(stream: ColumnStream) -> Iterator[Score]:
    for window_rows in (100, 500):
        for rule, watch in column_rules.RULES.items():
            name = f"{stream.name}; windows of {window_rows}"
            yield score(name, rule, watch(stream, window_rows), ROWS, stream.changes)


def _seeds(name: str, stream: OutcomeStream, quick: bool) -> int:
    return min(len(stream.errors), (1 if quick else _SLOW_SEEDS) if name == "KSWIN" else len(stream.errors))


def _score(stream: OutcomeStream, rule: str, pages: list[list[int]]) -> Score:
    loss = f" (loss {stream.loss:.2f})" if stream.changes else ""
    return score(stream.name + loss, rule, pages, stream.errors.shape[1] - BASELINE_ROWS, stream.changes)


if __name__ == "__main__":
    main()
