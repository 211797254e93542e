//! Deliveries as rows: state machines with a lease and a fence.

use everloop_core::{Actor, ProjectName, Timestamp};
use everloop_db::{Migration, Row, Tx, Value, params};
use everloop_ledger::{Event, NewEvent, Seq};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

use crate::hook::topic_of;
use crate::{Error, Hook, Result};

/// The tables of this crate.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "webhooks",
    number: 1,
    name: "webhooks",
    sql: include_str!("../migrations/0001_webhooks.sql"),
}];

/// Rung when messages are to be sent that the ledger's own bell does not tell of.
pub(crate) const CHANNEL: &str = "webhooks";
/// Longer than an attempt may take.
const LEASE: Duration = Duration::from_secs(60);
/// How long messages that were delivered stay in sight.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is to be sent, or sent again.
    Pending,
    /// Its receiver said yes.
    Delivered,
    /// It was given up.
    Dead,
    /// Its hook was taken out of the project file.
    Cancelled,
}

impl DeliveryState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Dead, Self::Cancelled];

    /// The state's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One message to one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What receivers tell repeated messages by.
    pub id: String,
    /// The hook.
    pub hook: String,
    /// Its scheme and host.
    pub target: String,
    /// What happened.
    pub topic: String,
    /// The event's place in the ledger.
    pub seq: Seq,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was sent, since it was asked for last.
    pub attempts: u64,
    /// When it is sent next, of a pending one; wall time, as all times here.
    pub next_at: Timestamp,
    /// The last answer's status.
    pub last_status: Option<u64>,
    /// Why the last attempt did not do.
    pub last_problem: Option<String>,
    /// When it was put into the outbox.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    pub(crate) fence: u64,
}

/// How many deliveries stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// To be sent.
    pub pending: u64,
    /// Sent.
    pub delivered: u64,
    /// Given up.
    pub dead: u64,
}

/// Puts `event` into the outbox of `hook`; a second time changes nothing.
pub(crate) fn enqueue(tx: &mut Tx<'_>, hook: &Hook, event: &Event, wall: Timestamp) -> Result<()> {
    // The event's hash is of this ledger alone, so receivers of several servers never mix their messages up.
    let id = format!("msg_{}_{}", &event.hash.to_hex()[..20], hook.id);
    tx.execute(
        "INSERT INTO webhook_deliveries (project, id, hook, target, topic, seq, state, attempts, next_at, lease_until, \
         fence, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', 0, ?7, 0, 0, ?7, ?7) \
         ON CONFLICT (project, id) DO NOTHING",
        &params![
            &event.project,
            id,
            hook.id.as_str(),
            hook.target(),
            topic_of(event).as_ref(),
            event.seq,
            wall
        ],
    )?;
    Ok(())
}

/// Takes the next message of `hook` that is due, for as long as one attempt may take. The attempt counts from here on,
/// so that one which kills its process ends as well.
pub(crate) fn claim(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    hook: &str,
    wall: Timestamp,
) -> Result<Option<Delivery>> {
    let row = tx.query_opt(
        "SELECT * FROM webhook_deliveries WHERE project = ?1 AND state = 'pending' AND hook = ?2 AND next_at <= ?3 \
         AND lease_until <= ?3 ORDER BY seq LIMIT 1",
        &params![project, hook, wall],
    )?;
    let Some(row) = row else { return Ok(None) };
    let due = read(&row)?;
    let row = tx.query_opt(
        "UPDATE webhook_deliveries SET attempts = attempts + 1, fence = fence + 1, lease_until = ?4, updated_at = ?5 \
         WHERE project = ?1 AND id = ?2 AND fence = ?3 AND state = 'pending' RETURNING *",
        &params![project, due.id.as_str(), due.fence, wall.plus(LEASE), wall],
    )?;
    row.as_ref().map(read).transpose()
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) state: DeliveryState,
    /// When it is sent again, of a pending one.
    pub(crate) next_at: Timestamp,
    pub(crate) status: Option<u16>,
    pub(crate) problem: Option<String>,
    /// Whether the attempt is not counted: it was broken off by us.
    pub(crate) takes_back: bool,
}

/// Says how the attempt at `claimed` ended, unless its lease was lost meanwhile. What is given up is told in the
/// ledger, at the project time `now`.
pub(crate) fn finish(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    claimed: &Delivery,
    ended: &Ended,
    (wall, now): (Timestamp, Timestamp),
) -> Result<bool> {
    let attempts = claimed.attempts - u64::from(ended.takes_back);
    let changed = tx.execute(
        "UPDATE webhook_deliveries SET state = ?4, attempts = ?5, next_at = ?6, lease_until = 0, last_status = ?7, \
         last_problem = ?8, updated_at = ?9 WHERE project = ?1 AND id = ?2 AND fence = ?3 AND state = 'pending'",
        &params![
            project,
            claimed.id.as_str(),
            claimed.fence,
            ended.state.as_str(),
            attempts,
            ended.next_at,
            ended.status.map(u64::from),
            ended.problem.as_deref(),
            wall
        ],
    )?;
    if changed > 0 && ended.state == DeliveryState::Dead {
        let words = format!(
            "{} was not told of {} after {attempts} attempts",
            claimed.target, claimed.topic
        );
        let payload = json!({
            "words": words, "delivery": claimed.id, "hook": claimed.hook, "event": claimed.seq,
            "status": ended.status, "problem": ended.problem,
        });
        tell(
            tx,
            project,
            &Actor::system("webhooks"),
            now,
            "webhook.dead",
            &claimed.id,
            payload,
        )?;
    }
    Ok(changed > 0)
}

/// Sends messages again that were given up: the one called `id`, or all. Answers how many.
///
/// # Errors
/// [`Error::Unknown`] and [`Error::NotDead`] of a message asked for by name; or when the database fails.
pub fn retry(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    actor: &Actor,
    id: Option<&str>,
    (wall, now): (Timestamp, Timestamp),
) -> Result<u64> {
    if let Some(id) = id {
        let row = tx.query_opt(
            "SELECT * FROM webhook_deliveries WHERE project = ?1 AND id = ?2",
            &params![project, id],
        )?;
        let found = row.as_ref().map(read).transpose()?;
        let found = found.ok_or_else(|| Error::Unknown { id: id.to_owned() })?;
        if found.state != DeliveryState::Dead {
            return Err(Error::NotDead {
                id: id.to_owned(),
                state: found.state.as_str(),
            });
        }
    }
    let again = tx.query(
        "UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_at = ?3, lease_until = 0, updated_at = ?3 \
         WHERE project = ?1 AND state = 'dead' AND (CAST(?2 AS TEXT) IS NULL OR id = ?2) RETURNING id",
        &params![project, id, wall],
    )?;
    for row in &again {
        let id: String = row.get("id")?;
        let payload = json!({ "words": "it is sent again", "delivery": id });
        tell(tx, project, actor, now, "webhook.retried", &id, payload)?;
    }
    tx.wake(CHANNEL);
    Ok(again.len() as u64)
}

fn tell(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    actor: &Actor,
    now: Timestamp,
    kind: &'static str,
    id: &str,
    payload: serde_json::Value,
) -> Result<()> {
    let event = NewEvent {
        project: project.clone(),
        actor: actor.clone(),
        kind,
        subject: format!("webhook:{id}"),
        payload,
    };
    everloop_ledger::append(tx, now, event)?;
    Ok(())
}

/// Ends what waits for hooks that are no more.
pub(crate) fn cancel_others(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    hooks: &[Hook],
    wall: Timestamp,
) -> Result<()> {
    let mut values: Vec<Value> = params![project, wall].to_vec();
    values.extend(hooks.iter().map(|hook| Value::from(hook.id.as_str())));
    let named: Vec<String> = (3..=values.len()).map(|at| format!("?{at}")).collect();
    let others = match named.is_empty() {
        true => String::new(),
        false => format!(" AND hook NOT IN ({})", named.join(", ")),
    };
    let sql = format!(
        "UPDATE webhook_deliveries SET state = 'cancelled', updated_at = ?2, \
         last_problem = 'its hook is no longer in the project file' \
         WHERE project = ?1 AND state = 'pending'{others}"
    );
    tx.execute(&sql, &values)?;
    Ok(())
}

/// Forgets what ended long ago.
pub(crate) fn forget_old(tx: &mut Tx<'_>, project: &ProjectName, wall: Timestamp) -> Result<()> {
    tx.execute(
        "DELETE FROM webhook_deliveries WHERE project = ?1 AND state IN ('delivered', 'cancelled') AND updated_at < ?2",
        &params![project, wall.minus(KEPT)],
    )?;
    Ok(())
}

/// When something is to be done next for the hook; none while nothing waits.
pub(crate) fn next_due(tx: &mut Tx<'_>, project: &ProjectName, hook: &str) -> Result<Option<Timestamp>> {
    let row = tx.query_one(
        "SELECT MIN(CASE WHEN lease_until > next_at THEN lease_until ELSE next_at END) AS due \
         FROM webhook_deliveries WHERE project = ?1 AND state = 'pending' AND hook = ?2",
        &params![project, hook],
    )?;
    Ok(row.get("due")?)
}

/// How many deliveries stand where: of one hook, or of all.
///
/// # Errors
/// When the database fails.
pub fn counts(tx: &mut Tx<'_>, project: &ProjectName, hook: Option<&str>) -> Result<Counts> {
    let rows = tx.query(
        "SELECT state, COUNT(*) AS deliveries FROM webhook_deliveries WHERE project = ?1 \
         AND (CAST(?2 AS TEXT) IS NULL OR hook = ?2) GROUP BY state",
        &params![project, hook],
    )?;
    let mut counts = Counts::default();
    for row in &rows {
        let number: u64 = row.get("deliveries")?;
        match row.get::<String>("state")?.as_str() {
            "pending" => counts.pending = number,
            "delivered" => counts.delivered = number,
            "dead" => counts.dead = number,
            _ => {}
        }
    }
    Ok(counts)
}

/// The deliveries of a project, newest event first, at most `limit`; in one state or all.
///
/// # Errors
/// When the database fails or a row does not read.
pub fn deliveries(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    state: Option<DeliveryState>,
    limit: usize,
) -> Result<Vec<Delivery>> {
    let rows = tx.query(
        "SELECT * FROM webhook_deliveries WHERE project = ?1 AND (CAST(?2 AS TEXT) IS NULL OR state = ?2) \
         ORDER BY seq DESC, hook LIMIT ?3",
        &params![project, state.map(DeliveryState::as_str), limit],
    )?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Delivery> {
    let state: String = row.get("state")?;
    Ok(Delivery {
        id: row.get("id")?,
        hook: row.get("hook")?,
        target: row.get("target")?,
        topic: row.get("topic")?,
        seq: row.get("seq")?,
        state: DeliveryState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or(Error::Damaged(state))?,
        attempts: row.get("attempts")?,
        next_at: row.get("next_at")?,
        last_status: row.get("last_status")?,
        last_problem: row.get("last_problem")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        fence: row.get("fence")?,
    })
}
