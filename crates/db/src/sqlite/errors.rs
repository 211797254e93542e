//! SQLite's result codes in our terms.

use rusqlite::{ErrorCode, ffi};

use crate::error::shorten;
use crate::tx::Access;
use crate::{ConstraintKind, Error};

/// What a failure of SQLite means to us.
pub(crate) fn translate(error: &rusqlite::Error, access: Access, sql: &str) -> Error {
    let refused = || Error::Statement {
        problem: error.to_string(),
        sql: shorten(sql),
    };
    let rusqlite::Error::SqliteFailure(failure, message) = error else {
        return refused();
    };
    let problem = message.clone().unwrap_or_else(|| failure.to_string());
    match failure.code {
        ErrorCode::DiskFull => Error::Full { problem },
        ErrorCode::SystemIoFailure => io_failure(failure.extended_code, problem),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy { problem },
        ErrorCode::ConstraintViolation => Error::Constraint {
            kind: constraint(failure.extended_code),
            detail: problem,
        },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Corrupt { problem },
        ErrorCode::ReadOnly if access == Access::Read => Error::ReadOnly { sql: shorten(sql) },
        ErrorCode::ReadOnly
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::OutOfMemory => Error::Unavailable { problem },
        ErrorCode::OperationInterrupted => Error::Timeout { sql: shorten(sql) },
        _ => refused(),
    }
}

fn io_failure(extended: i32, problem: String) -> Error {
    match extended {
        // What the page cache holds after a failed sync is unknown: going on could lose what was acknowledged.
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => Error::Stopped { problem },
        ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS => {
            Error::Corrupt { problem }
        }
        _ => Error::Full { problem },
    }
}

fn constraint(extended: i32) -> ConstraintKind {
    match extended {
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ConstraintKind::ForeignKey,
        ffi::SQLITE_CONSTRAINT_NOTNULL => ConstraintKind::NotNull,
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            ConstraintKind::Unique
        }
        _ => ConstraintKind::Check,
    }
}
