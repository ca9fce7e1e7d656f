-- One row for each incident that people were told of: one of a model's learning period is left out, until the period is over
-- and the incident is not. Of one that opened again the newest life counts, each from its first opening that people were told of; a
-- time is null where it has not come. A false alarm may be called one after it has ended.
CREATE OR REPLACE VIEW incident_times AS
SELECT incident, model, version, opened, acknowledged, resolved, false_alarm, since
FROM
(
    SELECT
        incident,
        model,
        life,
        any(version) AS version,
        countIf(change = 'opened' AND NOT learning) AS told,
        minIf(timestamp, change = 'opened' AND NOT learning) AS opened,
        minOrNullIf(timestamp, change = 'acknowledged') AS acknowledged,
        maxOrNullIf(timestamp, change = 'resolved') AS resolved,
        any(called_at) >= minIf(timestamp, change = 'opened') AS false_alarm,
        fromUnixTimestamp64Milli(minIf(JSONExtractInt(detail, 'signal', 'since_ms'), JSONHas(detail, 'signal'))) AS since
    FROM
    (
        SELECT
            *,
            JSONExtractString(detail, 'change') AS change,
            JSONExtractInt(detail, 'learning_until_ms') > 0 AS learning,
            countIf(change = 'resolved') OVER (
                PARTITION BY model, incident ORDER BY timestamp, sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS life,
            maxIf(timestamp, kind = 'false-alarm') OVER (PARTITION BY model, incident) AS called_at
        FROM decisions FINAL
        WHERE incident != '' AND JSONExtractString(detail, 'change') != ''
    )
    GROUP BY incident, model, life
    HAVING countIf(change = 'opened') > 0
    ORDER BY life DESC
    LIMIT 1 BY incident, model
)
WHERE told > 0;
