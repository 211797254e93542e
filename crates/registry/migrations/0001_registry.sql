-- `key` is the ledger's sequence number of the event that created the model. A deleted model keeps its rows, so that
-- its history can be told; its name is free again.
CREATE TABLE models (
    key INTEGER NOT NULL PRIMARY KEY,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    -- The last number given to a version; numbers are never given twice.
    last_version BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE UNIQUE INDEX models_by_name ON models (project, name) WHERE deleted_at IS NULL;

CREATE TABLE model_tags (
    model BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) WITHOUT ROWID;

CREATE TABLE model_versions (
    model BIGINT NOT NULL,
    version BIGINT NOT NULL,
    state TEXT NOT NULL,
    state_message TEXT NOT NULL,
    approval TEXT NOT NULL,
    source TEXT NOT NULL,
    run_id TEXT,
    task TEXT,
    flavor TEXT NOT NULL,
    unsafe_format INTEGER NOT NULL,
    -- The hash over the manifest in model_files: two versions with the same one hold the same files.
    content TEXT NOT NULL,
    size BIGINT NOT NULL,
    signature TEXT,
    metrics TEXT NOT NULL,
    datasets TEXT NOT NULL,
    description TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (model, version)
);

CREATE INDEX model_versions_by_run ON model_versions (run_id);
CREATE INDEX model_versions_by_content ON model_versions (content);

CREATE TABLE model_version_tags (
    model BIGINT NOT NULL,
    version BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, version, key)
) WITHOUT ROWID;

CREATE TABLE model_files (
    model BIGINT NOT NULL,
    version BIGINT NOT NULL,
    path TEXT NOT NULL,
    hash TEXT NOT NULL,
    size BIGINT NOT NULL,
    PRIMARY KEY (model, version, path)
) WITHOUT ROWID;

CREATE INDEX model_files_by_hash ON model_files (hash);

-- One row per move: where an alias pointed from when to when, who moved it there and why. The row without an end is
-- where it points now. `seq` is the ledger's number of the move. Removing an alias ends its last row.
CREATE TABLE model_aliases (
    seq INTEGER NOT NULL PRIMARY KEY,
    model BIGINT NOT NULL,
    alias TEXT NOT NULL,
    version BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to BIGINT,
    actor TEXT NOT NULL,
    why TEXT NOT NULL,
    decision TEXT,
    ended_by TEXT,
    ended_why TEXT
);

CREATE UNIQUE INDEX model_aliases_now ON model_aliases (model, alias) WHERE valid_to IS NULL;
CREATE INDEX model_aliases_then ON model_aliases (model, alias, valid_from);
CREATE INDEX model_aliases_of_version ON model_aliases (model, version);

CREATE TABLE model_gates (
    seq INTEGER NOT NULL PRIMARY KEY,
    model BIGINT NOT NULL,
    version BIGINT NOT NULL,
    gate TEXT NOT NULL,
    outcome TEXT NOT NULL,
    evidence TEXT NOT NULL,
    decision TEXT,
    actor TEXT NOT NULL,
    at BIGINT NOT NULL
);

CREATE INDEX model_gates_of_version ON model_gates (model, version, gate, seq);

CREATE TABLE model_approvals (
    seq INTEGER NOT NULL PRIMARY KEY,
    model BIGINT NOT NULL,
    version BIGINT NOT NULL,
    verdict TEXT NOT NULL,
    comment TEXT NOT NULL,
    actor TEXT NOT NULL,
    at BIGINT NOT NULL
);

CREATE INDEX model_approvals_of_version ON model_approvals (model, version, seq);
