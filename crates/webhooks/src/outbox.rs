//! From the ledger to the receivers.

use everloop_core::{Clock, ProjectName, Timestamp};
use everloop_db::Db;
use everloop_ledger::Filter;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::dialect::{Envelope, Message};
use crate::egress::{NotSent, Said};
use crate::retry::{MOST_ATTEMPTS, wait_after};
use crate::store::{self, CHANNEL, Delivery, DeliveryState, Ended};
use crate::{Egress, Hook, Key, Result};

/// The consumer's name in the ledger.
const CONSUMER: &str = "webhooks";
/// Events looked at together.
const BATCH: usize = 500;
/// Without any event rows are looked at this often, for those that another server left behind.
const AT_LEAST_EVERY: Duration = Duration::from_secs(30);
/// The receiver is gone for good, it says.
const GONE: u16 = 410;

/// Attempts since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Those that a receiver said yes to.
    pub delivered: u64,
    /// Those that failed.
    pub failed: u64,
}

/// The outbox of one project. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    project: ProjectName,
    egress: Egress,
    hooks: RwLock<Arc<Vec<Hook>>>,
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl Outbox {
    /// The outbox of `project` in `db`, for nobody yet.
    #[must_use]
    pub fn new(db: Db, clock: Clock, project: ProjectName, egress: Egress) -> Self {
        Self(Arc::new(Inner {
            db,
            clock,
            project,
            egress,
            hooks: RwLock::default(),
            delivered: AtomicU64::default(),
            failed: AtomicU64::default(),
        }))
    }

    /// Who is told.
    #[must_use]
    pub fn hooks(&self) -> Arc<Vec<Hook>> {
        Arc::clone(&self.0.hooks.read())
    }

    /// Attempts since the process started.
    #[must_use]
    pub fn attempts(&self) -> Attempts {
        Attempts {
            delivered: self.0.delivered.load(Ordering::Relaxed),
            failed: self.0.failed.load(Ordering::Relaxed),
        }
    }

    /// Says who is told from now on. What waits for others is cancelled. The first hooks of a project hear of what
    /// happens from here on, not of its past.
    ///
    /// # Errors
    /// When the database fails; then nothing has changed.
    pub async fn set_hooks(&self, hooks: Vec<Hook>) -> Result<()> {
        let hooks = Arc::new(hooks);
        let (project, wall, named) = (self.0.project.clone(), self.0.clock.wall(), Arc::clone(&hooks));
        let consumer = self.consumer();
        self.0
            .db
            .write(move |tx| {
                store::cancel_others(tx, &project, &named, wall)?;
                store::forget_old(tx, &project, wall)?;
                if !named.is_empty() && everloop_ledger::cursor(tx, &consumer)?.0 == 0 {
                    let head = everloop_ledger::head(tx)?;
                    everloop_ledger::set_cursor(tx, &consumer, head)?;
                }
                Ok::<_, crate::Error>(())
            })
            .await?;
        *self.0.hooks.write() = hooks;
        Ok(())
    }

    /// Takes up what has happened and sends everything that is due; answers how many attempts it made. Zero means that
    /// there is nothing to do but to wait.
    ///
    /// # Errors
    /// When the database fails; a later tick goes on.
    pub async fn tick(&self) -> Result<usize> {
        self.tick_until(&CancellationToken::new()).await
    }

    async fn tick_until(&self, stop: &CancellationToken) -> Result<usize> {
        while self.take_events().await? {}
        let hooks = self.hooks();
        // A slow receiver keeps nobody else waiting.
        let sent = futures::future::try_join_all(hooks.iter().map(|hook| self.send_due(hook, stop))).await?;
        Ok(sent.into_iter().sum())
    }

    /// Sends until `stop`; an attempt that is under way then is broken off and made again by the next process.
    pub async fn run(&self, stop: CancellationToken) {
        let mut ledger = self.0.db.subscribe(everloop_ledger::CHANNEL);
        let mut asked = self.0.db.subscribe(CHANNEL);
        while !stop.is_cancelled() {
            ledger.mark_unchanged();
            asked.mark_unchanged();
            let wait = match self.tick_until(&stop).await {
                Ok(_) => self.wait().await,
                Err(error) => {
                    tracing::error!(%error, "webhooks could not be told; they are tried again");
                    AT_LEAST_EVERY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                changed = ledger.changed() => if changed.is_err() { return },
                changed = asked.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn consumer(&self) -> String {
        format!("{CONSUMER}:{}", self.0.project)
    }

    /// Turns the ledger's next rows into deliveries; tells whether there may be more.
    async fn take_events(&self) -> Result<bool> {
        let hooks = self.hooks();
        let (consumer, filter) = (
            self.consumer(),
            Filter {
                project: Some(self.0.project.clone()),
                ..Filter::default()
            },
        );
        let name = consumer.clone();
        let (cursor, events, head) = self
            .0
            .db
            .read(move |tx| {
                let cursor = everloop_ledger::cursor(tx, &name)?;
                let events = everloop_ledger::after(tx, cursor, BATCH, &filter)?;
                Ok::<_, crate::Error>((cursor, events, everloop_ledger::head(tx)?))
            })
            .await?;
        let more = events.len() == BATCH;
        let to = match events.last() {
            Some(last) if more => last.seq,
            _ => head,
        };
        // A project that never told anyone keeps no place.
        if to <= cursor || (hooks.is_empty() && cursor.0 == 0) {
            return Ok(false);
        }
        let wall = self.0.clock.wall();
        self.0
            .db
            .write(move |tx| {
                for event in &events {
                    for hook in hooks.iter().filter(|hook| hook.wants(event)) {
                        store::enqueue(tx, hook, event, wall)?;
                    }
                }
                Ok::<_, crate::Error>(everloop_ledger::set_cursor(tx, &consumer, to)?)
            })
            .await?;
        Ok(more)
    }

    /// Sends what is due to one hook, one after the other.
    async fn send_due(&self, hook: &Hook, stop: &CancellationToken) -> Result<usize> {
        let mut sent = 0;
        while !stop.is_cancelled() {
            let (project, wall, id) = (self.0.project.clone(), self.0.clock.wall(), hook.id.clone());
            let claimed = self
                .0
                .db
                .write(move |tx| store::claim(tx, &project, &id, wall))
                .await?;
            let Some(claimed) = claimed else { break };
            let ended = tokio::select! {
                ended = self.attempt(hook, &claimed) => ended?,
                () = stop.cancelled() => self.broken_off(),
            };
            sent += 1;
            let (project, times) = (self.0.project.clone(), (self.0.clock.wall(), self.0.clock.now()));
            self.0
                .db
                .write(move |tx| store::finish(tx, &project, &claimed, &ended, times))
                .await?;
        }
        Ok(sent)
    }

    async fn attempt(&self, hook: &Hook, claimed: &Delivery) -> Result<Ended> {
        let seq = claimed.seq;
        let event = self.0.db.read(move |tx| everloop_ledger::get(tx, seq)).await?;
        let key = match &hook.key {
            Key::None => Ok(None),
            Key::Secret(key) => Ok(Some(key.as_slice())),
            Key::Missing(variable) => Err(NotSent::Failed(format!(
                "the variable {variable} of its secret is not set"
            ))),
        };
        let outcome = match (event, key) {
            (None, _) => Err(NotSent::Refused(
                "its event is no longer in the ledger".to_owned(),
            )),
            (_, Err(problem)) => Err(problem),
            (Some(event), Ok(key)) => {
                let message = Message {
                    topic: &claimed.topic,
                    event: &event,
                };
                let body = (hook.dialect.body)(&message).to_string().into_bytes();
                let headers = (hook.dialect.headers)(&Envelope {
                    id: &claimed.id,
                    sent_at: self.0.clock.wall(),
                    body: &body,
                    key,
                });
                self.0.egress.post(&hook.url, &headers, body).await
            }
        };
        let ended = judge(claimed, outcome, self.0.clock.wall());
        let counter = match ended.state {
            DeliveryState::Delivered => &self.0.delivered,
            _ => &self.0.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(ended)
    }

    fn broken_off(&self) -> Ended {
        Ended {
            state: DeliveryState::Pending,
            next_at: self.0.clock.wall(),
            status: None,
            problem: Some("the server was stopped".to_owned()),
            takes_back: true,
        }
    }

    /// How long there is nothing to do.
    async fn wait(&self) -> Duration {
        let (project, hooks) = (self.0.project.clone(), self.hooks());
        let due = self
            .0
            .db
            .read(move |tx| {
                let mut first: Option<Timestamp> = None;
                for hook in hooks.iter() {
                    let due = store::next_due(tx, &project, &hook.id)?;
                    first = first.into_iter().chain(due).min();
                }
                Ok::<_, crate::Error>(first)
            })
            .await;
        match due {
            Ok(Some(due)) => due.since(self.0.clock.wall()).min(AT_LEAST_EVERY),
            Ok(None) | Err(_) => AT_LEAST_EVERY,
        }
    }
}

/// What becomes of a message after an attempt.
fn judge(claimed: &Delivery, outcome: Result<Said, NotSent>, wall: Timestamp) -> Ended {
    let (status, problem, asked, is_final) = match outcome {
        Ok(said) if (200..300).contains(&said.status) => {
            return Ended {
                state: DeliveryState::Delivered,
                next_at: wall,
                status: Some(said.status),
                problem: None,
                takes_back: false,
            };
        }
        Ok(said) => {
            let problem = format!("it answered {}", said.status);
            (Some(said.status), problem, said.retry_after, said.status == GONE)
        }
        Err(NotSent::Refused(problem)) => (None, problem, None, true),
        Err(NotSent::Failed(problem)) => (None, problem, None, false),
    };
    let state = match is_final || claimed.attempts >= MOST_ATTEMPTS {
        true => DeliveryState::Dead,
        false => DeliveryState::Pending,
    };
    Ended {
        state,
        next_at: wall.plus(wait_after(&claimed.id, claimed.attempts, asked)),
        status,
        problem: Some(problem),
        takes_back: false,
    }
}
