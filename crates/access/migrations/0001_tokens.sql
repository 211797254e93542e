CREATE TABLE access_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    -- BLAKE3 of the secret, in hex. The secret itself is never stored.
    secret_hash TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    role TEXT NOT NULL,
    -- everything | project | run
    scope TEXT NOT NULL,
    project TEXT,
    run_id TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
