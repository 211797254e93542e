//! The ledger's tables.

use everloop_db::Migration;

/// The ledger's tables, for [`Db::open`](everloop_db::Db::open).
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "ledger",
    number: 1,
    name: "events, heads, cursors, idempotency",
    sql: "
        CREATE TABLE ledger_events (
            seq BIGINT NOT NULL PRIMARY KEY,
            at BIGINT NOT NULL,
            actor TEXT NOT NULL,
            project TEXT NOT NULL,
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            payload TEXT NOT NULL,
            prev_hash TEXT NOT NULL,
            hash TEXT NOT NULL
        );
        CREATE INDEX ledger_events_project ON ledger_events (project, seq);
        CREATE INDEX ledger_events_subject ON ledger_events (project, subject, seq);
        CREATE INDEX ledger_events_kind ON ledger_events (kind, seq);

        -- One row: the last number given. Whoever appends holds it until the commit, so that numbers have no gaps and
        -- follow the order of commits.
        CREATE TABLE ledger_counter (
            id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
            seq BIGINT NOT NULL
        );
        INSERT INTO ledger_counter (id, seq) VALUES (1, 0);

        CREATE TABLE ledger_heads (
            project TEXT NOT NULL PRIMARY KEY,
            seq BIGINT NOT NULL,
            at BIGINT NOT NULL,
            events BIGINT NOT NULL,
            hash TEXT NOT NULL
        );

        CREATE TABLE ledger_cursors (
            consumer TEXT NOT NULL PRIMARY KEY,
            seq BIGINT NOT NULL
        );

        CREATE TABLE ledger_idempotency (
            project TEXT NOT NULL,
            key TEXT NOT NULL,
            request_hash TEXT NOT NULL,
            response TEXT NOT NULL,
            at BIGINT NOT NULL,
            PRIMARY KEY (project, key)
        );
        CREATE INDEX ledger_idempotency_at ON ledger_idempotency (at);",
}];
