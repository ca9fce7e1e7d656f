"""`python -m bench [PART …] --out DIR --scale quick|full --date DATE`: measure, and write DIR/<scale>.{json,md,svg}.

Every part runs in a process of its own, within a limit; what it has measured by then is kept, whatever becomes of it.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench.figures import Entry, Failure, Figure, Scale, append_entry, read_entries
from bench.machine import describe_machine, load_average
from bench.parts import PARTS, Part
from bench.plots import draw_growth
from bench.report import Run, render

# What a part is given to stop its processes, once its limit is over.
_GRACE_S = 120


def main() -> int:
    """1 where a part failed."""
    options = _parse()
    # An exception here, so that the part under way is told, and stops what it started.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    chosen = [part for part in PARTS if not options.parts or part.name in options.parts]
    options.out.mkdir(parents=True, exist_ok=True)
    about = {"date": options.date, "scale": options.scale.value, **describe_machine()}
    about["load before"] = f"{load_average():.2f}"
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        lines = Path(directory) / "entries.jsonl"
        lines.touch()
        entries: tuple[Entry, ...] = ()
        for part in chosen:
            _run(part, lines, options.scale)
            entries = tuple(read_entries(lines.read_text(encoding="utf-8").splitlines()))
            _write(options.out, options.scale, Run(about, tuple(part.name for part in PARTS), entries))
    print((options.out / f"{options.scale}.md").read_text(encoding="utf-8"))
    return int(any(isinstance(entry, Failure) for entry in entries))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of: {', '.join(part.name for part in PARTS)}; all if none")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    parser.add_argument("--scale", type=Scale, choices=list(Scale), default=Scale.FULL)
    parser.add_argument("--date", required=True, help="the day of the run, for its record")
    options = parser.parse_args()
    unknown = set(options.parts) - {part.name for part in PARTS}
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return options


def _run(part: Part, lines: Path, scale: Scale) -> None:
    """Measure one part; what goes wrong is an entry like others."""
    print(f"{part.name} …", flush=True)
    command = [sys.executable, "-m", "bench.part", part.name, "--out", str(lines), "--scale", scale.value]
    # Not subprocess.run: on Ctrl-C or a timeout the part has to be told, and given time to stop what it started.
    with subprocess.Popen(command) as process:
        try:
            status = process.wait(part.limit_s + _GRACE_S)
        except BaseException as error:
            status = _end(process)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
    if status not in (0, 1):
        append_entry(lines, Failure(part.name, f"the process ended with status {status}"))


def _end(process: "subprocess.Popen[bytes]") -> int:
    process.terminate()
    try:
        return process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _write(directory: Path, scale: Scale, run: Run) -> None:
    document = {"about": run.about, "entries": [_plain(entry) for entry in run.entries]}
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (directory / f"{scale}.json").write_text(f"{text}\n", encoding="utf-8")
    (directory / f"{scale}.md").write_text(render(run), encoding="utf-8")
    plot = draw_growth(run.entries)
    if plot:
        (directory / f"{scale}.svg").write_text(plot, encoding="utf-8")


def _plain(entry: Entry) -> dict[str, object]:
    shown = asdict(entry)
    if isinstance(entry, Figure) and entry.target is not None:
        shown["reached"] = entry.target.is_reached(entry.value)
    return shown


if __name__ == "__main__":
    sys.exit(main())
