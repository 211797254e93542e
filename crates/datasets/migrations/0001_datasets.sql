CREATE TABLE datasets (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Spec as JSON: paths, format, time column, watch.
    spec TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project, name)
);

CREATE TABLE dataset_versions (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    number BIGINT NOT NULL,
    -- Hash of the manifest, which is an object: what the version is.
    digest TEXT NOT NULL,
    profile TEXT NOT NULL,
    -- Columns as JSON: [{name, type}].
    columns_json TEXT NOT NULL,
    rows_count BIGINT NOT NULL,
    bytes_count BIGINT NOT NULL,
    files_count BIGINT NOT NULL,
    -- Versions this one was made from, as JSON: [{name, number}].
    parents TEXT NOT NULL,
    -- The tracked run that wrote it, if one did.
    run_id TEXT,
    actor TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project, name, number)
);

CREATE INDEX dataset_versions_digest ON dataset_versions (project, digest);

-- What each stored file holds, so that a version profiles only its new files. Dropping rows costs time only.
CREATE TABLE dataset_file_profiles (
    file_hash TEXT NOT NULL PRIMARY KEY,
    profile TEXT NOT NULL,
    columns_json TEXT NOT NULL
);

-- What a file on disk hashed to when it last looked like this. Dropping rows costs time only.
CREATE TABLE dataset_file_stats (
    path TEXT NOT NULL PRIMARY KEY,
    size BIGINT NOT NULL,
    modified_ns BIGINT NOT NULL,
    inode BIGINT NOT NULL,
    hash TEXT NOT NULL
);
