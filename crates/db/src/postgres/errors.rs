//! Postgres's error codes in our terms, and which failures a transaction may be run again after.

use tokio_postgres::error::{Error as PgError, SqlState};

use crate::error::shorten;
use crate::tx::Access;
use crate::{ConstraintKind, Error};

/// What a failure means.
pub(crate) struct Failure {
    pub error: Error,
    pub cure: Cure,
}

/// What helps against a failure of a statement. Nothing of its transaction was kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cure {
    /// Nothing.
    None,
    /// Running the transaction again.
    Retry,
    /// Running the transaction again, with its statements prepared again: a table has changed.
    Reprepare,
    /// Running the transaction again on another connection.
    Reconnect,
}

/// What a failure of a statement means.
pub(crate) fn translate(error: &PgError, access: Access, sql: &str) -> Failure {
    let Some(reply) = error.as_db_error() else {
        return without_reply(error, sql);
    };
    let problem = reply.message().to_owned();
    let state = reply.code();
    let (error, cure) = if let Some(kind) = constraint(state) {
        // Only the message: the detail repeats the row's values.
        (
            Error::Constraint {
                kind,
                detail: problem,
            },
            Cure::None,
        )
    } else if *state == SqlState::T_R_SERIALIZATION_FAILURE || *state == SqlState::T_R_DEADLOCK_DETECTED {
        (Error::Busy { problem }, Cure::Retry)
    } else if *state == SqlState::LOCK_NOT_AVAILABLE {
        (Error::Busy { problem }, Cure::None)
    } else if *state == SqlState::DISK_FULL || *state == SqlState::CONFIGURATION_LIMIT_EXCEEDED {
        (Error::Full { problem }, Cure::None)
    } else if *state == SqlState::QUERY_CANCELED {
        (Error::Timeout { sql: shorten(sql) }, Cure::None)
    } else if *state == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT {
        (Error::Unavailable { problem }, Cure::None)
    } else if *state == SqlState::DATA_CORRUPTED || *state == SqlState::INDEX_CORRUPTED {
        (Error::Corrupt { problem }, Cure::None)
    } else if *state == SqlState::READ_ONLY_SQL_TRANSACTION && access == Access::Read {
        (Error::ReadOnly { sql: shorten(sql) }, Cure::None)
    } else if is_stale_plan(state, &problem) {
        (Error::Busy { problem }, Cure::Reprepare)
    } else if means_other_server(state) {
        (Error::Unavailable { problem }, Cure::Reconnect)
    } else {
        let sql = shorten(sql);
        (Error::Statement { problem, sql }, Cure::None)
    };
    Failure { error, cure }
}

/// An error with what caused it, for people.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The server did not say it: the connection broke, or a value does not fit.
fn without_reply(error: &PgError, sql: &str) -> Failure {
    let problem = chain(error);
    let is_io = std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>());
    if error.is_closed() || is_io {
        let error = Error::Unavailable { problem };
        return Failure {
            error,
            cure: Cure::Reconnect,
        };
    }
    let sql = shorten(sql);
    Failure {
        error: Error::Statement { problem, sql },
        cure: Cure::None,
    }
}

fn constraint(state: &SqlState) -> Option<ConstraintKind> {
    match state {
        state if *state == SqlState::UNIQUE_VIOLATION => Some(ConstraintKind::Unique),
        state if *state == SqlState::EXCLUSION_VIOLATION => Some(ConstraintKind::Unique),
        state if *state == SqlState::FOREIGN_KEY_VIOLATION => Some(ConstraintKind::ForeignKey),
        state if *state == SqlState::RESTRICT_VIOLATION => Some(ConstraintKind::ForeignKey),
        state if *state == SqlState::NOT_NULL_VIOLATION => Some(ConstraintKind::NotNull),
        state if *state == SqlState::CHECK_VIOLATION => Some(ConstraintKind::Check),
        _ => None,
    }
}

/// The server goes away, has no room, or turned from primary to standby: another connection may find a better one.
fn means_other_server(state: &SqlState) -> bool {
    state.code().starts_with("08")
        || [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ]
        .contains(state)
}

/// Another process migrated a table under a statement that this connection had prepared.
fn is_stale_plan(state: &SqlState, problem: &str) -> bool {
    *state == SqlState::FEATURE_NOT_SUPPORTED && problem.contains("cached plan")
}
