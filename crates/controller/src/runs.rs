//! Pipeline runs that triggers start (`do: run`): the pipeline alone, nothing is released.
//!
//! They and retrainings write the same files, so that one waits until the pipeline of the other is over.

use everloop_core::{IdempotencyKey, Ids, PipelineRunId, ProjectName, Timestamp};
use everloop_db::{Row, Tx, params};
use everloop_pipelines::{PipelineRun, RunRequest, RunState};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::advance::{everloop_words, is_passing};
use crate::decisions::{Draft, record};
use crate::retrainings::{self, State};
use crate::{Controller, Error, Result};

/// One that is not over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TriggeredRun {
    pub(crate) id: String,
    pub(crate) trigger: String,
    pub(crate) reason: Value,
    /// None while it waits for its turn.
    pub(crate) pipeline_run: Option<PipelineRunId>,
}

/// Asks for one.
pub(crate) fn queue(
    tx: &mut Tx<'_>,
    ids: &Ids,
    now: Timestamp,
    project: &ProjectName,
    trigger: &str,
    reason: &Value,
) -> Result<()> {
    tx.execute(
        "INSERT INTO trigger_runs (project, id, trigger_name, reason, state, started_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, 'queued', ?5, ?5)",
        &params![
            project.as_str(),
            ids.trigger(now).as_str(),
            trigger,
            reason.to_string(),
            now
        ],
    )?;
    Ok(())
}

/// Those that are not over, oldest first.
pub(crate) fn open(tx: &mut Tx<'_>, project: &ProjectName) -> Result<Vec<TriggeredRun>> {
    let rows = tx.query(
        "SELECT * FROM trigger_runs WHERE project = ?1 AND state <> 'done' ORDER BY started_at, id",
        &params![project.as_str()],
    )?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<TriggeredRun> {
    let reason: String = row.get("reason")?;
    Ok(TriggeredRun {
        id: row.get("id")?,
        trigger: row.get("trigger_name")?,
        reason: serde_json::from_str(&reason).map_err(|error| Error::Damaged {
            what: "triggered run",
            problem: error.to_string(),
        })?,
        pipeline_run: row.get::<Option<String>>("pipeline_run")?.map(PipelineRunId::new),
    })
}

/// Moves one on from where it was seen; false when someone else did.
fn advance(
    tx: &mut Tx<'_>,
    now: Timestamp,
    project: &ProjectName,
    id: &str,
    (from, to): (&str, &str),
    pipeline_run: Option<&PipelineRunId>,
) -> Result<bool> {
    let moved = tx.execute(
        "UPDATE trigger_runs SET state = ?4, pipeline_run = ?5, updated_at = ?6 \
         WHERE project = ?1 AND id = ?2 AND state = ?3",
        &params![
            project.as_str(),
            id,
            from,
            to,
            pipeline_run.map(PipelineRunId::as_str),
            now
        ],
    )?;
    Ok(moved > 0)
}

impl Controller {
    async fn open_runs(&self) -> Result<Vec<TriggeredRun>> {
        let project = self.0.project.clone();
        self.0.parts.db.read(move |tx| open(tx, &project)).await
    }

    /// The pipeline run that a trigger started and that is not over.
    pub(crate) async fn triggered_run(&self) -> Result<Option<PipelineRunId>> {
        Ok(self
            .open_runs()
            .await?
            .into_iter()
            .find_map(|run| run.pipeline_run))
    }

    /// Moves every open one as far as it goes.
    pub(crate) async fn advance_runs(&self) -> Result<usize> {
        let runs = self.open_runs().await?;
        let mut steps = 0;
        let mut is_busy = runs.iter().any(|run| run.pipeline_run.is_some());
        for run in runs {
            let moved = match &run.pipeline_run {
                Some(id) => self.see_run(&run, id).await?,
                None if is_busy => false,
                None => {
                    is_busy = true;
                    self.begin_run(&run).await?
                }
            };
            steps += usize::from(moved);
        }
        Ok(steps)
    }

    async fn begin_run(&self, run: &TriggeredRun) -> Result<bool> {
        let project = self.0.project.clone();
        let open = self
            .0
            .parts
            .db
            .read(move |tx| retrainings::open(tx, &project))
            .await?;
        if open
            .iter()
            .any(|one| matches!(one.state, State::Queued | State::Training))
        {
            return Ok(false);
        }
        let submitted = match self.need_file() {
            Ok(file) => {
                let mut request = RunRequest::new(Arc::clone(&file.project), &file.root);
                request.reason = json!({ "trigger": run.trigger, "reason": run.reason });
                request.idempotency_key = Some(IdempotencyKey::new(format!("trigger-{}", run.id)));
                self.0
                    .parts
                    .pipelines
                    .submit(&Self::me(), request)
                    .await
                    .map_err(Error::from)
            }
            Err(error) => Err(error),
        };
        match submitted {
            Ok(id) => {
                let (project, now, seen) = (self.0.project.clone(), self.now(), run.id.clone());
                self.write(move |tx| advance(tx, now, &project, &seen, ("queued", "running"), Some(&id)))
                    .await
            }
            Err(error) if is_passing(&error) => Err(error),
            Err(error) => {
                let words = everloop_words(&error);
                self.end_run(run, "queued", RunState::Failed, &words).await
            }
        }
    }

    async fn see_run(&self, run: &TriggeredRun, id: &PipelineRunId) -> Result<bool> {
        let found = self.0.parts.pipelines.status(&self.0.project, id).await?;
        if !found.summary.state.is_end() {
            return Ok(false);
        }
        self.end_run(run, "running", found.summary.state, &words_of(&found))
            .await
    }

    async fn end_run(
        &self,
        run: &TriggeredRun,
        from: &'static str,
        ended: RunState,
        words: &str,
    ) -> Result<bool> {
        let draft = Draft {
            kind: "run",
            subject: format!("trigger:{}", run.trigger),
            outcome: match ended {
                RunState::Succeeded => "succeeded",
                RunState::Cancelled => "cancelled",
                RunState::Failed | RunState::Pending | RunState::Running => "failed",
            },
            words: format!("{}: {words}", run.trigger),
            evidence: json!({ "pipeline_run": run.pipeline_run, "reason": run.reason }),
        };
        let (project, ids, now, run) = (
            self.0.project.clone(),
            self.0.parts.ids.clone(),
            self.now(),
            run.clone(),
        );
        self.write(move |tx| {
            let moved = advance(
                tx,
                now,
                &project,
                &run.id,
                (from, "done"),
                run.pipeline_run.as_ref(),
            )?;
            if moved {
                record(tx, &ids, now, &project, &Self::me(), &draft)?;
            }
            Ok(moved)
        })
        .await
    }
}

fn words_of(run: &PipelineRun) -> String {
    let summary = &run.summary;
    match &summary.error {
        Some(error) => format!("pipeline run {} {}: {error}", summary.id, summary.state),
        None => format!("pipeline run {} {}", summary.id, summary.state),
    }
}
