-- Experiments are numbered per project: "0" is each project's default, and a whole MLflow store can be imported
-- into a project of its own with its numbers kept.
CREATE TABLE tracking_counters (
    project TEXT NOT NULL PRIMARY KEY,
    last_experiment BIGINT NOT NULL
);

CREATE TABLE experiments (
    project TEXT NOT NULL,
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    -- Null: artifacts are objects of ours, addressed by run and path.
    artifact_location TEXT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (project, number),
    -- A deleted experiment keeps its name: it can come back.
    UNIQUE (project, name)
);

CREATE INDEX experiments_by_age ON experiments (project, created_at, number);

CREATE TABLE experiment_tags (
    project TEXT NOT NULL,
    experiment BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (project, experiment, key)
) WITHOUT ROWID;

-- `key` is the ledger's sequence number of the event that created the run: small, ordered by age, never used twice,
-- and unique among everything that is born with an event. All that hangs on a run refers to it by this key.
CREATE TABLE runs (
    key INTEGER NOT NULL PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    experiment BIGINT NOT NULL,
    name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE INDEX runs_by_start ON runs (project, experiment, started_at DESC, run_id);

CREATE TABLE run_params (
    run BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;

CREATE TABLE run_tags (
    run BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;

-- One row per metric of a run: its latest point, and the number under which its points are kept.
-- `special` is 0 for an ordinary value, 1 for NaN (value 0), 2 and 3 for the infinities (value +-f64::MAX).
CREATE TABLE run_metrics (
    run BIGINT NOT NULL,
    key TEXT NOT NULL,
    series BIGINT NOT NULL,
    value REAL NOT NULL,
    special INTEGER NOT NULL,
    step BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (run, key),
    UNIQUE (run, series)
) WITHOUT ROWID;

-- The order of the key is the order of a metric's history; an exact duplicate is one point.
CREATE TABLE metric_points (
    run BIGINT NOT NULL,
    series BIGINT NOT NULL,
    at BIGINT NOT NULL,
    step BIGINT NOT NULL,
    value REAL NOT NULL,
    special INTEGER NOT NULL,
    PRIMARY KEY (run, series, at, step, value, special)
) WITHOUT ROWID;

-- A dataset as an experiment knows it: by name and digest, as in MLflow; `version` when it is a version of ours.
CREATE TABLE experiment_datasets (
    project TEXT NOT NULL,
    experiment BIGINT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    version BIGINT,
    source_type TEXT NOT NULL,
    source TEXT NOT NULL,
    dataset_schema TEXT,
    profile TEXT,
    PRIMARY KEY (project, experiment, name, digest)
);

CREATE TABLE run_datasets (
    run BIGINT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    context TEXT NOT NULL,
    tags TEXT NOT NULL,
    PRIMARY KEY (run, name, digest, context)
) WITHOUT ROWID;

CREATE INDEX run_datasets_by_dataset ON run_datasets (name, digest, run);

-- Versions of registered models that a run used ("input") or made ("output").
CREATE TABLE run_model_versions (
    run BIGINT NOT NULL,
    direction TEXT NOT NULL,
    model TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (run, direction, model, version)
) WITHOUT ROWID;

CREATE INDEX run_model_versions_by_model ON run_model_versions (model, version, direction, run);

-- One document per run; the columns beside it are what is searched for and what the object collector must see.
CREATE TABLE run_provenance (
    run INTEGER NOT NULL PRIMARY KEY,
    format INTEGER NOT NULL,
    document TEXT NOT NULL,
    code_commit TEXT,
    code_diff TEXT,
    package_lock TEXT,
    recorded_at BIGINT NOT NULL
);

CREATE INDEX run_provenance_by_commit ON run_provenance (code_commit, run);
CREATE INDEX run_provenance_by_diff ON run_provenance (code_diff);
CREATE INDEX run_provenance_by_lock ON run_provenance (package_lock);

-- A tree of names per owner (a run's key): one row per file and per folder, so that a level is one range of the key.
-- A folder has no hash.
CREATE TABLE artifacts (
    owner BIGINT NOT NULL,
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    hash TEXT,
    size BIGINT NOT NULL,
    written_at BIGINT NOT NULL,
    PRIMARY KEY (owner, folder, name)
) WITHOUT ROWID;

CREATE INDEX artifacts_by_hash ON artifacts (hash);
