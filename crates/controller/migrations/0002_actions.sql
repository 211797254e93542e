-- Pipeline runs that triggers started, of which nothing is released.
CREATE TABLE trigger_runs (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- queued | running | done
    state TEXT NOT NULL,
    pipeline_run TEXT,
    started_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project, id)
);

CREATE INDEX trigger_runs_state ON trigger_runs (project, state);

-- Commits that a branch was seen at: each once.
CREATE TABLE git_pushes (
    project TEXT NOT NULL,
    branch TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    -- The event's place in the ledger.
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (project, branch, commit_id)
);

CREATE INDEX git_pushes_newest ON git_pushes (project, branch, seq);
