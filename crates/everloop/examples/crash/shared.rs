//! What all clients share.

use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, Client, Refusal};
use crate::journal::Journal;
use crate::workspace::Workspace;

/// What all clients share.
#[derive(Debug)]
pub struct Shared {
    pub workspace: Workspace,
    pub client: Client,
    url: watch::Sender<String>,
    journal: Mutex<Journal>,
    /// No new work, only predictions.
    pub winding_down: CancellationToken,
    /// Nothing at all.
    pub stop: CancellationToken,
    /// Whether the disk has no room: then a clear no is right.
    disk_is_full: AtomicBool,
    pub seed: u64,
}

impl Shared {
    pub fn new(workspace: Workspace, seed: u64) -> anyhow::Result<Self> {
        let (url, seen) = watch::channel("http://127.0.0.1:1".to_owned());
        Ok(Self {
            workspace,
            client: Client::new(seen)?,
            url,
            journal: Mutex::default(),
            winding_down: CancellationToken::new(),
            stop: CancellationToken::new(),
            disk_is_full: AtomicBool::new(false),
            seed,
        })
    }

    /// Tells the clients where the server answers now.
    pub fn listening_at(&self, url: &str) {
        self.url.send_replace(url.to_owned());
    }

    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wrong(&self, what: impl Into<String>) {
        self.journal().wrong(what);
    }

    pub fn set_disk_full(&self, is_full: bool) {
        self.disk_is_full.store(is_full, Ordering::SeqCst);
    }

    /// The body of an answer that was done; a no is counted, and told when it is none that this server should give.
    pub fn take(&self, what: &str, answer: Answer) -> Option<Value> {
        match answer {
            Answer::Done(body) => {
                self.journal().count(what, 1);
                Some(body)
            }
            Answer::Refused(refusal) => {
                self.judge(what, &refusal);
                None
            }
            Answer::Lost => {
                self.journal().count(&format!("{what}, answer lost"), 1);
                None
            }
        }
    }

    /// Busy loops, versions that are not there yet: all of these have their words. What broke has not.
    fn judge(&self, what: &str, refusal: &Refusal) {
        self.journal().count(&format!("{what}, {}", refusal.status), 1);
        let is_full = refusal.status == 507;
        if is_full && refusal.code == "storage_full" && refusal.hint.is_none() {
            self.wrong(format!(
                "{what} was not told how to mend a full disk: {refusal:?}"
            ));
        }
        let is_fine = match is_full {
            true => self.disk_is_full.load(Ordering::SeqCst),
            false => matches!(refusal.status, 404 | 409 | 412 | 422 | 503),
        };
        if !is_fine {
            let Refusal {
                status,
                code,
                message,
                ..
            } = refusal;
            self.wrong(format!("{what} was answered {status} {code}: {message}"));
        }
    }
}
