//! The writer thread: group commit.
//!
//! It takes everything that waits, runs each request in a savepoint of one transaction, commits once, and only then
//! answers all of them. A request that fails takes back its own savepoint only. When the whole transaction is lost
//! (disk full, a deferred constraint), each request is run again alone, so that one can't fail its neighbours.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rusqlite::Connection;

use super::queue::Message;
use super::{Shared, errors, statements};
use crate::job::Job;
use crate::tx::{Access, Engine};
use crate::{Error, Result, Tx};

/// How often we look whether another process committed, while anyone here waits for wake-ups. SQLite has no other way
/// to tell; looking costs a few microseconds and touches no disk.
const WATCH_OTHERS: Duration = Duration::from_millis(200);

/// More than this in one commit gains nothing and makes the first one wait.
const LARGEST_BATCH: usize = 1_024;

type Jobs = Vec<Box<dyn Job>>;

pub(crate) fn start(
    connection: Connection,
    jobs: Receiver<Message>,
    shared: Arc<Shared>,
) -> Result<JoinHandle<()>> {
    let mut writer = Writer {
        connection,
        jobs,
        shared,
        version: 0,
        stopped: None,
    };
    writer.version = writer.data_version();
    spawn("db-writer", move || writer.run())
}

/// Starts a named thread, whose owner joins it on closing.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| Error::Unavailable {
            problem: format!("thread \"{name}\" can't be started: {error}"),
        })
}

struct Writer {
    connection: Connection,
    jobs: Receiver<Message>,
    shared: Arc<Shared>,
    /// What `PRAGMA data_version` said last; it changes when another connection commits.
    version: i64,
    /// Set for good after a failed sync.
    stopped: Option<Error>,
}

impl Writer {
    fn run(mut self) {
        while let Some(batch) = self.next_batch() {
            self.serve(batch);
            self.notice_others();
        }
    }

    /// Waits for a request and takes all that wait with it; `None` when the database closes.
    fn next_batch(&mut self) -> Option<Jobs> {
        loop {
            let mut batch = Jobs::new();
            match self.receive() {
                Ok(Message::Run(job)) => batch.push(job),
                Ok(Message::Nudge) => continue,
                Err(RecvTimeoutError::Timeout) => {
                    self.notice_others();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            let waiting = self.jobs.len().min(LARGEST_BATCH - 1);
            batch.extend(
                self.jobs
                    .try_iter()
                    .take(waiting)
                    .filter_map(|message| match message {
                        Message::Run(job) => Some(job),
                        Message::Nudge => None,
                    }),
            );
            batch.retain(|job| !job.is_abandoned());
            if !batch.is_empty() {
                return Some(batch);
            }
        }
    }

    fn receive(&self) -> Result<Message, RecvTimeoutError> {
        if self.shared.wakes.anyone_waits() {
            self.jobs.recv_timeout(WATCH_OTHERS)
        } else {
            self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        }
    }

    fn serve(&mut self, mut batch: Jobs) {
        let wakes = match &self.stopped {
            Some(error) => self.fail_all(&mut batch, &error.clone()),
            None => self
                .commit_together(&mut batch)
                .unwrap_or_else(|| self.commit_alone(&mut batch)),
        };
        // Waiters are woken before the writer is answered: once `write` returns, its wake-up has happened.
        for channel in wakes {
            self.shared.wakes.wake(channel);
        }
        for job in batch {
            job.answer();
        }
    }

    /// Runs the whole batch in one transaction and answers whom to wake. `None` when each must be run alone: there is
    /// only one, or the transaction as a whole was lost.
    fn commit_together(&mut self, batch: &mut Jobs) -> Option<Vec<&'static str>> {
        if batch.len() == 1 {
            return None;
        }
        if let Err(error) = self.control("BEGIN IMMEDIATE") {
            return Some(self.fail_all(batch, &error));
        }
        let mut wakes = Vec::new();
        let mut kept = 0;
        for job in batch.iter_mut() {
            let ran = self.in_savepoint(job.as_mut());
            if self.connection.is_autocommit() {
                return None;
            }
            match ran {
                Ok(Some(channels)) => {
                    kept += 1;
                    wakes.extend(channels);
                }
                Ok(None) => {}
                Err(_) => {
                    self.roll_back();
                    return None;
                }
            }
        }
        if let Err(error) = self.commit() {
            tracing::warn!(error = %error, writes = batch.len(), "a group commit failed; each write is tried alone");
            return None;
        }
        self.shared.counters.commit(kept);
        (0..batch.len()).for_each(|index| self.shared.counters.write(index < kept));
        Some(wakes)
    }

    /// None of them can even begin; nobody is woken.
    fn fail_all(&self, batch: &mut Jobs, error: &Error) -> Vec<&'static str> {
        for job in batch {
            job.fail(error.clone());
            self.shared.counters.write(false);
        }
        Vec::new()
    }

    /// Runs each request in its own transaction.
    fn commit_alone(&mut self, batch: &mut Jobs) -> Vec<&'static str> {
        let mut wakes = Vec::new();
        for job in batch {
            let done = match &self.stopped {
                Some(error) => Err(error.clone()),
                None => self.alone(job.as_mut()),
            };
            self.shared.counters.write(matches!(done, Ok(Some(_))));
            match done {
                Ok(Some(channels)) => {
                    self.shared.counters.commit(1);
                    wakes.extend(channels);
                }
                Ok(None) => {}
                Err(error) => job.fail(error),
            }
        }
        wakes
    }

    /// One request, one transaction: whom to wake when it was kept, `None` when its own code said no.
    fn alone(&mut self, job: &mut dyn Job) -> Result<Option<Vec<&'static str>>> {
        self.control("BEGIN IMMEDIATE")?;
        let (keep, channels) = self.run_job(job);
        if keep && self.connection.is_autocommit() {
            return Err(Error::Aborted {
                earlier: "the database rolled the transaction back".to_owned(),
            });
        }
        if !keep {
            self.roll_back();
            return Ok(None);
        }
        self.commit()?;
        Ok(Some(channels))
    }

    fn in_savepoint(&mut self, job: &mut dyn Job) -> Result<Option<Vec<&'static str>>> {
        self.control("SAVEPOINT request")?;
        let (keep, channels) = self.run_job(job);
        if !keep {
            if !self.connection.is_autocommit() {
                self.control("ROLLBACK TO request")?;
                self.control("RELEASE request")?;
            }
            return Ok(None);
        }
        self.control("RELEASE request")?;
        Ok(Some(channels))
    }

    fn run_job(&self, job: &mut dyn Job) -> (bool, Vec<&'static str>) {
        let mut tx = Tx::new(Engine::Sqlite(&self.connection), Access::Write);
        let keep = job.run(&mut tx);
        self.shared.counters.statements(tx.statements());
        (keep, tx.take_wakes())
    }

    fn commit(&mut self) -> Result<()> {
        let done = self.control("COMMIT");
        if let Err(error) = &done {
            self.roll_back();
            if matches!(error, Error::Stopped { .. }) {
                tracing::error!(error = %error, "a commit can't be made durable; no more writes are taken");
                self.stopped = Some(error.clone());
            }
        }
        done
    }

    /// Ends the transaction; SQLite may have ended it itself.
    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.control("ROLLBACK")
        {
            tracing::error!(error = %error, "a transaction can't be rolled back");
        }
    }

    fn control(&self, sql: &str) -> Result<()> {
        statements::control(&self.connection, Access::Write, sql)
    }

    /// Wakes everyone when another process committed: which channel it meant we can't know.
    fn notice_others(&mut self) {
        if !self.shared.wakes.anyone_waits() {
            return;
        }
        let version = self.data_version();
        if version != self.version {
            self.version = version;
            self.shared.wakes.wake_all();
        }
    }

    fn data_version(&self) -> i64 {
        let sql = "PRAGMA data_version";
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .unwrap_or_else(|error| {
                let error = errors::translate(&error, Access::Read, sql);
                tracing::warn!(error = %error, "other processes' commits can't be watched");
                self.version
            })
    }
}
