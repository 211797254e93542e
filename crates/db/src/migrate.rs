//! Migrations: numbered, forward only, embedded; which of them a database still needs.
//!
//! Each crate owns a component and numbers its migrations 1, 2, 3, ... All that is due is applied in one transaction
//! under a lock, so a crash leaves the old schema and two programs that start at once apply it once. A database that a
//! newer program wrote, or whose applied migrations differ from ours, is refused.

use std::collections::BTreeMap;

use everloop_core::Hash;

use crate::{Error, Result, Row, leases};

/// One step of a component's schema.
///
/// The SQL is written for SQLite's spelling of types (`TEXT`, `INTEGER`, `BIGINT`, `REAL`, `BLOB`) and may hold several
/// statements; on Postgres integers are always 64 bits wide, `REAL` is `DOUBLE PRECISION`, `BLOB` is `BYTEA`, text
/// compares byte by byte and `WITHOUT ROWID` is dropped. Ids are made by us: no `AUTOINCREMENT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// The part of the program whose tables these are: its crate's short name.
    pub component: &'static str,
    /// Its place in the component's order, from 1 without gaps.
    pub number: u32,
    /// What it does, in a few words.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

/// Where the applied migrations are written down.
pub(crate) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS everloop_migrations (
        component TEXT NOT NULL,
        number BIGINT NOT NULL,
        name TEXT NOT NULL,
        checksum TEXT NOT NULL,
        applied_at BIGINT NOT NULL,
        PRIMARY KEY (component, number)
    )";

pub(crate) const APPLIED: &str =
    "SELECT component, number, name, checksum FROM everloop_migrations ORDER BY component, number";

pub(crate) const RECORD: &str =
    "INSERT INTO everloop_migrations (component, number, name, checksum, applied_at)
     VALUES (?1, ?2, ?3, ?4, ?5)";

/// A migration that a database has.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub component: String,
    pub number: u32,
    pub name: String,
    pub checksum: String,
}

impl Applied {
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            component: row.get("component")?,
            number: row.get("number")?,
            name: row.get("name")?,
            checksum: row.get("checksum")?,
        })
    }
}

impl Migration {
    /// The hash of the text, without the line ends that a checkout may change.
    pub(crate) fn checksum(&self) -> String {
        Hash::of(self.sql.replace("\r\n", "\n").as_bytes()).to_hex()
    }

    /// The failure of this migration.
    pub(crate) fn failed(&self, error: &Error) -> Error {
        match error {
            Error::Full { .. } | Error::Stopped { .. } | Error::Busy { .. } | Error::Unavailable { .. } => {
                error.clone()
            }
            error => Error::Migration {
                component: self.component.to_owned(),
                number: self.number,
                name: self.name.to_owned(),
                problem: error.to_string(),
            },
        }
    }
}

/// This crate's own migrations and then `given`, once their order is right.
pub(crate) fn with_own(given: &[Migration]) -> Result<Vec<Migration>> {
    let all: Vec<Migration> = leases::MIGRATIONS.iter().chain(given).copied().collect();
    let mut due = BTreeMap::new();
    for migration in &all {
        let expected = due.entry(migration.component).or_insert(1);
        if migration.number != *expected {
            return Err(Error::MigrationOrder {
                component: migration.component.to_owned(),
                number: migration.number,
                expected: *expected,
            });
        }
        *expected += 1;
    }
    Ok(all)
}

/// Those of `known` that a database with `applied` still needs, in order.
pub(crate) fn pending<'m>(known: &'m [Migration], applied: &[Applied]) -> Result<Vec<&'m Migration>> {
    for old in applied {
        let ours = known
            .iter()
            .find(|migration| migration.component == old.component && migration.number == old.number);
        match ours {
            None => return Err(newer(known, old)),
            Some(ours) if ours.checksum() != old.checksum => {
                return Err(Error::ChangedMigration {
                    component: old.component.clone(),
                    number: old.number,
                    applied: old.name.clone(),
                    known: ours.name.to_owned(),
                });
            }
            Some(_) => {}
        }
    }
    let is_applied = |migration: &&Migration| {
        applied
            .iter()
            .any(|old| old.component == migration.component && old.number == migration.number)
    };
    Ok(known.iter().filter(|migration| !is_applied(migration)).collect())
}

fn newer(known: &[Migration], old: &Applied) -> Error {
    Error::NewerSchema {
        component: old.component.clone(),
        number: old.number,
        name: old.name.clone(),
        known: known
            .iter()
            .filter(|migration| migration.component == old.component)
            .map(|migration| migration.number)
            .max()
            .unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[Migration] = &[
        Migration {
            component: "a",
            number: 1,
            name: "one",
            sql: "CREATE TABLE a (x BIGINT)",
        },
        Migration {
            component: "a",
            number: 2,
            name: "two",
            sql: "CREATE TABLE b (x BIGINT)",
        },
    ];

    fn applied(migration: &Migration) -> Applied {
        Applied {
            component: migration.component.to_owned(),
            number: migration.number,
            name: migration.name.to_owned(),
            checksum: migration.checksum(),
        }
    }

    #[test]
    fn only_what_is_missing_is_due() {
        let due = pending(TWO, &[applied(&TWO[0])]).unwrap();
        assert_eq!(due, [&TWO[1]]);
    }

    #[test]
    fn a_newer_database_is_refused_with_what_it_holds() {
        let error = pending(&TWO[..1], &[applied(&TWO[0]), applied(&TWO[1])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "database has migration a 2 \"two\", this program knows a up to 1"
        );
    }

    #[test]
    fn line_ends_do_not_change_a_checksum_but_text_does() {
        let unix = Migration {
            sql: "a\nb",
            ..TWO[0]
        };
        let windows = Migration {
            sql: "a\r\nb",
            ..TWO[0]
        };
        let other = Migration {
            sql: "a\nc",
            ..TWO[0]
        };
        assert_eq!(unix.checksum(), windows.checksum());
        assert_ne!(unix.checksum(), other.checksum());
    }

    #[test]
    fn gaps_and_repeats_in_the_numbers_are_refused() {
        assert!(with_own(TWO).is_ok());
        assert!(with_own(&TWO[1..]).is_err());
        assert!(with_own(&[TWO[0], TWO[0]]).is_err());
    }
}
