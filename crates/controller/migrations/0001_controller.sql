CREATE TABLE decisions (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    -- trigger | data | gates | approval | rollout | promotion | rollback | retraining
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL,
    words TEXT NOT NULL,
    -- The numbers it was taken on, as JSON.
    evidence TEXT NOT NULL,
    actor TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (project, id)
);

CREATE INDEX decisions_subject ON decisions (project, subject, at);

-- One way round the loop, from its trigger to its end.
CREATE TABLE retrainings (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    -- queued | training | judging | waiting | rolling_out | done
    state TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    pipeline_run TEXT,
    version BIGINT,
    rollout TEXT,
    -- promoted | refused | refused_data | rolled_back | failed | unchanged
    outcome TEXT,
    words TEXT,
    started_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    finished_at BIGINT,
    PRIMARY KEY (project, id)
);

CREATE INDEX retrainings_state ON retrainings (project, state);

CREATE TABLE trigger_firings (
    project TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (project, trigger_name, at)
);

CREATE TABLE trigger_schedules (
    project TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    -- Expression and zone that next_at was computed from.
    expression TEXT NOT NULL,
    next_at BIGINT NOT NULL,
    PRIMARY KEY (project, trigger_name)
);
