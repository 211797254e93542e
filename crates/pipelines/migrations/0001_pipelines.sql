-- Project documents that runs were started from, by the hash of their one spelling.
CREATE TABLE pipeline_projects (
    hash TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
);

CREATE TABLE pipeline_runs (
    id TEXT NOT NULL PRIMARY KEY,
    project TEXT NOT NULL,
    definition TEXT NOT NULL,
    workspace TEXT NOT NULL,
    request TEXT NOT NULL,
    actor TEXT NOT NULL,
    state TEXT NOT NULL,
    cancel_by TEXT,
    tracked_run TEXT,
    error TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT
);
CREATE INDEX pipeline_runs_project ON pipeline_runs (project, id);
CREATE INDEX pipeline_runs_state ON pipeline_runs (state, id);

CREATE TABLE pipeline_stages (
    run TEXT NOT NULL,
    stage TEXT NOT NULL,
    place INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    -- The fencing token of the lease under which the last attempt started, and who held it.
    token BIGINT NOT NULL,
    worker TEXT,
    cache_key TEXT,
    reason TEXT,
    tracked_run TEXT,
    outs TEXT,
    log TEXT,
    log_size BIGINT,
    exit_code INTEGER,
    exit_signal INTEGER,
    error TEXT,
    error_code TEXT,
    hint TEXT,
    started_at BIGINT,
    finished_at BIGINT,
    elapsed_ms BIGINT,
    PRIMARY KEY (run, stage)
);

-- Inputs seen before, and the outs they gave.
CREATE TABLE pipeline_cache (
    project TEXT NOT NULL,
    key TEXT NOT NULL,
    stage TEXT NOT NULL,
    run TEXT NOT NULL,
    tracked_run TEXT,
    outs TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (project, key)
);

-- The last inputs of each stage: to decide an unchanged stage at once, and to say what changed.
CREATE TABLE pipeline_heads (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    key TEXT NOT NULL,
    inputs TEXT NOT NULL,
    PRIMARY KEY (project, stage)
);

-- Hashes of files that still look as they did when they were read.
CREATE TABLE pipeline_files (
    path TEXT NOT NULL PRIMARY KEY,
    size BIGINT NOT NULL,
    modified_ns BIGINT NOT NULL,
    changed_ns BIGINT NOT NULL,
    inode BIGINT NOT NULL,
    executable INTEGER NOT NULL,
    hash TEXT NOT NULL
);
