//! Adds an event to the caller's transaction.

use everloop_core::{Hash, Timestamp};
use everloop_db::{Tx, params};

use crate::chain::{self, Link};
use crate::tail::CHANNEL;
use crate::{Error, NewEvent, Result, Seq};

/// The longest payload, as JSON text.
const LONGEST_PAYLOAD: usize = 1 << 20;

/// The longest subject, in bytes.
const LONGEST_SUBJECT: usize = 1_024;

/// Writes `event` as part of the caller's transaction and answers its place, which is final once that commits.
///
/// `at` is project time. When the clock was set back, the event gets the time of the one before it in its project, so
/// that time never runs backwards along a chain. Consumers that wait are woken by the commit.
///
/// Append late in the transaction: on Postgres everyone else who appends waits from here until the commit.
///
/// # Errors
/// When the subject or payload is not acceptable, or the database fails.
pub fn append(tx: &mut Tx<'_>, at: Timestamp, event: NewEvent) -> Result<Seq> {
    check_subject(&event.subject)?;
    let payload = event.payload.to_string();
    if payload.len() > LONGEST_PAYLOAD {
        return Err(Error::PayloadTooLarge {
            kind: event.kind,
            bytes: payload.len(),
            limit: LONGEST_PAYLOAD,
        });
    }
    let before = take_place(tx, &event)?;
    let at = at.max(before.at);
    let actor = event.actor.to_string();
    let hash = Link {
        seq: before.next.0,
        at: at.millis(),
        actor: &actor,
        project: event.project.as_str(),
        kind: event.kind,
        subject: &event.subject,
        payload: &payload,
        prev_hash: before.hash,
    }
    .hash();
    let row = params![
        before.next,
        at,
        actor,
        &event.project,
        event.kind,
        event.subject,
        payload,
        before.hash,
        hash
    ];
    let head = params![&event.project, before.next, at, hash];
    tx.batch(&[(INSERT_EVENT, &row), (MOVE_HEAD, &head)])?;
    tx.wake(CHANNEL);
    Ok(before.next)
}

/// Gives the next place. The counter's row stays locked until the commit, so places have no gaps and follow its order.
const NEXT_PLACE: &str = "UPDATE ledger_counter SET seq = seq + 1 WHERE id = 1 RETURNING seq";

/// The project's last event. Read after the counter is ours, so nobody can move it any more.
const HEAD: &str = "SELECT at, hash FROM ledger_heads WHERE project = ?1";

const INSERT_EVENT: &str =
    "INSERT INTO ledger_events (seq, at, actor, project, kind, subject, payload, prev_hash, hash)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const MOVE_HEAD: &str = "INSERT INTO ledger_heads (project, seq, at, events, hash) VALUES (?1, ?2, ?3, 1, ?4)
     ON CONFLICT (project) DO UPDATE
     SET seq = excluded.seq, at = excluded.at, events = ledger_heads.events + 1, hash = excluded.hash";

/// What an event follows.
struct Before {
    next: Seq,
    at: Timestamp,
    hash: Hash,
}

fn take_place(tx: &mut Tx<'_>, event: &NewEvent) -> Result<Before> {
    // Together, because others wait from the first on.
    let answers = tx.batch(&[(NEXT_PLACE, &[]), (HEAD, &params![&event.project])])?;
    let [place, head] = answers.as_slice() else {
        unreachable!("a batch answers each of its statements");
    };
    let next = place.first().ok_or(Error::NoCounter)?.get("seq")?;
    match head.first() {
        Some(head) => Ok(Before {
            next,
            at: head.get("at")?,
            hash: head.get("hash")?,
        }),
        None => Ok(Before {
            next,
            at: Timestamp(i64::MIN),
            hash: chain::genesis(),
        }),
    }
}

/// A subject is shown in logs and lists: no line ends or other control characters, and a length fit for an index.
fn check_subject(subject: &str) -> Result<()> {
    let problem = if subject.is_empty() {
        "it is empty"
    } else if subject.len() > LONGEST_SUBJECT {
        "it is longer than 1024 bytes"
    } else if subject.chars().any(char::is_control) {
        "control characters are not allowed"
    } else {
        return Ok(());
    };
    Err(Error::InvalidSubject {
        subject: subject.chars().take(80).flat_map(char::escape_debug).collect(),
        problem,
    })
}
