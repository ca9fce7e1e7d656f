-- Numbers for the business, over as long as the decisions are kept (GET /v1/scorecard has the last days).
-- One row for each incident, from its first opening to its last end; a time is null where it has not come.
CREATE OR REPLACE VIEW incident_times AS
SELECT
    incident,
    model,
    any(version) AS version,
    minIf(timestamp, change = 'opened') AS opened,
    minOrNullIf(timestamp, change = 'acknowledged') AS acknowledged,
    if(argMax(change, (timestamp, change = 'resolved')) = 'resolved', maxIf(timestamp, change = 'resolved'), NULL) AS resolved,
    countIf(kind = 'false-alarm') > 0 AS false_alarm,
    fromUnixTimestamp64Milli(minIf(JSONExtractInt(detail, 'signal', 'since_ms'), JSONHas(detail, 'signal'))) AS since
FROM
(
    SELECT *, JSONExtractString(detail, 'change') AS change
    FROM decisions FINAL
    WHERE incident != '' AND JSONExtractString(detail, 'change') != ''
)
GROUP BY incident, model
HAVING countIf(change = 'opened') > 0;

-- One row for each model and month: medians in seconds, null without any.
CREATE OR REPLACE VIEW scorecard_incidents AS
SELECT
    model,
    toStartOfMonth(opened) AS month,
    count() AS incidents,
    countIf(resolved IS NULL) AS open_incidents,
    countIf(false_alarm) AS false_alarms,
    quantileExactLowOrNull(0.5)(greatest(0, dateDiff('second', since, opened))) AS detect_s,
    quantileExactLowOrNull(0.5)(dateDiff('second', opened, acknowledged)) AS acknowledge_s,
    quantileExactLowOrNull(0.5)(dateDiff('second', opened, resolved)) AS resolve_s
FROM incident_times
GROUP BY model, month;

-- One row for each model and month: what was done. near_misses: versions taken back before they were champion.
CREATE OR REPLACE VIEW scorecard_actions AS
SELECT
    model,
    toStartOfMonth(timestamp) AS month,
    uniqExactIf(id, kind = 'retrain' AND step IN ('decided', 'approved')) AS retrainings,
    uniqExactIf(id, kind = 'retrain' AND step = 'failed') AS retrainings_failed,
    uniqExactIf(id, kind = 'rollback' AND step = 'performed') AS near_misses,
    uniqExactIf(id, JSONExtractString(detail, 'rollout', 'status') = 'promoted') AS promotions,
    uniqExactIf(id, actor != 'controller') AS by_people
FROM decisions FINAL
GROUP BY model, month;
