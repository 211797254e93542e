-- What each window of an endpoint's traffic showed. A part is written once.
CREATE TABLE monitor_windows (
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    start_at BIGINT NOT NULL,
    end_at BIGINT NOT NULL,
    -- drift | performance | quality
    part TEXT NOT NULL,
    rows_count BIGINT NOT NULL,
    -- Whether this window alone shows a breach, and whether enough windows do.
    breached BIGINT NOT NULL,
    confirmed BIGINT NOT NULL,
    report TEXT NOT NULL,
    evaluated_at BIGINT NOT NULL,
    PRIMARY KEY (project, endpoint, part, start_at)
);

CREATE TABLE monitor_alerts (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    -- drift | performance | quality
    kind TEXT NOT NULL,
    -- open | resolved
    state TEXT NOT NULL,
    words TEXT NOT NULL,
    window_start BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    resolved_at BIGINT,
    PRIMARY KEY (project, id)
);

CREATE INDEX monitor_alerts_open ON monitor_alerts (project, endpoint, kind, state);
