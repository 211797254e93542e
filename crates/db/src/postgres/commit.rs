//! The commit, its wake-ups, and what became of one whose answer was lost.
//!
//! Each writing transaction learns its id when it begins. When the connection breaks during the commit, another
//! connection asks the server what became of that id; so a broken connection neither loses a change that was kept nor
//! repeats it. Where the server can't tell (it stays away, or a standby took its place, where the same id may mean another
//! transaction), the caller is told that nobody knows.

use std::time::Duration;

use tokio_postgres::Client;

use super::Store;
use super::transaction::connection;

/// How often the server is asked, and how long between.
const QUESTIONS: u32 = 25;
const PAUSE: Duration = Duration::from_millis(200);

/// What a transaction is known by after its connection is gone.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// Its id, `None` for a reading one.
    pub xid: Option<String>,
    /// The server's timeline when it began, as far as known.
    pub timeline: Option<String>,
}

/// What became of a commit whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It happened.
    Kept,
    /// It did not.
    Lost,
    /// Nobody can tell.
    Unknown,
}

/// Whom wake-ups are addressed to.
pub(crate) struct Notify {
    pub schema: String,
    pub instance: String,
}

impl Notify {
    /// The wake-ups and the commit in one trip. The server stops at the first that fails.
    pub(crate) fn and_commit(&self, wakes: &[&'static str]) -> String {
        let mut sql = String::new();
        for channel in wakes {
            let (address, payload) = (address(&self.schema), format!("{} {channel}", self.instance));
            sql.push_str(&format!(
                "SELECT pg_notify('{address}', '{}'); ",
                payload.replace('\'', "''")
            ));
        }
        sql.push_str("COMMIT");
        sql
    }
}

/// The name that our processes listen to; a schema's name needs no quotes.
pub(crate) fn address(schema: &str) -> String {
    format!("everloop_{schema}")
}

/// Asks the server what became of a transaction.
pub(crate) async fn settle(store: &Store, ticket: &Ticket) -> Fate {
    let Some(xid) = &ticket.xid else {
        return Fate::Lost;
    };
    for question in 0..QUESTIONS {
        if question > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let Ok(client) = connection(store).await else {
            continue;
        };
        let timeline = timeline(&client).await;
        if timeline.is_none() || timeline != ticket.timeline {
            *store.timeline.lock() = timeline;
            return Fate::Unknown;
        }
        let asked = client
            .query_one("SELECT pg_xact_status($1::text::xid8) AS fate", &[xid])
            .await
            .map(|row| row.get::<_, Option<String>>("fate"));
        match asked.as_ref().map(Option::as_deref) {
            Ok(Some("committed")) => return Fate::Kept,
            Ok(Some("aborted")) => return Fate::Lost,
            // The server has not noticed yet that the connection is gone, or is about to commit.
            Ok(Some(_)) => {}
            // Too old for the server to remember.
            Ok(None) => return Fate::Unknown,
            Err(error) if error.as_db_error().is_some() => return Fate::Unknown,
            Err(_) => {}
        }
    }
    Fate::Unknown
}

/// Which history the server writes: it changes when a standby is promoted. `None` when the server won't say, or is a
/// standby.
pub(crate) async fn timeline(client: &Client) -> Option<String> {
    let sql = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline";
    let row = client.query_one(sql, &[]).await.ok()?;
    row.get("timeline")
}
