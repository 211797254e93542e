CREATE TABLE check_reports (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    -- What was checked: dataset:flights@3, window:flight-delay/2013-04, model:flight-delay/3.
    subject TEXT NOT NULL,
    suite TEXT NOT NULL,
    passed BIGINT NOT NULL,
    -- The report as JSON.
    report TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (project, id)
);

CREATE INDEX check_reports_subject ON check_reports (project, subject, at);
