"""The scores as JSON and as a table."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby

from bench.detection.scoring import GRACE_ROWS, Score

_HEAD = (
    "| rule | false alarms / 10k | P(any false) | median delay | 90 % | missed | found | pages | seeds |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
_ABOUT = f"""# Detection: the cost in false alarms, and the delay

Made by `make bench-detection` (`python -m bench.detection`). Delays in rows; pages per seed over the whole stream; a page up
to {GRACE_ROWS:,} rows after a change is over is not false. Ours has one set of settings and one budget, 0.05 false pages in
10,000 rows, for every stream. Every rule is shown a baseline of 5,000 rows first, unless it says "not shown".
What the streams and rules are: `bench/detection/`; how ours decides: `docs/deciding.md`.
"""


def to_json(scores: Iterable[Score], about: dict[str, object]) -> str:
    rows = [
        {name: _plain(value) for name, value in asdict(one).items()} | {"missed": one.missed}
        for one in scores
    ]
    return json.dumps({"about": about, "scores": rows}, indent=1, ensure_ascii=False) + "\n"


def to_markdown(scores: Iterable[Score], about: dict[str, object]) -> str:
    parts = [_ABOUT, "; ".join(f"{name}: {value}" for name, value in about.items()) + ".\n"]
    for stream, rows in groupby(scores, key=lambda one: one.stream):
        parts += [f"\n## {stream}\n", _HEAD, *(_row(one) for one in rows)]
    return "\n".join(parts) + "\n"


def _row(one: Score) -> str:
    known = not math.isnan(one.any_false)
    cells = [
        one.rule,
        f"{one.false_per_10k:.2f}" if known else "",
        f"{one.any_false:.2f}" if known else "",
        *("" if math.isnan(delay) else f"{delay:,.0f}" for delay in (one.median_delay, one.p90_delay)),
        str(one.missed) if one.episodes else "",
        f"{one.found}/{one.episodes}" if one.episodes else "",
        f"{one.pages:.2f}",
        str(one.seeds),
    ]
    return f"| {' | '.join(cells)} |"


def _plain(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value
