"""All models at a glance: which drift, which lose accuracy, what is open."""

from blocks import (
    GREEN,
    RED,
    YELLOW,
    Json,
    dashboard,
    override,
    series,
    series_sql,
    stat,
    table,
    table_sql,
    thresholds,
    values,
)
from places import CONSOLE, DEPLOYMENTS_OF_ALL, INCIDENT, INCIDENT_OF_SIGNAL, to_console
from slices import PSI_STEPS

MODEL_LINK = "/d/driftsonde-model?var-model=${__data.fields.model}&var-version=${__data.fields.version}&var-variant=${__data.fields.variant}&${__url_time_range}"

# Episodes that a signal opened and none resolved, of versions that have not left the split. That a new version is good enough
# opens none.
OPEN_EPISODES = """
SELECT model, version, variant, episode
FROM signals
WHERE kind != 'promote' AND (model, version) NOT IN (SELECT model, version FROM departed_versions)
GROUP BY model, version, variant, episode
HAVING countIf(kind = 'resolve') = 0
"""

MODELS = f"""
SELECT
    model, version, variant,
    multiIf(open_episodes > 0, 'alert', newest_window < now() - INTERVAL 1 DAY, 'silent', 'ok') AS health,
    count() AS windows,
    max(window_end) AS newest_window,
    argMax(psi_max, window_start) AS psi_max,
    argMax(psi_column, window_start) AS psi_column,
    argMax(breaches, window_start) AS breaches,
    argMax(accuracy, window_start) AS accuracy,
    argMax(rmse, window_start) AS rmse,
    argMax(label_coverage, window_start) AS label_coverage,
    any(open_episodes) AS open_episodes
FROM
(
    SELECT
        model, version, variant, window_start,
        max(window_end) AS window_end,
        maxOrNullIf(value, metric = 'psi') AS psi_max,
        argMaxIf(column, value, metric = 'psi') AS psi_column,
        countIf(breached) AS breaches,
        anyOrNullIf(value, metric = 'accuracy') AS accuracy,
        anyOrNullIf(value, metric = 'rmse') AS rmse,
        anyOrNullIf(value, metric = 'label_coverage') AS label_coverage
    FROM current_metrics
    WHERE segment = '' AND $__timeFilter(window_start)
    GROUP BY model, version, variant, window_start
) AS by_window
LEFT JOIN
(
    SELECT model, version, variant, count() AS open_episodes
    FROM ({OPEN_EPISODES})
    GROUP BY model, version, variant
) AS episodes USING (model, version, variant)
GROUP BY model, version, variant
ORDER BY open_episodes DESC, psi_max DESC
"""


def fleet() -> Json:
    return dashboard(
        "driftsonde-fleet",
        "Driftsonde / Fleet",
        "All monitored models: drift, performance, labels, open episodes.",
        [
            [
                stat(
                    "Watched",
                    table_sql(
                        "SELECT uniqExact(model) AS models, uniqExact(model, version) AS versions"
                        " FROM metrics WHERE $__timeFilter(window_start)"
                    ),
                ),
                stat(
                    "Open episodes",
                    table_sql(
                        f"""
                        SELECT uniqExact(model) AS models, count() AS episodes
                        FROM ({OPEN_EPISODES})
                        """
                    ),
                    steps=thresholds((1, RED)),
                    description="What a signal opened and no later window has resolved, of any age.",
                ),
                stat(
                    "Waiting for a person",
                    table_sql(
                        """
                        SELECT countIf(proposed AND NOT settled) AS proposals
                        FROM
                        (
                            SELECT id, max(step = 'proposed') AS proposed, max(step != 'proposed') AS settled
                            FROM decisions
                            GROUP BY id
                        )
                        """
                    ),
                    steps=thresholds((1, YELLOW)),
                    description="Proposals that nobody has approved or rejected yet.",
                ),
                stat(
                    "Dead letters",
                    table_sql(
                        "SELECT uniqExact(source_topic, source_partition, source_offset) AS messages"
                        " FROM dead_letters WHERE $__timeFilter(timestamp)"
                    ),
                    steps=thresholds((1, YELLOW)),
                ),
            ],
            [
                table(
                    "Models",
                    table_sql(MODELS),
                    h=10,
                    description="The newest numbers of the whole model, without segments. Click a model for its dashboard.",
                    overrides=[
                        override(
                            "health",
                            mappings=[values({"alert": RED, "silent": YELLOW, "ok": GREEN})],
                            custom__cellOptions={"type": "color-text"},
                        ),
                        override("model", links=[{"title": "Open ${__value.text}", "url": MODEL_LINK}]),
                        override(
                            "psi_max",
                            decimals=3,
                            thresholds=PSI_STEPS,
                            custom__cellOptions={"type": "color-text"},
                        ),
                        override("accuracy", unit="percentunit", decimals=2),
                        override("label_coverage", unit="percentunit", decimals=1),
                        override("rmse", decimals=4),
                        override(
                            "breaches",
                            thresholds=thresholds((1, RED)),
                            custom__cellOptions={"type": "color-text"},
                        ),
                        override(
                            "open_episodes",
                            thresholds=thresholds((1, RED)),
                            custom__cellOptions={"type": "color-text"},
                        ),
                    ],
                )
            ],
            [
                table(
                    "Open incidents",
                    table_sql(
                        """
                        SELECT opened, model, acknowledged, incident
                        FROM incident_times
                        WHERE resolved IS NULL
                        ORDER BY opened DESC, incident
                        LIMIT 100
                        """
                    ),
                    h=6,
                    description="Of any age. Click an incident for what changed, since when and why.",
                    overrides=[INCIDENT],
                )
            ],
            [
                series(
                    "Largest PSI of any column",
                    series_sql(
                        """
                        SELECT window_start AS time, concat(model, ' ', version, ' ', variant) AS series, max(value) AS psi
                        FROM current_metrics
                        WHERE segment = '' AND metric = 'psi' AND $__timeFilter(window_start)
                        GROUP BY time, series
                        ORDER BY time
                        """
                    ),
                    label="series",
                    low=0,
                ),
                series(
                    "Accuracy",
                    series_sql(
                        """
                        SELECT window_start AS time, concat(model, ' ', version, ' ', variant) AS series, value AS accuracy
                        FROM current_metrics
                        WHERE segment = '' AND metric = 'accuracy' AND $__timeFilter(window_start)
                        ORDER BY time
                        """
                    ),
                    unit="percentunit",
                    label="series",
                    description="As known now. A window is judged once its labels had time to come.",
                ),
            ],
            [
                table(
                    "Newest signals",
                    table_sql(
                        f"""
                        SELECT window_end, kind, rule, model, version, variant, segment, summary, incident
                        FROM (SELECT * FROM signals FINAL) AS said
                        {INCIDENT_OF_SIGNAL}
                        WHERE $__timeFilter(window_end)
                        ORDER BY window_end DESC, id
                        LIMIT 100
                        """
                    ),
                    overrides=[INCIDENT],
                )
            ],
        ],
        variables=[CONSOLE],
        annotations=[DEPLOYMENTS_OF_ALL],
        links=[to_console("/")],
    )
