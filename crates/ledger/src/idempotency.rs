//! A repeated request has one effect and gets the same answer.
//!
//! The key is noted in the transaction of the effect, so either both are kept or neither. A second request with the
//! same key waits for the first on Postgres (and queues behind it on SQLite), and then finds its answer.

use everloop_core::{Hash, IdempotencyKey, ProjectName, Timestamp};
use everloop_db::{Tx, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Whether a request was seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It is new: do it, then [`store`] its answer.
    New,
    /// It was done: this is the answer it got, as JSON.
    Replay(String),
}

/// Notes the request with this `key` in the caller's transaction. `request` is the hash of everything that matters in
/// it.
///
/// # Errors
/// [`Error::KeyReused`] when the key came with another request.
pub fn check(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    key: &IdempotencyKey,
    request: Hash,
    at: Timestamp,
) -> Result<Seen> {
    let noted = tx.execute(
        "INSERT INTO ledger_idempotency (project, key, request_hash, response, at) VALUES (?1, ?2, ?3, 'null', ?4)
         ON CONFLICT (project, key) DO NOTHING",
        &params![project, key, request, at],
    )?;
    if noted == 1 {
        return Ok(Seen::New);
    }
    let row = tx.query_one(
        "SELECT request_hash, response FROM ledger_idempotency WHERE project = ?1 AND key = ?2",
        &params![project, key],
    )?;
    if row.get::<Hash>("request_hash")? != request {
        return Err(Error::KeyReused { key: key.clone() });
    }
    Ok(Seen::Replay(row.get("response")?))
}

/// Stores the answer of a new request, in the transaction that did it.
///
/// # Errors
/// When the database fails.
pub fn store(tx: &mut Tx<'_>, project: &ProjectName, key: &IdempotencyKey, response: &str) -> Result<()> {
    tx.execute(
        "UPDATE ledger_idempotency SET response = ?3 WHERE project = ?1 AND key = ?2",
        &params![project, key, response],
    )?;
    Ok(())
}

/// Runs `effect` when the request is new, and answers what it answered the first time when it is not.
///
/// # Errors
/// What `effect` answers (then the key stays unused, once the caller rolls back); as [`check`] and [`store`].
pub fn once<T, E>(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    key: &IdempotencyKey,
    request: Hash,
    at: Timestamp,
    effect: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E>
where
    T: Serialize + DeserializeOwned,
    E: From<Error>,
{
    let unusable = |error: serde_json::Error| Error::Response {
        key: key.clone(),
        problem: error.to_string(),
    };
    match check(tx, project, key, request, at)? {
        Seen::Replay(response) => Ok(serde_json::from_str(&response).map_err(unusable)?),
        Seen::New => {
            let answer = effect(tx)?;
            store(
                tx,
                project,
                key,
                &serde_json::to_string(&answer).map_err(unusable)?,
            )?;
            Ok(answer)
        }
    }
}

/// Forgets the keys noted before `at`; answers how many. A request repeated later than that is done again.
///
/// # Errors
/// When the database fails.
pub fn forget_before(tx: &mut Tx<'_>, at: Timestamp) -> Result<u64> {
    Ok(tx.execute("DELETE FROM ledger_idempotency WHERE at < ?1", &params![at])?)
}
