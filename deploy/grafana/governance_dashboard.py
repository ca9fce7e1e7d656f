"""Who decided what, whether the record is whole, and what it says for the business: decisions, audit, scorecard."""

from blocks import (
    RED,
    YELLOW,
    Json,
    Panel,
    dashboard,
    override,
    series,
    series_sql,
    stat,
    table,
    table_sql,
    thresholds,
    variable,
)
from places import CONSOLE, DEPLOYMENTS_OF_ALL, INCIDENT, to_console

ALL = "all models"
MODEL = f"(${{model:sqlstring}} = '{ALL}' OR model = ${{model:sqlstring}})"

# The chain of a model's decisions is whole if their places in it run from the first to the last without a gap, and each
# names the hash of the one before. Decisions without a place were written before there was a chain.
CHAINS = f"""
SELECT
    model,
    count() AS links,
    max(sequence) - min(sequence) + 1 - uniqExact(sequence) AS missing,
    countIf(before != '' AND previous != before) AS broken,
    max(timestamp) AS newest
FROM
(
    SELECT model, sequence, previous, timestamp,
        lagInFrame(hash) OVER (PARTITION BY model ORDER BY sequence ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before
    FROM decisions FINAL
    WHERE sequence > 0 AND {MODEL}
)
GROUP BY model
"""


def governance() -> Json:
    return dashboard(
        "driftsonde-governance",
        "Driftsonde / Governance",
        "Decisions, the audit log, and the scorecard.",
        [
            [_waiting(), _switches(), _audit_sum(), _refusals()],
            [_by_kind(), _by_people()],
            [_proposals()],
            [_decisions()],
            [_scorecard(), _actions()],
            [_audit()],
        ],
        variables=[
            variable(
                "model",
                "Model",
                f"SELECT '{ALL}' AS model UNION ALL SELECT model FROM"
                " (SELECT DISTINCT model FROM decisions WHERE $__timeFilter(timestamp) ORDER BY model)",
            ),
            CONSOLE,
        ],
        annotations=[DEPLOYMENTS_OF_ALL],
        links=[to_console("/decisions")],
        time_from="now-30d",
    )


def _waiting() -> Panel:
    return stat(
        "Waiting for a person",
        table_sql(
            f"""
            SELECT countIf(proposed AND NOT settled) AS proposals
            FROM
            (
                SELECT id, max(step = 'proposed') AS proposed, max(step != 'proposed') AS settled
                FROM decisions
                WHERE {MODEL}
                GROUP BY id
            )
            """
        ),
        steps=thresholds((1, YELLOW)),
    )


def _switches() -> Panel:
    return stat(
        "Automation stopped",
        table_sql(
            f"""
            SELECT countIf(switch = 'stopped') AS stopped
            FROM
            (
                SELECT model, argMax(JSONExtractString(detail, 'switch'), (timestamp, sequence)) AS switch
                FROM decisions
                WHERE kind = 'automation' AND ({MODEL} OR model = '*')
                GROUP BY model
            )
            """
        ),
        steps=thresholds((1, RED)),
        description="Of how many models, all of them together counting as one.",
    )


def _audit_sum() -> Panel:
    return stat(
        "Audit log: links missing or broken",
        table_sql(f"SELECT sum(missing) AS missing, sum(broken) AS broken FROM ({CHAINS})"),
        steps=thresholds((1, RED)),
        description="`driftsonde audit verify` computes every hash anew; this only looks whether they fit together.",
    )


def _refusals() -> Panel:
    return stat(
        "Refused to people",
        table_sql(
            f"SELECT count() AS refusals FROM decisions FINAL WHERE kind = 'refusal' AND ({MODEL} OR model = '*')"
            " AND $__timeFilter(timestamp)"
        ),
        steps=thresholds((1, YELLOW)),
    )


def _by_kind() -> Panel:
    return series(
        "Decisions a day",
        series_sql(
            f"""
            SELECT toDateTime(toStartOfDay(timestamp), 'UTC') AS time, concat(kind, ' ', step) AS series, toFloat64(count()) AS decisions
            FROM decisions FINAL
            WHERE {MODEL} AND kind NOT IN ('notify', 'refusal') AND $__timeFilter(timestamp)
            GROUP BY time, series
            ORDER BY time, series
            """
        ),
        label="series",
        bars=True,
        low=0,
    )


def _by_people() -> Panel:
    return table(
        "Who decided",
        table_sql(
            f"""
            SELECT actor, count() AS steps, uniqExact(model) AS models, max(timestamp) AS newest
            FROM decisions FINAL
            WHERE {MODEL} AND kind != 'notify' AND $__timeFilter(timestamp)
            GROUP BY actor
            ORDER BY steps DESC
            LIMIT 100
            """
        ),
        w=12,
    )


def _proposals() -> Panel:
    return table(
        "Proposals",
        table_sql(
            f"""
            SELECT
                minIf(timestamp, step = 'proposed') AS proposed,
                any(kind) AS kind, any(model) AS model, any(version) AS version,
                argMax(step, (timestamp, step != 'proposed')) AS state,
                argMaxIf(actor, timestamp, step != 'proposed') AS by,
                dateDiff('minute', proposed, maxIf(timestamp, step IN ('approved', 'rejected', 'expired'))) AS answered_after_min,
                any(incident) AS incident, id
            FROM
            (
                SELECT * FROM decisions FINAL
                WHERE {MODEL} AND id IN (SELECT id FROM decisions WHERE step = 'proposed' AND $__timeFilter(timestamp))
            )
            GROUP BY id
            ORDER BY state = 'proposed' DESC, proposed DESC
            LIMIT 200
            """
        ),
        description="Those that nobody has answered first; their minutes are below zero.",
        overrides=[INCIDENT],
    )


def _decisions() -> Panel:
    return table(
        "Decisions",
        table_sql(
            f"""
            SELECT timestamp, model, version, kind, step, mode, actor, JSONExtractString(detail, 'reason') AS reason,
                incident, policy, sequence, id
            FROM decisions FINAL
            WHERE ({MODEL} OR model = '*') AND kind != 'notify' AND $__timeFilter(timestamp)
            ORDER BY timestamp DESC, sequence DESC, id
            LIMIT 500
            """
        ),
        h=12,
        overrides=[INCIDENT],
    )


def _scorecard() -> Panel:
    return table(
        "Scorecard: incidents by month",
        table_sql(
            f"""
            SELECT month, model, incidents, open_incidents, false_alarms, detect_s, acknowledge_s, resolve_s
            FROM scorecard_incidents
            WHERE {MODEL}
            ORDER BY month DESC, model
            LIMIT 500
            """
        ),
        w=14,
        description="Medians from the onset of what is wrong to its incident, from there to the first person, and to its end.",
        overrides=[override(name, unit="s") for name in ("detect_s", "acknowledge_s", "resolve_s")],
    )


def _actions() -> Panel:
    return table(
        "Scorecard: what was done by month",
        table_sql(
            f"""
            SELECT month, model, retrainings, retrainings_failed, promotions, near_misses, by_people
            FROM scorecard_actions
            WHERE {MODEL}
            ORDER BY month DESC, model
            LIMIT 500
            """
        ),
        w=10,
    )


def _audit() -> Panel:
    return table(
        "The audit log of each model",
        table_sql(
            f"SELECT model, links, missing, broken, newest FROM ({CHAINS}) ORDER BY missing + broken DESC, model"
        ),
        overrides=[
            override(name, thresholds=thresholds((1, RED)), custom__cellOptions={"type": "color-text"})
            for name in ("missing", "broken")
        ],
    )
