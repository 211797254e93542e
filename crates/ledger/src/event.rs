//! One thing that happened.

use std::fmt;

use everloop_core::{Actor, Hash, ProjectName, Timestamp};
use everloop_db::{FromValue, Row, Value};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// An event's place in the ledger, from 1 without gaps, in the order of commits over all projects. 0 is before the
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Seq> for Value {
    fn from(seq: Seq) -> Self {
        Self::Int(seq.0)
    }
}

impl FromValue for Seq {
    const EXPECTED: &'static str = "a place in the ledger";

    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value).map(Self)
    }
}

/// Something that happens now. Personal data never stands in the payload: refer to it, so that it can be erased.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Where.
    pub project: ProjectName,
    /// Who did it.
    pub actor: Actor,
    /// What happened: `dataset.version`, `alias.moved`.
    pub kind: &'static str,
    /// To what: `dataset:flights@3`.
    pub subject: String,
    /// What else there is to say about it.
    pub payload: serde_json::Value,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place.
    pub seq: Seq,
    /// When, in project time; never earlier than the event before it in the same project.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// Where.
    pub project: ProjectName,
    /// What happened.
    pub kind: String,
    /// To what.
    pub subject: String,
    /// What else there is to say about it.
    pub payload: serde_json::Value,
    /// The hash of the event before it in the same project; 32 zero bytes for the first.
    pub prev_hash: Hash,
    /// The hash over all of the above.
    pub hash: Hash,
}

/// The columns that [`Event::from_row`] and the chain read.
pub(crate) const COLUMNS: &str = "seq, at, actor, project, kind, subject, payload, prev_hash, hash";

impl Event {
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        let seq: Seq = row.get("seq")?;
        let unreadable = |problem: String| Error::Unreadable { seq: seq.0, problem };
        Self::read(seq, row)
            .map_err(|error| unreadable(error.to_string()))?
            .map_err(unreadable)
    }

    fn read(seq: Seq, row: &Row) -> everloop_db::Result<Result<Self, String>> {
        let actor: String = row.get("actor")?;
        let payload: String = row.get("payload")?;
        let (Ok(actor), Ok(payload)) = (actor.parse(), serde_json::from_str(&payload)) else {
            return Ok(Err("its actor or payload is not what we write".to_owned()));
        };
        Ok(Ok(Self {
            seq,
            at: row.get("at")?,
            actor,
            project: row.get("project")?,
            kind: row.get("kind")?,
            subject: row.get("subject")?,
            payload,
            prev_hash: row.get("prev_hash")?,
            hash: row.get("hash")?,
        }))
    }
}
