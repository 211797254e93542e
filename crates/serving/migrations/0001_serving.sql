CREATE TABLE endpoints (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project, name)
);

-- Who answers: live routes share the traffic by weight, shadow routes answer unseen.
CREATE TABLE endpoint_routes (
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    version BIGINT NOT NULL,
    -- live | shadow
    mode TEXT NOT NULL,
    -- In hundredths of a percent; live routes sum to 10000.
    weight BIGINT NOT NULL,
    PRIMARY KEY (project, endpoint, version)
);

CREATE TABLE rollouts (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    version BIGINT NOT NULL,
    from_version BIGINT,
    -- The plan as JSON.
    plan TEXT NOT NULL,
    -- running | promoted | rolled_back
    state TEXT NOT NULL,
    step BIGINT NOT NULL,
    step_started_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    reason TEXT,
    PRIMARY KEY (project, id)
);

CREATE INDEX rollouts_running ON rollouts (project, endpoint, state);

-- Sealed parts of the prediction log.
CREATE TABLE prediction_segments (
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    id TEXT NOT NULL,
    object TEXT NOT NULL,
    size BIGINT NOT NULL,
    rows_count BIGINT NOT NULL,
    min_event_time BIGINT NOT NULL,
    max_event_time BIGINT NOT NULL,
    min_prediction TEXT NOT NULL,
    max_prediction TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project, endpoint, id)
);

CREATE INDEX prediction_segments_time ON prediction_segments (project, endpoint, min_event_time, max_event_time);

CREATE TABLE feedback (
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    prediction_id TEXT NOT NULL,
    label DOUBLE PRECISION NOT NULL,
    -- When the label became true, as its sender says; a later one wins.
    at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    revisions BIGINT NOT NULL,
    PRIMARY KEY (project, endpoint, prediction_id)
);
