"""Pages as HTML: the templates of the console over those of the report. Everything but drawings is escaped."""

from importlib import resources

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from driftsonde.console.texts import health_text
from driftsonde.report.formats import name_of
from driftsonde.report.segments import SHOWN_SEGMENTS
from driftsonde.report.timeline import SHOWN_SIGNALS

# The one page that is not the console's own; it wants filters that the console has not.
_REPORT = "report.html"


def environment() -> Environment:
    """One for the life of the process: templates are compiled once."""
    made = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("driftsonde", "console/templates"),
                PackageLoader("driftsonde", "report/templates"),
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(metric_name=name_of, health=health_text)
    made.globals.update(shown_signals=SHOWN_SIGNALS, shown_segments=SHOWN_SEGMENTS)
    return made


def compiled() -> Environment:
    """One whose templates are compiled already, so that the first visitor does not wait for it."""
    made = environment()
    for name in made.list_templates(filter_func=lambda name: name.endswith(".html") and name != _REPORT):
        made.get_template(name)
    return made


def files() -> dict[str, tuple[str, str]]:
    """What the pages load from this server: content and media type by name."""
    package = resources.files("driftsonde")
    look, more, script, icon = (
        (package / place).read_text(encoding="utf-8")
        for place in (
            "report/templates/style.css",
            "console/templates/console.css",
            "console/templates/live.js",
            "console/templates/icon.svg",
        )
    )
    return {
        "style.css": (look + more, "text/css"),
        # A story brings the report's look along.
        "console.css": (more, "text/css"),
        "live.js": (script, "text/javascript"),
        "icon.svg": (icon, "image/svg+xml"),
    }
