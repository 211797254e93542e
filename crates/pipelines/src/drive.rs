//! Carrying one run out: decide what may go, record it, start it, wait, and so on until every stage has ended.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use everloop_core::RunId;
use everloop_project::{Action, Project, Stage};
use tokio::sync::OnceCell;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Attempt, Ended};
use crate::board::{Board, Place};
use crate::commit::{self, Cached, Close, Ctx, End, Finish, Start, Step};
use crate::decide::{self, Decider, Decision, Hit, Todo};
use crate::files::{Files, panic_text};
use crate::pipelines::CANCELS;
use crate::provenance::{self, Surroundings};
use crate::submit::OnFailure;
use crate::worker::{Mine, WorkerOptions, parse_actor};
use crate::{Error, Failure, Pipelines, Result, RunState, StageState, rows, submit, tracked};

/// The longest pause before another attempt.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// A run at work.
pub(crate) struct Drive {
    pipelines: Pipelines,
    options: Arc<WorkerOptions>,
    ctx: Arc<Ctx>,
    project: Arc<Project>,
    decider: Arc<Decider>,
    board: Board,
    on_failure: OnFailure,
    /// Stages decided to run, that wait for a slot.
    queue: VecDeque<(Place, Todo)>,
    jobs: JoinSet<Done>,
    /// Attempts among the jobs.
    running: usize,
    cancel: CancellationToken,
    stop: CancellationToken,
    lost: CancellationToken,
    has_parent: bool,
    surroundings: Arc<OnceCell<Surroundings>>,
    /// Whether some command seems to run Python, so that its version matters.
    asks_python: bool,
    error: Option<String>,
}

/// A job that is over.
enum Done {
    Attempt(Box<Ended>),
    Restored(Place, Box<Hit>, Result<(), Failure>),
}

impl Drive {
    /// The run, ready to go on from where it stands.
    ///
    /// # Errors
    /// When its workspace is gone or its project makes no sense any more.
    pub fn new(
        pipelines: &Pipelines,
        mine: Mine,
        options: &WorkerOptions,
        lost: CancellationToken,
    ) -> Result<Self> {
        let options = Arc::new(options.clone());
        let (summary, request) = (mine.run.summary, mine.run.request);
        let graph = submit::graph(&mine.project)?;
        let stages = mine.stages.iter().map(|stage| {
            let shown = &stage.shown;
            (shown.stage.clone(), shown.state, shown.attempt, stage.failures)
        });
        let board = Board::new(&graph, stages.collect());
        let root = PathBuf::from(&summary.workspace);
        let decider = Decider {
            name: summary.project.clone(),
            project: Arc::clone(&mine.project),
            files: Files::open(&root)?,
            root,
            db: pipelines.db.clone(),
            objects: pipelines.objects.clone(),
            heads: mine.heads,
            overrides: request.params,
            force: request.force,
            env: Arc::clone(&options.env),
        };
        let has_parent = summary.tracked_run.is_some();
        let ctx = Ctx {
            run: summary.id,
            project: summary.project,
            actor: parse_actor(&summary.actor),
            lease: mine.lease,
            worker: options.name.clone(),
            parent: summary.tracked_run.unwrap_or_else(|| pipelines.ids.run()),
            reason: request.reason,
            clock: pipelines.clock.clone(),
        };
        let runs_python = |stage: &Stage| match &stage.action {
            Action::Cmd { cmd } => cmd.0.iter().any(|line| line.contains("python")),
            _ => false,
        };
        Ok(Self {
            asks_python: mine.project.stages.values().any(runs_python),
            pipelines: pipelines.clone(),
            options,
            ctx: Arc::new(ctx),
            project: mine.project,
            decider: Arc::new(decider),
            board,
            on_failure: request.on_failure,
            queue: VecDeque::new(),
            jobs: JoinSet::new(),
            running: 0,
            cancel: CancellationToken::new(),
            stop: CancellationToken::new(),
            lost,
            has_parent,
            surroundings: Arc::default(),
            error: None,
        })
    }

    /// Goes on until every stage has ended, or `stop`.
    ///
    /// # Errors
    /// [`Error::TakenOver`] when the lease is lost; those of the database. Processes of stages are then ended.
    pub async fn run(mut self, stop: &CancellationToken) -> Result<()> {
        let mut cancels = self.pipelines.db.subscribe(CANCELS);
        let names = self.board.slots.iter().map(|slot| &slot.name);
        let paths = decide::paths(&self.project, names);
        self.decider.files.load(&self.pipelines.db, paths).await?;
        let mut step = Step::default();
        self.close_doomed(&mut step);
        self.look_for_cancel().await?;
        loop {
            self.board.wake(Instant::now());
            self.decide_ready(&mut step).await?;
            self.close_what_never_runs(&mut step);
            let starting = self.fill_slots(&mut step);
            let is_over = self.board.is_over();
            if is_over {
                step.end = Some(self.end());
            }
            self.commit(std::mem::take(&mut step)).await?;
            if is_over {
                self.remove_live_logs();
                return Ok(());
            }
            starting.into_iter().for_each(|attempt| self.launch(attempt));
            if self.stop.is_cancelled() && self.running == 0 {
                return self.give_back().await;
            }
            let wakes_at = self.board.wakes_at();
            tokio::select! {
                Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => {
                    self.take(done, &mut step)?;
                    // What else is done by now goes into the same transaction.
                    while let Some(done) = self.jobs.try_join_next() {
                        self.take(done, &mut step)?;
                    }
                }
                () = self.lost.cancelled() => return Err(Error::TakenOver(self.ctx.run.clone())),
                _ = cancels.changed() => self.look_for_cancel().await?,
                () = stop.cancelled(), if !self.stop.is_cancelled() => self.stop.cancel(),
                () = tokio::time::sleep_until(wakes_at.unwrap_or_else(Instant::now)), if wakes_at.is_some() => {}
            }
        }
    }

    /// Ends what waits for stages that failed when their worker died.
    fn close_doomed(&mut self, step: &mut Step) {
        for place in self.board.take_doomed() {
            step.closed.push(Close {
                stage: self.board.slots[place].name.clone(),
                state: StageState::Skipped,
                reason: Some("a stage before it failed".to_owned()),
                failure: None,
            });
        }
    }

    async fn commit(&mut self, mut step: Step) -> Result<()> {
        step.files = self.decider.files.take_fresh(self.pipelines.clock.wall());
        if step.is_empty() {
            return Ok(());
        }
        step.make_parent = !self.has_parent && !step.started.is_empty();
        let makes_parent = step.make_parent;
        commit::commit(&self.pipelines, &self.ctx, step).await?;
        self.has_parent |= makes_parent;
        Ok(())
    }

    async fn look_for_cancel(&mut self) -> Result<()> {
        let run = self.ctx.run.clone();
        let stored = self.pipelines.db.read(move |tx| rows::stored(tx, &run)).await?;
        if stored.is_some_and(|stored| stored.cancel_by.is_some()) {
            self.cancel.cancel();
        }
        Ok(())
    }

    /// Lets the lease go, so that the next worker need not wait for its end.
    async fn give_back(&self) -> Result<()> {
        let lease = self.ctx.lease.clone();
        self.pipelines
            .db
            .write(move |tx| {
                everloop_db::leases::release(tx, &lease)?;
                tx.wake(crate::CHANNEL);
                Ok::<_, Error>(())
            })
            .await
    }

    /// The logs are objects by now. What stays harms nobody but the disk.
    fn remove_live_logs(&self) {
        let folder = self.pipelines.logs.join(self.ctx.run.as_str());
        if let Err(error) = std::fs::remove_dir_all(&folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, folder = %folder.display(), "logs of an ended run can't be removed");
        }
    }

    /// Whether nothing new may start.
    fn is_winding_down(&self) -> bool {
        let has_failed = self.board.has_failure() && self.on_failure == OnFailure::Stop;
        self.cancel.is_cancelled() || self.stop.is_cancelled() || has_failed
    }

    async fn decide_ready(&mut self, step: &mut Step) -> Result<()> {
        while !self.is_winding_down()
            && let Some(place) = self.board.next_ready()
        {
            let name = self.board.slots[place].name.clone();
            match self.decider.decide(&name).await {
                Ok(Decision::Hit(hit)) if hit.restore.is_empty() => self.close_cached(place, hit, step),
                Ok(Decision::Hit(hit)) => self.restore(place, hit),
                Ok(Decision::Run(todo)) => self.queue.push_back((place, todo)),
                Err(Failure::Db(error)) => return Err(error.into()),
                Err(failure) => self.close_failed(place, failure, step),
            }
        }
        Ok(())
    }

    fn close_cached(&mut self, place: Place, hit: Hit, step: &mut Step) {
        step.cached.push(Cached {
            stage: self.board.slots[place].name.clone(),
            seen: hit.seen,
            outs: hit.outs,
            tracked_run: hit.tracked_run,
            reason: hit.reason,
        });
        self.board.close(place, StageState::Cached);
    }

    /// Ends a stage that can't even be started, and with it those that wait for it.
    fn close_failed(&mut self, place: Place, failure: Failure, step: &mut Step) {
        let stage = self.board.slots[place].name.clone();
        self.error.get_or_insert_with(|| tracked::told(&stage, &failure));
        step.closed.push(Close {
            stage,
            state: StageState::Failed,
            reason: None,
            failure: Some(failure),
        });
        self.close(place, StageState::Failed, step);
    }

    /// Ends a stage on the board, and records those that now never run.
    fn close(&mut self, place: Place, state: StageState, step: &mut Step) {
        let because = format!("stage \"{}\" before it: {state}", self.board.slots[place].name);
        for skipped in self.board.close(place, state) {
            step.closed.push(Close {
                stage: self.board.slots[skipped].name.clone(),
                state: StageState::Skipped,
                reason: Some(because.clone()),
                failure: None,
            });
        }
    }

    fn restore(&mut self, place: Place, hit: Hit) {
        let decider = Arc::clone(&self.decider);
        self.board.slots[place].is_busy = true;
        self.jobs.spawn(async move {
            let mut result = Ok(());
            for out in &hit.restore {
                result = decider.files.restore(out, &decider.objects).await;
                if result.is_err() {
                    break;
                }
            }
            Done::Restored(place, Box::new(hit), result)
        });
    }

    /// Ends what waits when nothing new may start. A worker that shuts down leaves it to the next one.
    fn close_what_never_runs(&mut self, step: &mut Step) {
        if !self.is_winding_down() || (self.stop.is_cancelled() && !self.cancel.is_cancelled()) {
            return;
        }
        self.queue.clear();
        let (state, reason) = match self.cancel.is_cancelled() {
            true => (StageState::Cancelled, "the run was cancelled"),
            false => (StageState::Skipped, "another stage failed"),
        };
        for place in self.board.pending() {
            if self.board.slots[place].state.is_end() || self.board.slots[place].is_busy {
                continue;
            }
            step.closed.push(Close {
                stage: self.board.slots[place].name.clone(),
                state,
                reason: Some(reason.to_owned()),
                failure: None,
            });
            self.board.close_alone(place, state);
        }
    }

    fn fill_slots(&mut self, step: &mut Step) -> Vec<Attempt> {
        let mut starting = Vec::new();
        while self.running + starting.len() < self.options.slots.max(1)
            && !self.is_winding_down()
            && let Some((place, todo)) = self.queue.pop_front()
        {
            let tracked_run = self.pipelines.ids.run();
            let slot = &mut self.board.slots[place];
            slot.state = StageState::Running;
            slot.attempt += 1;
            let stage = &self.project.stages[&slot.name];
            step.started.push(Start {
                stage: slot.name.clone(),
                attempt: slot.attempt,
                key: todo.key,
                why: todo.why.join("; "),
                tracked_run: tracked_run.clone(),
                params: tracked::params_of(stage, &todo.inputs.params),
            });
            starting.push(self.attempt(place, todo, tracked_run));
        }
        starting
    }

    fn attempt(&self, place: Place, todo: Todo, tracked_run: RunId) -> Attempt {
        Attempt {
            pipelines: self.pipelines.clone(),
            options: Arc::clone(&self.options),
            decider: Arc::clone(&self.decider),
            run: self.ctx.run.clone(),
            actor: self.ctx.actor.clone(),
            name: self.board.slots[place].name.clone(),
            place,
            tracked_run,
            todo,
            cancel: self.cancel.clone(),
            stop: self.stop.clone(),
        }
    }

    fn launch(&mut self, attempt: Attempt) {
        self.running += 1;
        let (place, tracked_run, todo) = (attempt.place, attempt.tracked_run.clone(), attempt.todo.clone());
        let around = self.look_around();
        self.jobs.spawn(async move {
            // A panic of our own code must not take the run along.
            let mut own = JoinSet::new();
            own.spawn(attempt.run());
            let (joined, ()) = tokio::join!(own.join_next(), around);
            let ended = match joined {
                Some(Ok(ended)) => ended,
                other => Ended {
                    place,
                    tracked_run,
                    todo,
                    result: Err(Failure::Panicked(panic_of(other))),
                    log: None,
                    elapsed_ms: 0,
                    versions: BTreeMap::new(),
                },
            };
            Done::Attempt(Box::new(ended))
        });
    }

    /// Finds out, once and beside the first stage, what code and machine the run comes from.
    fn look_around(&self) -> impl Future<Output = ()> + Send + 'static {
        let cell = Arc::clone(&self.surroundings);
        let (root, objects) = (self.decider.root.clone(), self.pipelines.objects.clone());
        let env = Arc::clone(&self.options.env);
        let asks_python = self.asks_python;
        async move {
            cell.get_or_init(|| provenance::look(root, env, asks_python, objects))
                .await;
        }
    }

    /// Takes in a job that is over.
    fn take(&mut self, done: std::result::Result<Done, JoinError>, step: &mut Step) -> Result<()> {
        match done.map_err(|error| Error::Panicked(panic_text(error)))? {
            Done::Attempt(ended) => self.take_ended(*ended, step),
            Done::Restored(place, hit, result) => {
                self.board.slots[place].is_busy = false;
                match result {
                    Ok(()) => self.close_cached(place, *hit, step),
                    Err(failure) => self.close_failed(place, failure, step),
                }
            }
        }
        Ok(())
    }

    fn take_ended(&mut self, ended: Ended, step: &mut Step) {
        self.running -= 1;
        let place = ended.place;
        let retries = self.project.stages[&self.board.slots[place].name].run.retries;
        let state = match &ended.result {
            Ok(_) => StageState::Succeeded,
            Err(Failure::Cancelled) => StageState::Cancelled,
            Err(Failure::Stopped) => StageState::Pending,
            Err(failure) if self.may_try_again(place, retries, failure) => StageState::Pending,
            Err(_) => StageState::Failed,
        };
        let slot = &mut self.board.slots[place];
        let is_failure = matches!(&ended.result, Err(failure) if !matches!(failure, Failure::Stopped));
        slot.failures += u32::from(is_failure);
        let (name, failures) = (slot.name.clone(), slot.failures);
        let finish = self.finish(ended, state);
        if state == StageState::Failed
            && let Some(failure) = &finish.failure
        {
            self.error.get_or_insert_with(|| tracked::told(&name, failure));
        }
        step.finished.push(finish);
        match state {
            StageState::Pending => self.board.again(place, Instant::now() + self.pause(failures)),
            _ => self.close(place, state, step),
        }
    }

    fn may_try_again(&self, place: Place, retries: u32, failure: &Failure) -> bool {
        failure.may_pass_next_time()
            && self.board.slots[place].failures < retries
            && !self.cancel.is_cancelled()
    }

    fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        (self.options.backoff * 2_u32.pow(doublings)).min(LONGEST_BACKOFF)
    }

    fn finish(&self, ended: Ended, state: StageState) -> Finish {
        let slot = &self.board.slots[ended.place];
        let stage = &self.project.stages[&slot.name];
        let around = self.surroundings.get();
        let (product, failure) = match ended.result {
            Ok(product) => (Some(product), None),
            Err(failure) => (None, Some(failure)),
        };
        let reusable = product.as_ref().is_some_and(|product| product.reusable);
        let (outs, metrics, artifacts) = product.map_or_else(Default::default, |product| {
            (product.outs, product.metrics, product.artifacts)
        });
        Finish {
            stage: slot.name.clone(),
            attempt: slot.attempt,
            failures: slot.failures,
            state,
            key: ended.todo.key,
            why: ended.todo.why.join("; "),
            provenance: around.map(|around| tracked::provenance(stage, &ended.todo.inputs.params, around)),
            inputs: ended.todo.inputs,
            tracked_run: ended.tracked_run,
            outs,
            reusable,
            failure,
            log: ended.log,
            elapsed_ms: ended.elapsed_ms,
            versions: ended.versions.into_values().collect(),
            metrics,
            artifacts,
        }
    }

    fn end(&self) -> End {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for slot in &self.board.slots {
            *counts.entry(slot.state.as_str()).or_default() += 1;
        }
        let state = if self.board.any(StageState::Cancelled) {
            RunState::Cancelled
        } else if self.board.has_failure() {
            RunState::Failed
        } else {
            RunState::Succeeded
        };
        End {
            state,
            error: self.error.clone(),
            counts,
            has_parent: self.has_parent,
        }
    }
}

fn panic_of(joined: Option<std::result::Result<Ended, JoinError>>) -> String {
    match joined {
        Some(Err(error)) => panic_text(error),
        Some(Ok(_)) | None => "no message".to_owned(),
    }
}
