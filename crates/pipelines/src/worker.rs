//! Workers: they take runs by a lease on the workspace, hold on while they live, and carry them out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use everloop_core::{Actor, ByteSize, PipelineRunId, Timestamp};
use everloop_db::{Lease, Tx, leases, params};
use everloop_project::Project;
use everloop_tracking::runs::RunStatus;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::StageAccess;
use crate::drive::Drive;
use crate::process::Marked;
use crate::rows::{self, Head, Stored, StoredStage};
use crate::{CHANNEL, Error, Failure, PipelineRun, Pipelines, Result, RunState, StageState, tracked};

/// How a worker works.
#[derive(Clone)]
pub struct WorkerOptions {
    /// Its name, for people: the host and process.
    pub name: String,
    /// Stages at once, of one run.
    pub slots: usize,
    /// Runs at once, of different workspaces.
    pub runs: usize,
    /// How long its lease holds without being renewed: after that long others take a dead worker's runs over.
    pub lease: Duration,
    /// How long the processes of a stage may take to end when they are asked to.
    pub grace: Duration,
    /// The pause before a failed stage's second attempt; it doubles with each, up to a minute.
    pub backoff: Duration,
    /// How often a stage is tried again because its worker died, beside its own retries.
    pub losses: u32,
    /// Bytes of a stage's output that are kept.
    pub log_limit: ByteSize,
    /// All variables that processes of stages see, beside those their stage declares and ours. Secrets of the server
    /// don't belong here.
    pub env: Arc<BTreeMap<String, String>>,
    /// Gives stages access to the server.
    pub access: Option<Arc<dyn StageAccess>>,
}

impl WorkerOptions {
    /// A worker called `name` whose stages see `env`, with as many slots as there are processors.
    #[must_use]
    pub fn new(name: impl Into<String>, env: BTreeMap<String, String>) -> Self {
        Self {
            name: name.into(),
            slots: std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
            runs: 4,
            lease: Duration::from_secs(15),
            grace: Duration::from_secs(5),
            backoff: Duration::from_secs(1),
            losses: 1,
            log_limit: ByteSize(64 << 20),
            env: Arc::new(env),
            access: None,
        }
    }
}

/// Takes whatever runs there are and carries them out.
pub struct Worker {
    pipelines: Pipelines,
    options: WorkerOptions,
}

/// Runs looked at in one round.
const ROUND: usize = 1_000;

/// The pause after a round that failed.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

impl Worker {
    /// A worker for the runs in `pipelines`.
    #[must_use]
    pub fn new(pipelines: Pipelines, options: WorkerOptions) -> Self {
        Self { pipelines, options }
    }

    /// Works until `stop`: then it ends the processes of its stages, gives their runs back and answers.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut changes = self.pipelines.db.subscribe(CHANNEL);
        let mut jobs: JoinSet<(String, Result<PipelineRun>)> = JoinSet::new();
        let mut busy = BTreeSet::new();
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            let pause = match self.take_what_there_is(&mut jobs, &mut busy, stop).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(%error, "the worker can't look for runs");
                    Some(AFTER_TROUBLE)
                }
            };
            tokio::select! {
                _ = changes.changed() => {}
                Some(done) = jobs.join_next(), if !jobs.is_empty() => free(done, &mut busy),
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                () = stop.cancelled() => {}
            }
        }
        while let Some(done) = jobs.join_next().await {
            free(done, &mut busy);
        }
    }

    /// Starts what is free; answers when a lease of someone else's ends that may then be taken.
    async fn take_what_there_is(
        &self,
        jobs: &mut JoinSet<(String, Result<PipelineRun>)>,
        busy: &mut BTreeSet<String>,
        stop: &CancellationToken,
    ) -> Result<Option<Duration>> {
        let now = self.pipelines.clock.wall();
        let waiting = self
            .pipelines
            .db
            .read(|tx| {
                let mut seen = Vec::new();
                for (id, workspace) in rows::unfinished(tx, ROUND)? {
                    let held = leases::get(tx, &lease_name(&workspace))?;
                    seen.push((id, workspace, held.map(|lease| lease.expires_at)));
                }
                Ok::<_, Error>(seen)
            })
            .await?;
        let mut soonest: Option<Timestamp> = None;
        for (id, workspace, expires) in waiting {
            if busy.contains(&workspace) || jobs.len() >= self.options.runs {
                continue;
            }
            if let Some(expires) = expires.filter(|expires| *expires > now) {
                soonest = Some(soonest.map_or(expires, |soonest| soonest.min(expires)));
                continue;
            }
            busy.insert(workspace.clone());
            let (pipelines, options, stop) = (self.pipelines.clone(), self.options.clone(), stop.clone());
            jobs.spawn(async move {
                let done = pipelines.execute(&id, &options, &stop).await;
                (workspace, done)
            });
        }
        Ok(soonest.map(|soonest| soonest.since(now) + Duration::from_millis(1)))
    }
}

fn free(done: Result<(String, Result<PipelineRun>), tokio::task::JoinError>, busy: &mut BTreeSet<String>) {
    match done {
        Ok((workspace, result)) => {
            busy.remove(&workspace);
            if let Err(error) = result {
                tracing::warn!(%error, workspace, "a pipeline run was given up by this worker");
            }
        }
        // Its workspace stays busy here; another worker takes it when the lease ends.
        Err(error) => tracing::error!(%error, "a task of the worker ended in an odd way"),
    }
}

/// The lease of a workspace: one worker at a time writes into a folder.
fn lease_name(workspace: &str) -> String {
    format!("workspace:{workspace}")
}

/// What taking a run over came to.
enum Taken {
    /// It is ours.
    Mine(Box<Mine>),
    /// It has ended.
    Over,
    /// Someone holds its workspace until then.
    Held(Timestamp),
}

/// A run that is ours, with all that is stored of it.
pub(crate) struct Mine {
    pub lease: Lease,
    pub run: Stored,
    pub project: Arc<Project>,
    pub stages: Vec<StoredStage>,
    pub heads: std::collections::HashMap<everloop_core::StageName, Head>,
    /// Whether another worker had it before.
    had_worker: bool,
}

impl Pipelines {
    /// Carries a run out in this process, waiting for its workspace when someone else works there, and answers how it
    /// ended. When `stop` comes first, it ends the processes of its stages, gives the run back and answers how it
    /// stands.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`]; [`Error::TakenOver`] when this process was thought dead; those of the database.
    pub async fn execute(
        &self,
        id: &PipelineRunId,
        options: &WorkerOptions,
        stop: &CancellationToken,
    ) -> Result<PipelineRun> {
        let mut changes = self.db.subscribe(CHANNEL);
        loop {
            changes.mark_unchanged();
            match self.take(id, options).await? {
                Taken::Over => break,
                Taken::Mine(mine) => {
                    self.drive(*mine, options, stop).await?;
                    break;
                }
                Taken::Held(until) => {
                    let pause = until.since(self.clock.wall()) + Duration::from_millis(1);
                    tokio::select! {
                        _ = changes.changed() => {}
                        () = tokio::time::sleep(pause) => {}
                        () = stop.cancelled() => break,
                    }
                }
            }
        }
        let id = id.clone();
        self.db
            .read(move |tx| {
                let project = rows::stored(tx, &id)?.map(|run| run.summary.project);
                let project = project.ok_or_else(|| Error::NoSuchRun(id.clone()))?;
                rows::whole(tx, &project, &id)
            })
            .await
    }

    async fn take(&self, id: &PipelineRunId, options: &WorkerOptions) -> Result<Taken> {
        let (id, clock, options) = (id.clone(), self.clock.clone(), options.clone());
        self.db.write(move |tx| take(tx, &id, &clock, &options)).await
    }

    async fn drive(&self, mine: Mine, options: &WorkerOptions, stop: &CancellationToken) -> Result<()> {
        let lease = mine.lease.clone();
        let id = mine.run.summary.id.clone();
        let lost = CancellationToken::new();
        let mut heart = JoinSet::new();
        heart.spawn(beat(self.clone(), lease.clone(), options.lease, lost.clone()));
        if mine.had_worker {
            // What a dead worker left behind would write into the workspace together with us.
            Marked::of_run(&id).kill().await;
        }
        let driven = match Drive::new(self, mine, options, lost) {
            Ok(drive) => drive.run(stop).await,
            Err(error) => Err(error),
        };
        heart.abort_all();
        match driven {
            Ok(()) => Ok(()),
            Err(error @ (Error::TakenOver(_) | Error::Db(_) | Error::Ledger(_))) => Err(error),
            // What is wrong with the run itself will be as wrong for the next worker.
            Err(error) => self.give_up(id, lease, error).await,
        }
    }

    /// Ends a run that can't be carried out.
    async fn give_up(&self, id: PipelineRunId, lease: Lease, error: Error) -> Result<()> {
        let (at, text) = (self.clock.now(), error.to_string());
        self.db
            .write(move |tx| {
                leases::check(tx, &lease)?;
                tx.execute(
                    "UPDATE pipeline_stages SET state = 'skipped', finished_at = ?2
                     WHERE run = ?1 AND state IN ('pending', 'running')",
                    &params![&id, at],
                )?;
                tx.execute(
                    "UPDATE pipeline_runs SET state = 'failed', error = ?2, finished_at = ?3
                     WHERE id = ?1 AND state = 'running'",
                    &params![&id, &text, at],
                )?;
                leases::release(tx, &lease)?;
                let Some(run) = rows::stored(tx, &id)? else {
                    return Ok(());
                };
                let event = everloop_ledger::NewEvent {
                    project: run.summary.project,
                    actor: parse_actor(&run.summary.actor),
                    kind: "pipeline.finished",
                    subject: format!("pipeline:{id}"),
                    payload: serde_json::json!({"state": "failed", "error": text, "reason": run.request.reason}),
                };
                everloop_ledger::append(tx, at, event)?;
                tx.wake(CHANNEL);
                Ok::<_, Error>(())
            })
            .await?;
        Err(error)
    }
}

/// Renews the lease until it is lost or this is dropped.
async fn beat(pipelines: Pipelines, lease: Lease, ttl: Duration, lost: CancellationToken) {
    let mut lease = lease;
    loop {
        tokio::time::sleep(ttl / 3).await;
        let (held, wall) = (lease.clone(), pipelines.clock.wall());
        let renewed = pipelines
            .db
            .write(move |tx| leases::renew(tx, &held, ttl, wall))
            .await;
        match renewed {
            Ok(renewed) => lease = renewed,
            Err(everloop_db::Error::LeaseLost { .. }) => break,
            // The database may come back before the lease ends.
            Err(error) if pipelines.clock.wall() < lease.expires_at => {
                tracing::warn!(%error, "a worker's lease was not renewed; trying again");
            }
            Err(_) => break,
        }
    }
    lost.cancel();
}

/// Takes the lease of the run's workspace, the run with it, and marks it as running.
fn take(
    tx: &mut Tx<'_>,
    id: &PipelineRunId,
    clock: &everloop_core::Clock,
    options: &WorkerOptions,
) -> Result<Taken> {
    let run = rows::stored(tx, id)?.ok_or_else(|| Error::NoSuchRun(id.clone()))?;
    if run.summary.state.is_end() {
        return Ok(Taken::Over);
    }
    let name = lease_name(&run.summary.workspace);
    let wall = clock.wall();
    let Some(lease) = leases::acquire(tx, &name, &options.name, options.lease, wall)? else {
        let until = leases::get(tx, &name)?.map_or(wall, |lease| lease.expires_at);
        return Ok(Taken::Held(until));
    };
    // On Postgres someone may have ended it while we waited for the lease.
    let run = rows::stored(tx, id)?.ok_or_else(|| Error::NoSuchRun(id.clone()))?;
    if run.summary.state.is_end() {
        leases::release(tx, &lease)?;
        return Ok(Taken::Over);
    }
    let had_worker = run.summary.state == RunState::Running;
    tx.execute(
        "UPDATE pipeline_runs SET state = 'running', started_at = COALESCE(started_at, ?2) WHERE id = ?1",
        &params![id, clock.now()],
    )?;
    if had_worker {
        recover(tx, &run, clock.now(), options)?;
    }
    tx.wake(CHANNEL);
    Ok(Taken::Mine(Box::new(Mine {
        project: rows::definition(tx, run.summary.definition)?,
        stages: rows::stages(tx, id)?,
        heads: rows::heads(tx, &run.summary.project)?,
        lease,
        run,
        had_worker,
    })))
}

/// Gives the stages that ran under a dead worker another attempt, or ends them.
fn recover(tx: &mut Tx<'_>, run: &Stored, at: Timestamp, options: &WorkerOptions) -> Result<()> {
    let id = &run.summary.id;
    let by = everloop_core::By {
        project: run.summary.project.clone(),
        actor: parse_actor(&run.summary.actor),
        at,
    };
    for stage in rows::stages(tx, id)? {
        if stage.shown.state != StageState::Running {
            continue;
        }
        if let Some(tracked_run) = &stage.shown.tracked_run {
            tracked::end(tx, &by, tracked_run, RunStatus::Killed)?;
        }
        let losses = stage.losses + 1;
        let failure = Failure::WorkerLost {
            attempts: stage.shown.attempt,
        };
        let state = match losses > options.losses {
            true => StageState::Failed,
            false => StageState::Pending,
        };
        tx.execute(
            "UPDATE pipeline_stages SET state = ?3, losses = ?4, error = ?5, error_code = 'unavailable',
                 finished_at = ?6, log = NULL, log_size = NULL
             WHERE run = ?1 AND stage = ?2 AND state = 'running'",
            &params![
                id,
                &stage.shown.stage,
                state.as_str(),
                losses,
                tracked::told(&stage.shown.stage, &failure),
                at
            ],
        )?;
    }
    Ok(())
}

/// Who asked for a run, as stored.
pub(crate) fn parse_actor(text: &str) -> Actor {
    text.parse().unwrap_or_else(|()| Actor::system("pipelines"))
}
