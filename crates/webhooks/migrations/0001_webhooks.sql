-- One message to one webhook. Its words are made from the ledger's row when it is sent.
CREATE TABLE webhook_deliveries (
    project TEXT NOT NULL,
    -- What receivers tell repeated messages by.
    id TEXT NOT NULL,
    hook TEXT NOT NULL,
    -- Scheme and host: addresses may hold secrets.
    target TEXT NOT NULL,
    topic TEXT NOT NULL,
    -- The event's place in the ledger.
    seq BIGINT NOT NULL,
    -- pending | delivered | dead | cancelled
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    -- All times of this table are wall time.
    next_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    -- Counts the leases: only the holder of the last one may say how its attempt ended.
    fence BIGINT NOT NULL,
    last_status BIGINT,
    last_problem TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project, id)
);

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (project, state, hook, seq);
CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (project, seq);
