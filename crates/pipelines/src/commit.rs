//! Writing what happened: one transaction for each step of a run, under the worker's lease.

use std::collections::BTreeMap;
use std::sync::Arc;

use everloop_core::{Actor, By, Code, Coded, Hash, PipelineRunId, ProjectName, RunId, StageName, Timestamp};
use everloop_datasets::Version;
use everloop_db::{Lease, Tx, Value, leases, params};
use everloop_ledger::NewEvent;
use everloop_tracking::artifacts::File;
use everloop_tracking::provenance::Provenance;
use everloop_tracking::runs::RunStatus;
use serde_json::json;

use crate::inputs::Inputs;
use crate::metrics::Point;
use crate::{CHANNEL, Error, Failure, OutManifest, Pipelines, Result, RunState, StageState, files, tracked};

/// What all steps of a run have in common.
pub(crate) struct Ctx {
    pub run: PipelineRunId,
    pub project: ProjectName,
    pub actor: Actor,
    pub lease: Lease,
    pub worker: String,
    /// The tracked run of the whole.
    pub parent: RunId,
    pub reason: serde_json::Value,
    pub clock: everloop_core::Clock,
}

impl Ctx {
    pub fn by(&self) -> By {
        By {
            project: self.project.clone(),
            actor: self.actor.clone(),
            at: self.clock.now(),
        }
    }
}

/// What happened since the last step.
#[derive(Default)]
pub(crate) struct Step {
    pub cached: Vec<Cached>,
    pub finished: Vec<Finish>,
    pub closed: Vec<Close>,
    pub started: Vec<Start>,
    pub make_parent: bool,
    pub files: Vec<Vec<Value>>,
    pub end: Option<End>,
}

/// A stage whose outs are those of another run.
pub(crate) struct Cached {
    pub stage: StageName,
    pub seen: Option<(Hash, Inputs)>,
    pub outs: Vec<OutManifest>,
    pub tracked_run: Option<RunId>,
    pub reason: String,
}

/// A stage that ends without an attempt.
pub(crate) struct Close {
    pub stage: StageName,
    pub state: StageState,
    pub reason: Option<String>,
    pub failure: Option<Failure>,
}

/// An attempt to start.
pub(crate) struct Start {
    pub stage: StageName,
    pub attempt: u32,
    pub key: Hash,
    pub why: String,
    pub tracked_run: RunId,
    pub params: BTreeMap<String, serde_json::Value>,
}

/// An attempt that ended. In the state `pending` another will follow.
pub(crate) struct Finish {
    pub stage: StageName,
    pub attempt: u32,
    pub failures: u32,
    pub state: StageState,
    pub key: Hash,
    pub inputs: Inputs,
    pub why: String,
    pub tracked_run: RunId,
    pub outs: Vec<OutManifest>,
    pub reusable: bool,
    pub failure: Option<Failure>,
    pub log: Option<(Hash, u64)>,
    pub elapsed_ms: u64,
    pub versions: Vec<Version>,
    pub metrics: Vec<Point>,
    pub artifacts: Vec<File>,
    pub provenance: Option<Provenance>,
}

/// The end of the run.
pub(crate) struct End {
    pub state: RunState,
    pub error: Option<String>,
    pub counts: BTreeMap<&'static str, usize>,
    /// Whether the tracked run of the whole was begun.
    pub has_parent: bool,
}

impl Step {
    pub fn is_empty(&self) -> bool {
        self.cached.is_empty()
            && self.finished.is_empty()
            && self.closed.is_empty()
            && self.started.is_empty()
            && self.files.is_empty()
            && self.end.is_none()
    }
}

/// Writes the step; all of it or nothing.
///
/// # Errors
/// [`Error::TakenOver`] when the lease is lost: then nothing is written.
pub(crate) async fn commit(pipelines: &Pipelines, ctx: &Arc<Ctx>, step: Step) -> Result<()> {
    let (ctx, step) = (Arc::clone(ctx), Arc::new(step));
    let run = ctx.run.clone();
    let written = pipelines.db.write(move |tx| write(tx, &ctx, &step)).await;
    written.map_err(|error| match error {
        Error::Db(everloop_db::Error::LeaseLost { .. }) => Error::TakenOver(run),
        other => other,
    })
}

fn write(tx: &mut Tx<'_>, ctx: &Ctx, step: &Step) -> Result<()> {
    leases::check(tx, &ctx.lease)?;
    let at = ctx.clock.now();
    files::write_fresh(tx, &step.files)?;
    write_cached(tx, ctx, &step.cached, at)?;
    write_closed(tx, ctx, &step.closed, at)?;
    for finish in &step.finished {
        write_finish(tx, ctx, finish, at)?;
    }
    write_started(tx, ctx, step, at)?;
    if let Some(end) = &step.end {
        write_end(tx, ctx, end, at)?;
    }
    // The ledger comes last: whoever appends holds its end until the commit.
    for finish in step.finished.iter().filter(|finish| finish.state.is_end()) {
        append(
            tx,
            ctx,
            at,
            "stage.finished",
            Some(&finish.stage),
            finish_payload(finish),
        )?;
    }
    if let Some(end) = &step.end {
        append(tx, ctx, at, "pipeline.finished", None, end_payload(ctx, end))?;
    }
    tx.wake(CHANNEL);
    Ok(())
}

/// Each row must have been as we think it is; else someone else works on this run.
fn expect(ctx: &Ctx, changed: u64, wanted: usize) -> Result<()> {
    if changed == wanted as u64 {
        return Ok(());
    }
    Err(Error::TakenOver(ctx.run.clone()))
}

fn write_cached(tx: &mut Tx<'_>, ctx: &Ctx, cached: &[Cached], at: Timestamp) -> Result<()> {
    let rows: Vec<Vec<Value>> = cached
        .iter()
        .map(|hit| {
            params![
                &ctx.run,
                &hit.stage,
                hit.seen.as_ref().map(|(key, _)| *key),
                outs_json(&hit.outs),
                hit.tracked_run.as_ref().map(RunId::as_str),
                &hit.reason,
                at
            ]
            .to_vec()
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let changed = tx.execute_many(
        "UPDATE pipeline_stages SET state = 'cached', cache_key = ?3, outs = ?4, tracked_run = ?5, reason = ?6,
             started_at = ?7, finished_at = ?7, error = NULL, error_code = NULL, hint = NULL
         WHERE run = ?1 AND stage = ?2 AND state = 'pending'",
        &rows,
    )?;
    expect(ctx, changed, rows.len())?;
    let heads = cached.iter().filter_map(|hit| {
        let (key, inputs) = hit.seen.as_ref()?;
        Some((&hit.stage, *key, inputs))
    });
    write_heads(tx, ctx, heads)
}

fn write_heads<'a>(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    heads: impl Iterator<Item = (&'a StageName, Hash, &'a Inputs)>,
) -> Result<()> {
    let rows: Vec<Vec<Value>> = heads
        .map(|(stage, key, inputs)| params![&ctx.project, stage, key, inputs.to_json()].to_vec())
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    tx.execute_many(
        "INSERT INTO pipeline_heads (project, stage, key, inputs) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (project, stage) DO UPDATE SET key = excluded.key, inputs = excluded.inputs
         WHERE pipeline_heads.key <> excluded.key",
        &rows,
    )?;
    Ok(())
}

fn write_closed(tx: &mut Tx<'_>, ctx: &Ctx, closed: &[Close], at: Timestamp) -> Result<()> {
    let rows: Vec<Vec<Value>> = closed
        .iter()
        .map(|close| {
            let failure = close.failure.as_ref();
            params![
                &ctx.run,
                &close.stage,
                close.state.as_str(),
                close.reason.as_deref(),
                failure.map(|failure| tracked::told(&close.stage, failure)),
                failure.map(|failure| failure.code().as_str()),
                failure.and_then(Coded::hint),
                at
            ]
            .to_vec()
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let changed = tx.execute_many(
        "UPDATE pipeline_stages SET state = ?3, reason = COALESCE(?4, reason), error = COALESCE(?5, error),
             error_code = COALESCE(?6, error_code), hint = COALESCE(?7, hint), finished_at = ?8
         WHERE run = ?1 AND stage = ?2 AND state = 'pending'",
        &rows,
    )?;
    expect(ctx, changed, rows.len())
}

fn write_started(tx: &mut Tx<'_>, ctx: &Ctx, step: &Step, at: Timestamp) -> Result<()> {
    if step.started.is_empty() {
        return Ok(());
    }
    tracked::start(tx, ctx, &step.started, step.make_parent)?;
    if step.make_parent {
        tx.execute(
            "UPDATE pipeline_runs SET tracked_run = ?2 WHERE id = ?1",
            &params![&ctx.run, &ctx.parent],
        )?;
    }
    for start in &step.started {
        let changed = tx.execute(
            "UPDATE pipeline_stages SET state = 'running', attempt = ?3, token = ?4, worker = ?5, cache_key = ?6,
                 reason = ?7, tracked_run = ?8, started_at = ?9, finished_at = NULL
             WHERE run = ?1 AND stage = ?2 AND state = 'pending' AND attempt = ?10",
            &params![
                &ctx.run,
                &start.stage,
                start.attempt,
                ctx.lease.token,
                &ctx.worker,
                start.key,
                &start.why,
                &start.tracked_run,
                at,
                start.attempt - 1
            ],
        )?;
        expect(ctx, changed, 1)?;
    }
    Ok(())
}

fn write_finish(tx: &mut Tx<'_>, ctx: &Ctx, finish: &Finish, at: Timestamp) -> Result<()> {
    tracked::finish(tx, ctx, finish)?;
    let failure = finish.failure.as_ref();
    let (code, signal) = match failure {
        Some(Failure::Exit(code)) => (Some(*code), None),
        Some(Failure::Signal { signal, .. }) => (None, Some(*signal)),
        Some(_) => (None, None),
        None => (Some(0), None),
    };
    let has_outs = finish.state == StageState::Succeeded;
    let changed = tx.execute(
        "UPDATE pipeline_stages SET state = ?4, failures = ?5, outs = ?6, log = ?7, log_size = ?8, exit_code = ?9,
             exit_signal = ?10, error = ?11, error_code = ?12, hint = ?13, finished_at = ?14, elapsed_ms = ?15
         WHERE run = ?1 AND stage = ?2 AND state = 'running' AND attempt = ?3 AND token = ?16",
        &params![
            &ctx.run,
            &finish.stage,
            finish.attempt,
            finish.state.as_str(),
            finish.failures,
            has_outs.then(|| outs_json(&finish.outs)),
            finish.log.map(|(log, _)| log),
            finish.log.map(|(_, size)| size),
            code,
            signal,
            failure.map(|failure| tracked::told(&finish.stage, failure)),
            failure.map(|failure| failure.code().as_str()),
            failure.and_then(Coded::hint),
            at,
            finish.elapsed_ms,
            ctx.lease.token
        ],
    )?;
    expect(ctx, changed, 1)?;
    if has_outs && finish.reusable {
        write_entry(tx, ctx, finish, at)?;
    }
    Ok(())
}

/// The newest outs count: a stage that was forced to run again may have been mended.
fn write_entry(tx: &mut Tx<'_>, ctx: &Ctx, finish: &Finish, at: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO pipeline_cache (project, key, stage, run, tracked_run, outs, made_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (project, key) DO UPDATE SET stage = excluded.stage, run = excluded.run,
             tracked_run = excluded.tracked_run, outs = excluded.outs, made_at = excluded.made_at",
        &params![
            &ctx.project,
            finish.key,
            &finish.stage,
            &ctx.run,
            &finish.tracked_run,
            outs_json(&finish.outs),
            at
        ],
    )?;
    write_heads(
        tx,
        ctx,
        std::iter::once((&finish.stage, finish.key, &finish.inputs)),
    )
}

fn write_end(tx: &mut Tx<'_>, ctx: &Ctx, end: &End, at: Timestamp) -> Result<()> {
    if end.has_parent {
        let status = match end.state {
            RunState::Succeeded => RunStatus::Finished,
            RunState::Failed => RunStatus::Failed,
            RunState::Pending | RunState::Running | RunState::Cancelled => RunStatus::Killed,
        };
        tracked::end(tx, &ctx.by(), &ctx.parent, status)?;
    }
    let changed = tx.execute(
        "UPDATE pipeline_runs SET state = ?2, error = ?3, finished_at = ?4 WHERE id = ?1 AND state = 'running'",
        &params![&ctx.run, end.state.as_str(), end.error.as_deref(), at],
    )?;
    expect(ctx, changed, 1)?;
    leases::release(tx, &ctx.lease)?;
    Ok(())
}

fn append(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    at: Timestamp,
    kind: &'static str,
    stage: Option<&StageName>,
    payload: serde_json::Value,
) -> Result<()> {
    let subject = match stage {
        Some(stage) => format!("pipeline:{}/{stage}", ctx.run),
        None => format!("pipeline:{}", ctx.run),
    };
    let event = NewEvent {
        project: ctx.project.clone(),
        actor: ctx.actor.clone(),
        kind,
        subject,
        payload,
    };
    everloop_ledger::append(tx, at, event)?;
    Ok(())
}

fn finish_payload(finish: &Finish) -> serde_json::Value {
    let outs: Vec<serde_json::Value> = finish
        .outs
        .iter()
        .map(|out| json!({"path": out.path, "digest": out.digest()}))
        .collect();
    let datasets: Vec<String> = finish
        .versions
        .iter()
        .map(|version| version.reference().to_string())
        .collect();
    json!({
        "state": finish.state.as_str(),
        "attempt": finish.attempt,
        "why": finish.why,
        "key": finish.key,
        "tracked_run": finish.tracked_run,
        "elapsed_ms": finish.elapsed_ms,
        "outs": outs,
        "datasets": datasets,
        "error": finish.failure.as_ref().map(|failure| tracked::told(&finish.stage, failure)),
        "error_code": finish.failure.as_ref().map(|failure| Code::as_str(failure.code())),
    })
}

fn end_payload(ctx: &Ctx, end: &End) -> serde_json::Value {
    json!({
        "state": end.state.as_str(),
        "stages": end.counts,
        "tracked_run": end.has_parent.then_some(&ctx.parent),
        "error": end.error,
        "reason": ctx.reason,
    })
}

fn outs_json(outs: &[OutManifest]) -> String {
    serde_json::to_string(outs).expect("a manifest holds only texts and numbers")
}
