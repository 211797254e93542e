//! What must hold in the database of a server that was stopped with nothing under way: each law is a query for what
//! breaks it.

/// A law, and a query for texts that name what breaks it.
pub type Law = (&'static str, &'static str);

pub const LAWS: &[Law] = &[
    (
        "every pipeline run ends",
        "SELECT id AS text FROM pipeline_runs WHERE state NOT IN ('succeeded', 'failed', 'cancelled')",
    ),
    (
        "the end of a run is one row of the ledger",
        "SELECT r.id AS text FROM pipeline_runs r WHERE 1 <> (SELECT COUNT(*) FROM ledger_events e
         WHERE e.kind = 'pipeline.finished' AND e.subject = 'pipeline:' || r.id)",
    ),
    (
        "the stages of a run end with it",
        "SELECT s.run || '/' || s.stage AS text FROM pipeline_stages s WHERE s.state IN ('pending', 'running')",
    ),
    (
        "a run succeeds when all its stages do",
        "SELECT r.id AS text FROM pipeline_runs r WHERE r.state = 'succeeded' AND EXISTS (SELECT 1
         FROM pipeline_stages s WHERE s.run = r.id AND s.state NOT IN ('succeeded', 'cached'))",
    ),
    (
        "a stage that succeeded is one row of the ledger",
        "SELECT s.run || '/' || s.stage AS text FROM pipeline_stages s WHERE s.state = 'succeeded' AND 1 <> (
         SELECT COUNT(*) FROM ledger_events e
         WHERE e.kind = 'stage.finished' AND e.subject = 'pipeline:' || s.run || '/' || s.stage)",
    ),
    (
        "a stage ends once",
        "SELECT subject AS text FROM ledger_events WHERE kind = 'stage.finished' GROUP BY subject
         HAVING COUNT(*) > 1",
    ),
    (
        "tracked runs end",
        "SELECT run_id AS text FROM runs WHERE ended_at IS NULL",
    ),
    (
        "a run is registered once",
        "SELECT source AS text FROM model_versions GROUP BY source HAVING COUNT(*) > 1",
    ),
    (
        "versions of a model have no gaps",
        "SELECT m.name AS text FROM models m WHERE m.last_version <> (SELECT COUNT(*) FROM model_versions v
         WHERE v.model = m.key)",
    ),
    (
        "a version of a model is one row of the ledger, and ready once",
        "SELECT 'version ' || CAST(v.version AS TEXT) AS text FROM model_versions v JOIN models m ON m.key = v.model
         WHERE 1 <> (SELECT COUNT(*) FROM ledger_events e WHERE e.kind = 'model.version'
            AND e.subject = 'model:' || m.name || '@' || CAST(v.version AS TEXT))
         OR 1 <> (SELECT COUNT(*) FROM ledger_events e WHERE e.kind = 'model.version.ready'
            AND e.subject = 'model:' || m.name || '@' || CAST(v.version AS TEXT))",
    ),
    (
        "a move of an alias is one row of the ledger",
        "SELECT 'move ' || CAST(a.seq AS TEXT) AS text FROM model_aliases a WHERE NOT EXISTS (SELECT 1
         FROM ledger_events e WHERE e.kind = 'alias.moved' AND e.seq = a.seq)
         UNION ALL SELECT 'row ' || CAST(e.seq AS TEXT) AS text FROM ledger_events e WHERE e.kind = 'alias.moved'
         AND NOT EXISTS (SELECT 1 FROM model_aliases a WHERE e.seq = a.seq)",
    ),
    (
        "a move of an alias has a decision of its own",
        "SELECT COALESCE(a.decision, 'none') AS text FROM model_aliases a GROUP BY a.decision
         HAVING COUNT(*) > 1 OR a.decision IS NULL
         UNION ALL SELECT a.decision AS text FROM model_aliases a WHERE a.decision IS NOT NULL AND NOT EXISTS (
         SELECT 1 FROM decisions d WHERE d.id = a.decision)",
    ),
    (
        "decisions are in the ledger, one row each",
        "SELECT 'decisions' AS text FROM ledger_counter WHERE (SELECT COUNT(*) FROM decisions)
         <> (SELECT COUNT(*) FROM ledger_events WHERE kind = 'decision')",
    ),
    (
        "retrainings end",
        "SELECT id AS text FROM retrainings WHERE state <> 'done'",
    ),
    (
        "a retraining starts once and ends once",
        "SELECT r.id AS text FROM retrainings r WHERE 1 <> (SELECT COUNT(*) FROM ledger_events e
            WHERE e.kind = 'retraining.started' AND e.subject = 'retraining:' || r.id)
         OR 1 <> (SELECT COUNT(*) FROM ledger_events e
            WHERE e.kind = 'retraining.finished' AND e.subject = 'retraining:' || r.id)",
    ),
    (
        "a retraining has a pipeline run of its own",
        "SELECT pipeline_run AS text FROM retrainings WHERE pipeline_run IS NOT NULL GROUP BY pipeline_run
         HAVING COUNT(*) > 1",
    ),
    (
        "a promotion has one decision",
        "SELECT 'promotions' AS text FROM ledger_counter WHERE (SELECT COUNT(*) FROM decisions
         WHERE kind = 'promotion') <> (SELECT COUNT(*) FROM retrainings WHERE outcome = 'promoted')",
    ),
    (
        "a version that is released past its gates has one decision that says so",
        "SELECT r.id AS text FROM retrainings r WHERE r.reason LIKE '%\"past_gates\":true%' AND 1 <> (
         SELECT COUNT(*) FROM decisions d WHERE d.outcome = 'overruled'
         AND d.evidence LIKE '%' || r.id || '%')",
    ),
    (
        "rollouts end",
        "SELECT id AS text FROM rollouts WHERE state = 'running'",
    ),
    (
        "the champion answers everything",
        "SELECT r.endpoint || ' is answered by ' || CAST(r.version AS TEXT) AS text FROM endpoint_routes r
         WHERE r.weight <> 10000 OR NOT EXISTS (SELECT 1 FROM model_aliases a
         WHERE a.alias = 'champion' AND a.valid_to IS NULL AND a.version = r.version)",
    ),
    (
        "versions of a dataset have no gaps",
        "SELECT name AS text FROM dataset_versions GROUP BY project, name HAVING COUNT(*) <> MAX(number)",
    ),
    (
        "a version of a dataset is one row of the ledger",
        "SELECT v.name || '@' || CAST(v.number AS TEXT) AS text FROM dataset_versions v WHERE 1 <> (
         SELECT COUNT(*) FROM ledger_events e WHERE e.kind = 'dataset.version'
         AND e.subject = 'dataset:' || v.name || '@' || CAST(v.number AS TEXT))",
    ),
];
