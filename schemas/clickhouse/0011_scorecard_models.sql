-- The scorecard by model, as GET /v1/scorecard has it, and which versions have left.

-- One row for each split that was set.
CREATE OR REPLACE VIEW splits AS
SELECT
    model,
    JSONExtractUInt(detail, 'traffic', 'revision') AS revision,
    timestamp,
    id AS decision,
    arrayMap(share -> JSONExtractString(share, 'version'), JSONExtractArrayRaw(detail, 'traffic', 'split')) AS versions,
    JSONExtractString(
        arrayFirst(share -> JSONExtractString(share, 'variant') = 'champion', JSONExtractArrayRaw(detail, 'traffic', 'split')),
        'version') AS champion,
    kind = 'rollback' OR JSONExtractString(detail, 'rollout', 'status') = 'rolled-back' AS taken_back
FROM decisions FINAL
WHERE JSONHas(detail, 'traffic');

-- Versions that a split has named and the newest does not: they serve no longer, and what was said of them is over.
CREATE OR REPLACE VIEW departed_versions AS
SELECT model, arrayJoin(arrayFilter(version -> NOT has(serving, version), named)) AS version
FROM
(
    SELECT model, groupUniqArrayArray(versions) AS named, argMax(versions, revision) AS serving
    FROM splits
    GROUP BY model
);

-- One row for each version that took another one's place as champion; not for one that got its place back.
CREATE OR REPLACE VIEW deployments AS
SELECT
    model,
    version,
    if(was_registered > 0, fromUnixTimestamp64Milli(registered_ms), first_named) AS registered,
    production,
    greatest(0, dateDiff('millisecond', registered, production)) / 1000 AS took_s
FROM
(
    SELECT model, champion AS version, timestamp AS production
    FROM (SELECT *, lagInFrame(champion) OVER (PARTITION BY model ORDER BY revision) AS before FROM splits)
    WHERE before != '' AND champion != before AND NOT taken_back
) AS changes
LEFT JOIN
(
    SELECT
        model,
        version,
        countIf(registered_at > 0) AS was_registered,
        argMinIf(registered_at, at, registered_at > 0) AS registered_ms,
        minIf(at, registered_at = 0) AS first_named
    FROM
    (
        SELECT model, version, timestamp AS at, JSONExtractInt(detail, 'registration', 'at_ms') AS registered_at
        FROM decisions FINAL
        WHERE kind = 'register' AND version != ''
        UNION ALL
        SELECT model, arrayJoin(versions) AS version, timestamp AS at, 0 AS registered_at FROM splits
    )
    GROUP BY model, version
) AS known USING (model, version);

CREATE OR REPLACE VIEW scorecard_deployments AS
SELECT
    model,
    toStartOfMonth(production) AS month,
    count() AS deployments,
    quantileExactLow(0.5)(took_s) AS deploy_s
FROM deployments
GROUP BY model, month;

-- One row for each incident; of one that opened again the newest opening counts. A time is null where it has not come.
CREATE OR REPLACE VIEW incident_times AS
SELECT
    incident,
    model,
    any(version) AS version,
    max(opened_at) AS opened,
    minOrNullIf(timestamp, change = 'acknowledged' AND timestamp >= opened_at) AS acknowledged,
    maxOrNullIf(timestamp, change = 'resolved' AND timestamp >= opened_at) AS resolved,
    countIf(kind = 'false-alarm' AND timestamp >= opened_at) > 0 AS false_alarm,
    fromUnixTimestamp64Milli(argMaxIf(JSONExtractInt(detail, 'signal', 'since_ms'), timestamp, change = 'opened')) AS since
FROM
(
    SELECT
        *,
        JSONExtractString(detail, 'change') AS change,
        maxIf(timestamp, JSONExtractString(detail, 'change') = 'opened') OVER (PARTITION BY model, incident) AS opened_at
    FROM decisions FINAL
    WHERE incident != '' AND JSONExtractString(detail, 'change') != ''
)
GROUP BY incident, model
HAVING countIf(change = 'opened') > 0;

-- One row for each retraining that was set going, with what it cost by the policy of then.
CREATE OR REPLACE VIEW retrainings AS
SELECT
    id AS decision,
    model,
    minIf(timestamp, step IN ('decided', 'approved')) AS began,
    maxIf(JSONExtractFloat(detail, 'cost'), step IN ('decided', 'approved')) AS cost,
    argMax(step, (timestamp, sequence)) AS last_step
FROM decisions FINAL
WHERE kind = 'retrain'
GROUP BY id, model
HAVING countIf(step IN ('decided', 'approved')) > 0 AND NOT (countIf(step = 'failed') > 0 AND countIf(step = 'started') = 0);

-- One row for each model and month: what was done, and what retrainings cost. near_misses: versions taken back before they
-- were champion.
CREATE OR REPLACE VIEW scorecard_actions AS
SELECT
    model,
    toStartOfMonth(timestamp) AS month,
    uniqExactIf(id, kind = 'retrain' AND step IN ('decided', 'approved')) AS retrainings,
    uniqExactIf(id, kind = 'retrain' AND step = 'failed') AS retrainings_failed,
    sumIf(JSONExtractFloat(detail, 'cost'), kind = 'retrain' AND (model, id) IN (SELECT model, decision FROM retrainings)) AS retrain_cost,
    uniqExactIf(id, kind = 'rollback' AND step = 'performed' AND (model, id) NOT IN (
        SELECT model, id FROM decisions WHERE kind = 'rollback' AND JSONExtractString(detail, 'signal', 'variant') = 'champion'
    )) AS near_misses,
    uniqExactIf(id, JSONExtractString(detail, 'rollout', 'status') = 'promoted') AS promotions,
    uniqExactIf(id, actor != 'controller') AS by_people
FROM decisions FINAL
GROUP BY model, month;

-- One row for each registered model, of the period from `since` on, with a service level in seconds:
--   SELECT * FROM scorecard_models(since = '2026-01-01', acknowledge_s = 3600, resolve_s = 86400)
-- within_sla: all of its incidents were acknowledged or over in the one time, and over in the other.
CREATE OR REPLACE VIEW scorecard_models AS
SELECT
    models.model AS model,
    models.owner AS owner,
    models.value_unit AS value_unit,
    versions.versions AS versions,
    versions.with_lineage AS versions_with_lineage,
    incidents.incidents AS incidents,
    incidents.broken = 0 AS within_sla,
    trained.retrainings AS retrainings,
    trained.cost AS retrain_cost,
    models.retrain_budget AS retrain_budget
FROM
(
    SELECT
        model,
        argMax(JSONExtractString(detail, 'registration', 'spec'), (timestamp, sequence)) AS spec,
        JSONExtractString(spec, 'owner') AS owner,
        JSONExtractString(spec, 'value_unit') AS value_unit,
        JSONExtractFloat(spec, 'policy', 'actions', 'retrain_budget') AS retrain_budget
    FROM decisions FINAL
    WHERE kind = 'register' AND version = ''
    GROUP BY model
) AS models
LEFT JOIN
(
    SELECT model, count() AS versions, countIf(named) AS with_lineage
    FROM
    (
        SELECT
            model,
            version,
            argMax(detail, (timestamp, sequence)) AS newest,
            JSONExtractString(newest, 'registration', 'lineage', 'fingerprint') != ''
                AND NOT JSONExtractBool(newest, 'registration', 'lineage', 'provisional') AS named
        FROM decisions FINAL
        WHERE kind = 'register' AND version != ''
        GROUP BY model, version
    )
    GROUP BY model
) AS versions ON versions.model = models.model
LEFT JOIN
(
    SELECT
        model,
        count() AS incidents,
        countIf(
            dateDiff('millisecond', opened, least(coalesce(acknowledged, now64(3)), coalesce(resolved, now64(3))))
                > 1000 * {acknowledge_s:UInt64}
            OR dateDiff('millisecond', opened, coalesce(resolved, now64(3))) > 1000 * {resolve_s:UInt64}) AS broken
    FROM incident_times
    WHERE opened >= {since:DateTime64(3, 'UTC')}
    GROUP BY model
) AS incidents ON incidents.model = models.model
LEFT JOIN
(
    SELECT model, count() AS retrainings, sum(cost) AS cost
    FROM retrainings
    WHERE began >= {since:DateTime64(3, 'UTC')}
    GROUP BY model
) AS trained ON trained.model = models.model;
