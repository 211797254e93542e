//! Finds the first row of the ledger that someone changed behind our back.
//!
//! Rows are read in order, in pages, once. Each must have the place after the one before it (a deletion leaves a gap),
//! point at the last hash of its project (a reordering or an insertion breaks that), hash to what it says (an edit
//! does not), and not lie before its project's last event. At the end the counter and the heads must agree with the
//! rows (a cut tail does not), and each anchor with the row it names (a replaced database does not).

use std::collections::{BTreeMap, HashMap};

use everloop_core::Hash;
use everloop_db::{Db, Row, Tx, params};

use crate::chain::{self, Link};
use crate::event::COLUMNS;
use crate::{Anchor, Result, Seq};

/// Rows per page: bounds memory.
const PAGE: i64 = 1_000;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Rows that are as they were written.
    pub events: u64,
    /// Anchors that agree with them.
    pub anchors: u64,
    /// The first row that is not as it was written; `None` when all is well.
    pub problem: Option<Problem>,
}

/// The first bad row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ledger row {seq}: {detail}")]
pub struct Problem {
    /// Its place; for a missing row, where it should be.
    pub seq: Seq,
    /// Its project, where that can be told.
    pub project: Option<String>,
    /// What kind of change this is.
    pub kind: ProblemKind,
    /// What was found and what was expected.
    pub detail: String,
}

/// The kinds of change behind our back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The row is not there, and later ones are.
    Missing,
    /// The row's content does not match its hash: it was edited, or moved to another place.
    Altered,
    /// The row does not follow the one before it: rows were reordered, inserted or rewritten.
    Unlinked,
    /// The row lies before the one before it.
    Backdated,
    /// The ledger ends too early: the counter, a head or an anchor knows later rows.
    Truncated,
    /// The counter or a head does not match the rows.
    Head,
    /// The row is not the one an anchor saw: the history was rewritten.
    Anchor,
}

/// Checks every row against its chain, and the chains against `anchors`.
///
/// Reads in pages beside running writers; what is appended meanwhile is not looked at.
///
/// # Errors
/// When the database fails. A bad row is an answer, not an error.
pub async fn verify(db: &Db, anchors: &[Anchor]) -> Result<Verification> {
    let end = db.read(read_end).await?;
    let mut walk = Walk::new(anchors);
    let problem = loop {
        let (from, to) = (walk.last, end.newest);
        let rows = db.read(move |tx| read_page(tx, from, to)).await?;
        if rows.is_empty() {
            break walk.finish(&end).err();
        }
        if let Err(problem) = rows.iter().try_for_each(|row| walk.step(row)) {
            break Some(problem);
        }
    };
    Ok(Verification {
        events: walk.events,
        anchors: walk.agreed,
        problem: problem.map(|problem| *problem),
    })
}

/// What the database says of its own end, at one moment.
struct End {
    counter: i64,
    newest: i64,
    heads: Vec<Head>,
}

struct Head {
    project: String,
    seq: i64,
    at: i64,
    events: i64,
    hash: String,
}

fn read_end(tx: &mut Tx<'_>) -> Result<End> {
    let row = tx.query_one(
        "SELECT (SELECT seq FROM ledger_counter WHERE id = 1) AS counter,
                (SELECT MAX(seq) FROM ledger_events) AS newest",
        &[],
    )?;
    let heads = tx.query(
        "SELECT project, seq, at, events, hash FROM ledger_heads ORDER BY project",
        &[],
    )?;
    Ok(End {
        counter: row.get::<Option<i64>>("counter")?.unwrap_or(0),
        newest: row.get::<Option<i64>>("newest")?.unwrap_or(0),
        heads: heads.iter().map(read_head).collect::<Result<_>>()?,
    })
}

fn read_head(row: &Row) -> Result<Head> {
    Ok(Head {
        project: row.get("project")?,
        seq: row.get("seq")?,
        at: row.get("at")?,
        events: row.get("events")?,
        hash: row.get("hash")?,
    })
}

fn read_page(tx: &mut Tx<'_>, from: i64, to: i64) -> Result<Vec<Row>> {
    let sql =
        format!("SELECT {COLUMNS} FROM ledger_events WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3");
    Ok(tx.query(&sql, &params![from, to, PAGE])?)
}

/// The state of one project's chain behind the rows read so far.
#[derive(Debug, Clone, Copy)]
struct Chain {
    seq: i64,
    at: i64,
    events: i64,
    hash: Hash,
}

/// Boxed, for it is rare and large.
type Found = Result<(), Box<Problem>>;

/// The walk along all rows.
struct Walk {
    /// The place of the last row read; everything up to it is well.
    last: i64,
    events: u64,
    agreed: u64,
    chains: HashMap<String, Chain>,
    anchors: BTreeMap<i64, Vec<Anchor>>,
}

impl Walk {
    fn new(anchors: &[Anchor]) -> Self {
        let mut by_seq: BTreeMap<i64, Vec<Anchor>> = BTreeMap::new();
        for anchor in anchors {
            by_seq.entry(anchor.seq.0).or_default().push(anchor.clone());
        }
        Self {
            // Also finds rows before the first place.
            last: i64::MIN,
            events: 0,
            agreed: 0,
            chains: HashMap::new(),
            anchors: by_seq,
        }
    }

    /// The place the next row must have.
    fn due(&self) -> i64 {
        self.last.max(0) + 1
    }

    fn step(&mut self, row: &Row) -> Found {
        let stored = Stored::read(row).map_err(|error| self.unreadable(row, &error))?;
        let link = stored.link();
        let found = |kind, detail: String| problem(link.seq, Some(link.project), kind, detail);
        self.check_place(&link)?;
        let before = self.chains.get(link.project).copied();
        if link.hash().to_hex() != stored.hash {
            let detail = "its content does not match its hash: it was edited or moved here".to_owned();
            return Err(found(ProblemKind::Altered, detail));
        }
        let expected = before.map_or_else(chain::genesis, |before| before.hash);
        if link.prev_hash != expected {
            let detail = format!(
                "it follows an event with hash {}, but the one before it in its project has {expected}",
                link.prev_hash
            );
            return Err(found(ProblemKind::Unlinked, detail));
        }
        if let Some(before) = before.filter(|before| before.at > link.at) {
            let detail = format!(
                "its time {} lies before that of row {}, {}",
                link.at, before.seq, before.at
            );
            return Err(found(ProblemKind::Backdated, detail));
        }
        let hash = link.hash();
        self.agreed += self.check_anchors(&link, hash)?;
        let chain = Chain {
            seq: link.seq,
            at: link.at,
            events: before.map_or(0, |before| before.events) + 1,
            hash,
        };
        self.chains.insert(link.project.to_owned(), chain);
        self.last = link.seq;
        self.events += 1;
        Ok(())
    }

    fn check_place(&self, link: &Link<'_>) -> Found {
        let due = self.due();
        if link.seq > due {
            let detail = format!("it is not there; the next row is {}", link.seq);
            return Err(problem(due, None, ProblemKind::Missing, detail));
        }
        if link.seq < due {
            let detail = format!("it stands before the first place, {due}");
            return Err(problem(
                link.seq,
                Some(link.project),
                ProblemKind::Unlinked,
                detail,
            ));
        }
        Ok(())
    }

    /// How many anchors name this row, when all of them agree with it.
    fn check_anchors(&mut self, link: &Link<'_>, hash: Hash) -> Result<u64, Box<Problem>> {
        let anchors = self.anchors.remove(&link.seq).unwrap_or_default();
        for anchor in &anchors {
            if anchor.hash != hash || anchor.project.as_str() != link.project {
                let detail = format!(
                    "an anchor saw an event of \"{}\" with hash {} here; now it is one of \"{}\" with {hash}",
                    anchor.project, anchor.hash, link.project
                );
                return Err(problem(link.seq, Some(link.project), ProblemKind::Anchor, detail));
            }
        }
        Ok(anchors.len() as u64)
    }

    fn unreadable(&self, row: &Row, error: &everloop_db::Error) -> Box<Problem> {
        let seq = row.get::<i64>("seq").unwrap_or_else(|_| self.due());
        problem(
            seq,
            None,
            ProblemKind::Altered,
            format!("it can't be read: {error}"),
        )
    }

    /// What the end must be, once all rows are read.
    fn finish(&self, end: &End) -> Found {
        let due = self.due();
        if end.counter >= due {
            let detail = format!(
                "it is not there, but {} places were given: the end was cut off",
                end.counter
            );
            return Err(problem(due, None, ProblemKind::Truncated, detail));
        }
        // Only anchors of rows that were not met are left.
        if let Some(anchor) = self.anchors.values().flatten().next() {
            let detail = format!(
                "it is not there, but an anchor saw an event of \"{}\" at {} with hash {}",
                anchor.project, anchor.seq, anchor.hash
            );
            let project = Some(anchor.project.as_str());
            return Err(problem(due, project, ProblemKind::Truncated, detail));
        }
        if end.counter < self.last.max(0) {
            let detail = format!("only {} places were given: the counter was changed", end.counter);
            return Err(problem(end.counter + 1, None, ProblemKind::Head, detail));
        }
        self.check_heads(&end.heads)
    }

    fn check_heads(&self, heads: &[Head]) -> Found {
        for head in heads {
            let agrees = self.chains.get(&head.project).is_some_and(|chain| {
                (chain.seq, chain.at, chain.events) == (head.seq, head.at, head.events)
                    && chain.hash.to_hex() == head.hash
            });
            if !agrees {
                let detail = "the head noted for its project does not match the rows".to_owned();
                return Err(problem(head.seq, Some(&head.project), ProblemKind::Head, detail));
            }
        }
        let headless = self
            .chains
            .iter()
            .filter(|(project, _)| heads.iter().all(|head| head.project != **project))
            .min_by_key(|(_, chain)| chain.seq);
        match headless {
            Some((project, chain)) => {
                let detail = "no head is noted for its project".to_owned();
                Err(problem(chain.seq, Some(project), ProblemKind::Head, detail))
            }
            None => Ok(()),
        }
    }
}

/// A row's cells as they are stored, before anything is made of them.
struct Stored {
    seq: i64,
    at: i64,
    actor: String,
    project: String,
    kind: String,
    subject: String,
    payload: String,
    prev_hash: Hash,
    hash: String,
}

impl Stored {
    fn read(row: &Row) -> everloop_db::Result<Self> {
        Ok(Self {
            seq: row.get("seq")?,
            at: row.get("at")?,
            actor: row.get("actor")?,
            project: row.get("project")?,
            kind: row.get("kind")?,
            subject: row.get("subject")?,
            payload: row.get("payload")?,
            prev_hash: row.get("prev_hash")?,
            hash: row.get("hash")?,
        })
    }

    fn link(&self) -> Link<'_> {
        Link {
            seq: self.seq,
            at: self.at,
            actor: &self.actor,
            project: &self.project,
            kind: &self.kind,
            subject: &self.subject,
            payload: &self.payload,
            prev_hash: self.prev_hash,
        }
    }
}

fn problem(seq: i64, project: Option<&str>, kind: ProblemKind, detail: String) -> Box<Problem> {
    Box::new(Problem {
        seq: Seq(seq),
        project: project.map(str::to_owned),
        kind,
        detail,
    })
}
