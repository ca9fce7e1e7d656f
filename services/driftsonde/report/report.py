"""From a directory of result files to `report.html`."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from driftsonde.report.drift import detailed, rank_columns, wanted_windows
from driftsonde.report.formats import format_bytes, name_of
from driftsonde.report.page import Page, build_page
from driftsonde.report.reading import read_counts, read_results
from driftsonde.report.segments import SHOWN_SEGMENTS
from driftsonde.report.timeline import SHOWN_SIGNALS

REPORT = "report.html"


def write_report(directory: Path) -> Path:
    """Read the result files of a replay or a demo, write the page beside them and return its path.

    The same files give the same bytes. Raises `InvalidResults` for a file that is missing or broken, OSError.
    """
    results = read_results(directory)
    counts = read_counts(directory, wanted_windows(results, detailed(rank_columns(results))))
    path = directory / REPORT
    path.write_text(render(build_page(results, counts)), encoding="utf-8", newline="\n")
    return path


def render(page: Page) -> str:
    """The page as HTML. Everything but the drawings is escaped by the template."""
    environment = Environment(
        loader=PackageLoader("driftsonde", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., str]] = {"bytes": format_bytes, "metric_name": name_of}
    environment.filters.update(filters)
    return environment.get_template("report.html").render(
        page=page, shown_signals=SHOWN_SIGNALS, shown_segments=SHOWN_SEGMENTS
    )
