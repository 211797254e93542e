//! Brings a SQLite file up to this program's schema.

use std::path::Path;

use everloop_core::{Clock, Timestamp};
use rusqlite::Connection;

use super::statements::{self, control};
use super::{backup, errors};
use crate::migrate::{self, Applied, Migration};
use crate::tx::Access::{Read, Write};
use crate::{Error, Result, params};

/// Applies what is due in one transaction. It holds the file's write lock from before it looks until it commits, so a
/// second program waits and then finds nothing to do.
pub(crate) fn apply(connection: &Connection, path: &Path, given: &[Migration], clock: &Clock) -> Result<()> {
    let known = migrate::with_own(given)?;
    if is_current(connection, &known)? {
        return Ok(());
    }
    // Rebuilding a table needs its references unchecked meanwhile; they are checked as a whole before the commit.
    control(connection, Write, "PRAGMA foreign_keys = OFF")?;
    control(connection, Write, "BEGIN IMMEDIATE")?;
    let done = apply_locked(connection, path, &known, clock.wall())
        .and_then(|()| control(connection, Write, "COMMIT"));
    if done.is_err() && !connection.is_autocommit() {
        control(connection, Write, "ROLLBACK")?;
    }
    control(connection, Write, "PRAGMA foreign_keys = ON")?;
    done
}

/// The common case needs no write lock, so that a command beside a busy server starts at once.
fn is_current(connection: &Connection, known: &[Migration]) -> Result<bool> {
    match applied(connection)? {
        Some(applied) => Ok(migrate::pending(known, &applied)?.is_empty()),
        None => Ok(false),
    }
}

/// The migrations the file has; `None` when it never had any.
fn applied(connection: &Connection) -> Result<Option<Vec<Applied>>> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table'";
    let tables = statements::query(connection, Read, sql, &[])?
        .iter()
        .map(|row| row.get::<String>("name"))
        .collect::<Result<Vec<_>>>()?;
    if tables.iter().any(|table| table == "everloop_migrations") {
        let rows = statements::query(connection, Read, migrate::APPLIED, &[])?;
        return rows
            .iter()
            .map(Applied::from_row)
            .collect::<Result<_>>()
            .map(Some);
    }
    match tables.first() {
        None => Ok(None),
        Some(table) => Err(Error::NotOurs {
            database: connection.path().unwrap_or_default().to_owned(),
            table: table.clone(),
        }),
    }
}

fn apply_locked(connection: &Connection, path: &Path, known: &[Migration], at: Timestamp) -> Result<()> {
    let applied = applied(connection)?;
    let pending = migrate::pending(known, applied.as_deref().unwrap_or_default())?;
    if pending.is_empty() {
        return Ok(());
    }
    if let Some(applied) = applied.filter(|applied| !applied.is_empty()) {
        backup::snapshot_before_migration(path, applied.len())?;
    }
    control(connection, Write, migrate::TABLE)?;
    for migration in &pending {
        apply_one(connection, migration, at).map_err(|error| migration.failed(&error))?;
    }
    check_references(connection, &pending)
}

fn apply_one(connection: &Connection, migration: &Migration, at: Timestamp) -> Result<()> {
    connection
        .execute_batch(migration.sql)
        .map_err(|error| errors::translate(&error, Write, migration.sql))?;
    if connection.is_autocommit() {
        return Err(Error::Statement {
            problem: "a migration may not end its transaction".to_owned(),
            sql: crate::error::shorten(migration.sql),
        });
    }
    let row = params![
        migration.component,
        migration.number,
        migration.name,
        migration.checksum(),
        at
    ];
    statements::execute(connection, Write, migrate::RECORD, &row).map(drop)
}

fn check_references(connection: &Connection, pending: &[&Migration]) -> Result<()> {
    let broken = statements::query(connection, Read, "PRAGMA foreign_key_check", &[])?;
    match (broken.first(), pending.last()) {
        (Some(row), Some(last)) => Err(last.failed(&Error::Constraint {
            kind: crate::ConstraintKind::ForeignKey,
            detail: format!(
                "rows of \"{}\" refer to rows of \"{}\" that are not there",
                row.get::<String>("table")?,
                row.get::<String>("parent")?
            ),
        })),
        _ => Ok(()),
    }
}
