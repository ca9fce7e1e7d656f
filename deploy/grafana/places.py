"""Where dashboards lead: to the console and to an incident; and the marks that all of them share."""

from blocks import Json, address, annotation, link, override

# Where docker-compose.yml has the controller; whoever has it elsewhere writes that into the field above the dashboard.
CONSOLE = address("console", "Console", "http://127.0.0.1:8080")

INCIDENT = override(
    "incident", links=[{"title": "Open the incident", "url": "${console:raw}/incidents/${__value.text}"}]
)

# Beside signals: which incident each belongs to, "" where it led to none.
INCIDENT_OF_SIGNAL = """
LEFT ANY JOIN (SELECT signal AS id, any(incident) AS incident FROM decisions WHERE signal != '' GROUP BY signal) AS led
USING (id)
"""

_DEPLOYMENTS = """
SELECT timestamp AS time, concat(model, ': ', kind) AS title, JSONExtractString(detail, 'reason') AS text, kind AS tags
FROM decisions FINAL
WHERE kind IN ('rollout', 'promote', 'rollback', 'traffic') AND JSONHas(detail, 'traffic') AND {filter}
    AND step IN ('decided', 'approved') AND $__timeFilter(timestamp)
ORDER BY time
"""
DEPLOYMENTS = annotation("Deployments", "blue", _DEPLOYMENTS.format(filter="model = ${model:sqlstring}"))
DEPLOYMENTS_OF_ALL = annotation("Deployments", "blue", _DEPLOYMENTS.format(filter="model != '*'"))


def signal_marks(where: str) -> Json:
    """Marks of the signals that are about these rows."""
    return annotation(
        "Signals",
        "red",
        f"""
        SELECT window_end AS time, concat(kind, ': ', rule) AS title, summary AS text, kind AS tags
        FROM signals FINAL
        WHERE {where} AND $__timeFilter(window_end)
        ORDER BY time
        """,
    )


def to_console(path: str) -> Json:
    """A link to one of the console's pages."""
    return link("Console", "${console:raw}" + path, icon="external link")
