//! The controller: one tick takes every step that is due.

use everloop_core::{Actor, Clock, Ids, PipelineRunId, ProjectName, Timestamp};
use everloop_datasets::Datasets;
use everloop_db::{Db, Tx, params};
use everloop_ledger::{Event, Filter};
use everloop_monitoring::Monitoring;
use everloop_objects::Objects;
use everloop_pipelines::Pipelines;
use everloop_project::When;
use everloop_registry::Registry;
use everloop_serving::Serving;
use everloop_tables::Tables;
use parking_lot::RwLock;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::firing::fire;
use crate::retrainings::{self, Retraining};
use crate::triggers::{key_of, matches};
use crate::{Error, ProjectFile, Result};

/// The consumer's name in the ledger.
const CONSUMER: &str = "controller";
/// Events looked at together.
const BATCH: usize = 500;
/// Without any event the clock is looked at this often, for schedules and rollouts.
const AT_LEAST_EVERY: Duration = Duration::from_secs(5);

/// The capabilities that the loop joins.
#[derive(Clone)]
#[allow(missing_docs, reason = "each is the capability of its name")]
pub struct Parts {
    pub db: Db,
    pub clock: Clock,
    pub ids: Ids,
    pub objects: Objects,
    pub tables: Tables,
    pub registry: Registry,
    pub datasets: Datasets,
    pub pipelines: Pipelines,
    pub serving: Serving,
    pub monitoring: Monitoring,
}

/// The loop of one project. Cheap to clone.
#[derive(Clone)]
pub struct Controller(pub(crate) Arc<Inner>);

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller")
            .field("project", &self.0.project)
            .finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) parts: Parts,
    pub(crate) project: ProjectName,
    file: RwLock<Option<Arc<ProjectFile>>>,
    /// Two ticks of one process would only take each other's steps.
    ticking: tokio::sync::Mutex<()>,
    /// Rows logged when a rollout was last judged.
    pub(crate) judged_at: parking_lot::Mutex<Option<(String, u64)>>,
    /// What the next window of a number of rows waits for.
    pub(crate) waiting: parking_lot::Mutex<Option<crate::watching::Waiting>>,
}

impl Controller {
    /// The loop of `project` over `parts`. Without a project file it only carries out what people ask for.
    #[must_use]
    pub fn new(parts: Parts, project: ProjectName, file: Option<ProjectFile>) -> Self {
        Self(Arc::new(Inner {
            parts,
            project,
            file: RwLock::new(file.map(Arc::new)),
            ticking: tokio::sync::Mutex::default(),
            judged_at: parking_lot::Mutex::default(),
            waiting: parking_lot::Mutex::default(),
        }))
    }

    /// The project as it was last read.
    #[must_use]
    pub fn file(&self) -> Option<Arc<ProjectFile>> {
        self.0.file.read().clone()
    }

    /// Takes a newly read project.
    pub fn set_file(&self, file: ProjectFile) {
        *self.0.file.write() = Some(Arc::new(file));
    }

    pub(crate) fn need_file(&self) -> Result<Arc<ProjectFile>> {
        self.file().ok_or_else(|| Error::Project {
            words: "there is no everloop.yaml".to_owned(),
            path: crate::project::FILE.into(),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.parts.clock.now()
    }

    pub(crate) fn me() -> Actor {
        Actor::system("controller")
    }

    /// Changes the loop's state. Only one such change of a project runs at a time, whichever server it runs on, so what
    /// `change` reads stays true until it has committed.
    pub(crate) async fn write<T, F>(&self, mut change: F) -> Result<T>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let key = format!("loop:{}", self.0.project);
        self.0
            .parts
            .db
            .write(move |tx| {
                tx.lock(&key)?;
                change(tx)
            })
            .await
    }

    /// Takes a step of a retraining: `take` changes what belongs to it and answers what the retraining becomes. False,
    /// with nothing changed, when another server took a step of it since it was `seen`.
    pub(crate) async fn step<F>(&self, seen: &Retraining, mut take: F) -> Result<bool>
    where
        F: FnMut(&mut Tx<'_>) -> Result<Retraining> + Send + 'static,
    {
        let (project, now, seen) = (self.0.project.clone(), self.now(), seen.clone());
        self.write(move |tx| {
            if !retrainings::stands(tx, &project, &seen)? {
                return Ok(false);
            }
            let next = take(tx)?;
            retrainings::advance(tx, now, &project, &seen, &next)
        })
        .await
    }

    /// Takes every step that is due; tells how many. Zero means that nothing is left to do but to wait.
    ///
    /// # Errors
    /// When a store fails; the step is taken by a later tick.
    pub async fn tick(&self) -> Result<usize> {
        let _one = self.0.ticking.lock().await;
        let mut steps = self.take_events().await?;
        steps += self.fire_schedules().await?;
        steps += self.watch().await?;
        steps += self.advance_all().await?;
        steps += self.advance_runs().await?;
        Ok(steps)
    }

    /// Ticks until nothing is left to do, waiting for pipelines that run. For replays and tests: afterwards every
    /// consequence of what was done so far has happened.
    ///
    /// # Errors
    /// When a store fails.
    pub async fn settle(&self) -> Result<()> {
        loop {
            if self.tick().await? > 0 {
                continue;
            }
            let Some(run) = self.running().await? else {
                return Ok(());
            };
            self.0.parts.pipelines.wait(&self.0.project, &run).await?;
        }
    }

    /// A pipeline run that something waits for.
    async fn running(&self) -> Result<Option<PipelineRunId>> {
        match self.training_run().await? {
            Some(run) => Ok(Some(run)),
            None => self.triggered_run().await,
        }
    }

    /// Keeps the loop going until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut bell = self.0.parts.db.subscribe(everloop_ledger::CHANNEL);
        loop {
            match self.tick().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => tracing::error!(%error, "the loop could not take a step; it tries again"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = bell.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(AT_LEAST_EVERY) => {}
            }
        }
    }

    /// Looks at the ledger's new rows and fires what waits for them.
    async fn take_events(&self) -> Result<usize> {
        let (project, file) = (self.0.project.clone(), self.file());
        let filter = Filter {
            project: Some(project.clone()),
            ..Filter::default()
        };
        let read = {
            let project = project.clone();
            self.0
                .parts
                .db
                .read(move |tx| {
                    let cursor = everloop_ledger::cursor(tx, &consumer(&project))?;
                    Ok::<_, Error>((everloop_ledger::after(tx, cursor, BATCH, &filter)?, cursor))
                })
                .await?
        };
        let (events, read_from) = read;
        let Some(last) = events.last().map(|event| event.seq) else {
            return Ok(0);
        };
        let interesting: Vec<Event> = match &file {
            Some(file) => events
                .into_iter()
                .filter(|event| file.project.on.iter().any(|trigger| matches(trigger, event)))
                .collect(),
            None => Vec::new(),
        };
        let (ids, now) = (self.0.parts.ids.clone(), self.now());
        self.write(move |tx| {
            // Another server fired for these events meanwhile.
            if everloop_ledger::cursor(tx, &consumer(&project))? != read_from {
                return Ok(0);
            }
            for event in &interesting {
                let triggers = file.iter().flat_map(|file| &file.project.on);
                for trigger in triggers.filter(|trigger| matches(trigger, event)) {
                    let reason = json!({
                        "event": event.kind, "subject": event.subject, "seq": event.seq.0,
                        "words": event.payload.get("words").cloned().unwrap_or(Value::Null),
                    });
                    fire(tx, &ids, now, &project, trigger, &reason)?;
                }
            }
            everloop_ledger::set_cursor(tx, &consumer(&project), last)?;
            // The cursor's own move is no step: only what fired is.
            Ok(interesting.len())
        })
        .await
    }

    async fn fire_schedules(&self) -> Result<usize> {
        let Some(file) = self.file() else { return Ok(0) };
        if !file
            .project
            .on
            .iter()
            .any(|trigger| matches!(trigger.when, When::Schedule(_)))
        {
            return Ok(0);
        }
        let (ids, now, project) = (self.0.parts.ids.clone(), self.now(), self.0.project.clone());
        self.write(move |tx| {
            let mut fired = 0;
            for trigger in &file.project.on {
                let When::Schedule(schedule) = &trigger.when else {
                    continue;
                };
                let name = key_of(trigger);
                let expression = format!("{} {}", schedule.cron, schedule.timezone);
                let next_after = |at| {
                    schedule
                        .cron
                        .next_after(at, schedule.timezone)
                        .unwrap_or(Timestamp(i64::MAX))
                };
                let due = next_due(tx, &project, &name, &expression)?;
                if let Some(due) = due
                    && due <= now
                {
                    fire(
                        tx,
                        &ids,
                        now,
                        &project,
                        trigger,
                        &json!({ "schedule": expression, "due": due }),
                    )?;
                    fired += 1;
                } else if due.is_some() {
                    continue;
                }
                // However many times were missed, the next one lies ahead.
                set_next_due(tx, &project, &name, &expression, next_after(now))?;
            }
            Ok(fired)
        })
        .await
    }
}

/// The ledger knows consumers by name; each project's loop is its own.
fn consumer(project: &ProjectName) -> String {
    format!("{CONSUMER}:{project}")
}

/// When the schedule is due; none when it is new or was changed.
fn next_due(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    name: &str,
    expression: &str,
) -> Result<Option<Timestamp>> {
    let row = tx.query_opt(
        "SELECT next_at FROM trigger_schedules WHERE project = ?1 AND trigger_name = ?2 AND expression = ?3",
        &params![project.as_str(), name, expression],
    )?;
    row.map(|row| Ok(row.get("next_at")?)).transpose()
}

fn set_next_due(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    name: &str,
    expression: &str,
    next: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO trigger_schedules (project, trigger_name, expression, next_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (project, trigger_name) DO UPDATE SET expression = excluded.expression, \
         next_at = excluded.next_at",
        &params![project.as_str(), name, expression, next],
    )?;
    Ok(())
}
