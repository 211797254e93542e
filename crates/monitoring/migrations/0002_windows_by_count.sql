-- Where windows of a number of rows begin and end: fixed when they are cut, whatever comes late.
CREATE TABLE monitor_cuts (
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    -- 1, 2, 3, ...
    number BIGINT NOT NULL,
    rows_count BIGINT NOT NULL,
    -- The first and the last prediction, by event time and id.
    first_at BIGINT NOT NULL,
    first_id TEXT NOT NULL,
    last_at BIGINT NOT NULL,
    last_id TEXT NOT NULL,
    cut_at BIGINT NOT NULL,
    PRIMARY KEY (project, endpoint, number)
);

-- Two windows of a number of rows may start in the same millisecond: the first prediction's id tells them apart.
CREATE TABLE monitor_windows_2 (
    project TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    start_at BIGINT NOT NULL,
    -- Empty for windows of time.
    start_id TEXT NOT NULL,
    end_at BIGINT NOT NULL,
    -- drift | performance | quality
    part TEXT NOT NULL,
    rows_count BIGINT NOT NULL,
    -- Whether this window alone shows a breach, and whether enough windows do.
    breached BIGINT NOT NULL,
    confirmed BIGINT NOT NULL,
    report TEXT NOT NULL,
    evaluated_at BIGINT NOT NULL,
    PRIMARY KEY (project, endpoint, part, start_at, start_id)
);

INSERT INTO monitor_windows_2 (project, endpoint, start_at, start_id, end_at, part, rows_count, breached, confirmed,
    report, evaluated_at)
SELECT project, endpoint, start_at, '', end_at, part, rows_count, breached, confirmed, report, evaluated_at
FROM monitor_windows;

DROP TABLE monitor_windows;

ALTER TABLE monitor_windows_2 RENAME TO monitor_windows;
