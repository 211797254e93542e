//! Leases: one holder at a time of a named piece of work, known to be dead when it stops renewing.
//!
//! Each time a lease changes hands its token grows. The holder checks its token in the transaction of each effect, so
//! that one which was thought dead and wakes up late changes nothing. Times are wall times ([`Clock::wall`]); the
//! machines' clocks should agree within a fraction of the shortest lease, but only liveness depends on it: safety
//! depends on the token.
//!
//! [`Clock::wall`]: everloop_core::Clock::wall

use std::time::Duration;

use everloop_core::Timestamp;

use crate::{Error, Migration, Result, Tx, params};

/// This crate's own tables.
pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    component: "db",
    number: 1,
    name: "leases",
    sql: "
        CREATE TABLE everloop_leases (
            name TEXT NOT NULL PRIMARY KEY,
            holder TEXT NOT NULL,
            token BIGINT NOT NULL,
            expires_at BIGINT NOT NULL
        );",
}];

/// A lease held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What is held.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// Grows each time the lease changes hands: the fencing token.
    pub token: i64,
    /// When it ends, unless it is renewed; wall time.
    pub expires_at: Timestamp,
}

/// Takes the lease `name` when nobody holds it at `wall_now`. `None` when someone does, even the same `holder`: a
/// holder that forgot its lease waits for it to end.
///
/// # Errors
/// When the database fails.
pub fn acquire(
    tx: &mut Tx<'_>,
    name: &str,
    holder: &str,
    ttl: Duration,
    wall_now: Timestamp,
) -> Result<Option<Lease>> {
    let expires_at = wall_now.plus(ttl);
    let row = tx.query_opt(
        "INSERT INTO everloop_leases (name, holder, token, expires_at) VALUES (?1, ?2, 1, ?3)
         ON CONFLICT (name) DO UPDATE
         SET holder = excluded.holder, token = everloop_leases.token + 1, expires_at = excluded.expires_at
         WHERE everloop_leases.expires_at <= ?4
         RETURNING token",
        &params![name, holder, expires_at, wall_now],
    )?;
    row.map(|row| {
        Ok(Lease {
            name: name.to_owned(),
            holder: holder.to_owned(),
            token: row.get("token")?,
            expires_at,
        })
    })
    .transpose()
}

/// Holds on for `ttl` from `wall_now`.
///
/// # Errors
/// [`Error::LeaseLost`] when it ended before `wall_now`, even if nobody took it: others may have acted on that.
pub fn renew(tx: &mut Tx<'_>, lease: &Lease, ttl: Duration, wall_now: Timestamp) -> Result<Lease> {
    let expires_at = wall_now.plus(ttl);
    let renewed = tx.execute(
        "UPDATE everloop_leases SET expires_at = ?3 WHERE name = ?1 AND token = ?2 AND expires_at > ?4",
        &params![&lease.name, lease.token, expires_at, wall_now],
    )?;
    if renewed == 0 {
        return Err(lost(lease));
    }
    Ok(Lease {
        expires_at,
        ..lease.clone()
    })
}

/// Lets go, so that the next one need not wait for the end. A lease that was lost already is left alone.
///
/// # Errors
/// When the database fails.
pub fn release(tx: &mut Tx<'_>, lease: &Lease) -> Result<()> {
    // The row stays, for its token must never go back.
    tx.execute(
        "UPDATE everloop_leases SET expires_at = 0 WHERE name = ?1 AND token = ?2",
        &params![&lease.name, lease.token],
    )
    .map(drop)
}

/// Makes sure, until this transaction ends, that nobody else took the lease: call it in the transaction of each effect.
///
/// # Errors
/// [`Error::LeaseLost`] when someone took it, or it was released.
pub fn check(tx: &mut Tx<'_>, lease: &Lease) -> Result<()> {
    // An update, not a look: on Postgres it keeps the row from others until the commit.
    let held = tx.execute(
        "UPDATE everloop_leases SET holder = holder WHERE name = ?1 AND token = ?2 AND expires_at > 0",
        &params![&lease.name, lease.token],
    )?;
    if held == 0 {
        return Err(lost(lease));
    }
    Ok(())
}

/// The lease `name` as it stands, held or ended; `None` when nobody ever took it.
///
/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx<'_>, name: &str) -> Result<Option<Lease>> {
    let row = tx.query_opt(
        "SELECT name, holder, token, expires_at FROM everloop_leases WHERE name = ?1",
        &params![name],
    )?;
    row.map(|row| {
        Ok(Lease {
            name: row.get("name")?,
            holder: row.get("holder")?,
            token: row.get("token")?,
            expires_at: row.get("expires_at")?,
        })
    })
    .transpose()
}

fn lost(lease: &Lease) -> Error {
    Error::LeaseLost {
        name: lease.name.clone(),
        holder: lease.holder.clone(),
    }
}
