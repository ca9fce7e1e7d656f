"""Grafana's own alert rules, provisioned: what people leave lying. What models and pipeline do is told by the controller
and by Prometheus; a rule here asks the store, where both leave their traces.

No text has a dollar sign: Grafana would look for an environment variable.
"""

from blocks import CLICKHOUSE, Json

RUNBOOK = "deploy/README.md"

# (name, summary, for, severity, query: the first column labels, the last is the number that must not be above zero)
_RULES = (
    (
        "DriftsondeProposalWaits",
        "{{ .Labels.model }}: {{ .Labels.kind }} waits for a person since more than four hours",
        "5m",
        "warning",
        """
        SELECT model, kind, toFloat64(count()) AS waiting
        FROM
        (
            SELECT id, any(model) AS model, any(kind) AS kind, min(timestamp) AS since
            FROM decisions GROUP BY id HAVING max(step = 'proposed') AND NOT max(step != 'proposed')
        )
        WHERE since < now() - INTERVAL 4 HOUR
        GROUP BY model, kind
        """,
    ),
    (
        "DriftsondeIncidentUnacknowledged",
        "{{ .Labels.model }}: nobody has looked at an incident for four hours",
        "5m",
        "warning",
        """
        SELECT model, toFloat64(count()) AS incidents
        FROM incident_times
        WHERE resolved IS NULL AND acknowledged IS NULL AND opened < now() - INTERVAL 4 HOUR
        GROUP BY model
        """,
    ),
    (
        "DriftsondeModelSilent",
        "{{ .Labels.model }} has not been judged for a day",
        "15m",
        "warning",
        """
        SELECT model, dateDiff('hour', max(window_end), now()) / 24. AS days
        FROM metrics
        WHERE window_start > now() - INTERVAL 30 DAY
        GROUP BY model
        HAVING days >= 1 AND max(window_end) < now() - INTERVAL 1 DAY - 2 * any(dateDiff('second', window_start, window_end))
        """,
    ),
    (
        "DriftsondeAuditGap",
        "The audit log of {{ .Labels.model }} has gaps",
        "15m",
        "critical",
        """
        SELECT model, toFloat64(max(sequence) - min(sequence) + 1 - uniqExact(sequence)) AS missing
        FROM decisions
        WHERE sequence > 0
        GROUP BY model
        HAVING missing > 0
        """,
    ),
)


def alert_rules() -> Json:
    """One group, as Grafana's alerting provisioning reads it."""
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": "driftsonde",
                "folder": "Driftsonde",
                "interval": "1m",
                "rules": [_rule(*rule) for rule in _RULES],
            }
        ],
    }


def _rule(name: str, summary: str, held: str, severity: str, sql: str) -> Json:
    return {
        "uid": name.lower(),
        "title": name,
        "condition": "above",
        "data": [_query(sql), _above_zero()],
        # Nothing found is what is wanted; a store that is away has an alert of its own, in Prometheus.
        "noDataState": "OK",
        "execErrState": "KeepLast",
        "for": held,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "runbook_url": f"{RUNBOOK}#{name.lower()}"},
    }


def _query(sql: str) -> Json:
    text = "\n".join(line.strip() for line in sql.strip().splitlines())
    model = {"refId": "found", "datasource": CLICKHOUSE, "editorType": "sql", "format": 1, "rawSql": text}
    return {
        "refId": "found",
        "relativeTimeRange": {"from": 3600, "to": 0},
        "datasourceUid": CLICKHOUSE["uid"],
        "model": model,
    }


def _above_zero() -> Json:
    """Of each row of the result: its texts become labels, its number is what is compared."""
    expression = {"type": "__expr__", "uid": "__expr__"}
    return {
        "refId": "above",
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": expression["uid"],
        "model": {
            "refId": "above",
            "type": "threshold",
            "datasource": expression,
            "expression": "found",
            "conditions": [{"evaluator": {"type": "gt", "params": [0]}}],
        },
    }
