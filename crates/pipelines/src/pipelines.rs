//! The capability as one value: asking for runs, looking at them, waiting for them, cancelling them.

use std::path::PathBuf;

use everloop_core::{Actor, Clock, Ids, PipelineRunId, ProjectName};
use everloop_datasets::Datasets;
use everloop_db::{Db, params};
use everloop_ledger::NewEvent;
use everloop_objects::Objects;
use everloop_tables::Tables;
use everloop_tracking::Tracking;
use serde_json::json;

use crate::submit::Submission;
use crate::{CHANNEL, Error, PipelineRun, Result, RunRequest, RunState, RunSummary, rows};

/// The channel that a request to cancel wakes; workers listen to it alone while their stages run.
pub(crate) const CANCELS: &str = "pipelines.cancel";

/// Pipelines and what they are made of. Cheap to clone.
#[derive(Clone)]
pub struct Pipelines {
    /// Where the rows are.
    pub db: Db,
    /// The time of changes, and of leases.
    pub clock: Clock,
    /// Where new ids come from.
    pub ids: Ids,
    /// Where outs and logs are kept.
    pub objects: Objects,
    /// Runs the queries of stages.
    pub tables: Tables,
    /// Where runs are tracked.
    pub tracking: Tracking,
    /// Takes versions of what stages read and write.
    pub datasets: Datasets,
    /// The folder that output of running stages grows in.
    pub logs: PathBuf,
}

impl Pipelines {
    /// Asks for a run. It begins when a worker takes it, or [`execute`](Self::execute) is called.
    ///
    /// # Errors
    /// [`Error::NoStages`], [`Error::NoSuchStage`], [`Error::UnknownParam`], [`Error::Cycle`],
    /// [`Error::NoWorkspace`]; those of the database.
    pub async fn submit(&self, actor: &Actor, request: RunRequest) -> Result<PipelineRunId> {
        let at = self.clock.now();
        let submission = Submission::check(self.ids.pipeline_run(at), at, actor, request)?;
        self.db.write(move |tx| submission.write(tx)).await
    }

    /// A run with its stages.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`]; those of the database.
    pub async fn status(&self, project: &ProjectName, run: &PipelineRunId) -> Result<PipelineRun> {
        let (project, run) = (project.clone(), run.clone());
        self.db.read(move |tx| rows::whole(tx, &project, &run)).await
    }

    /// Runs of a project, newest first, those before `before` when that is given; at most `limit`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn list(
        &self,
        project: &ProjectName,
        before: Option<&PipelineRunId>,
        limit: usize,
    ) -> Result<Vec<RunSummary>> {
        let (project, before) = (project.clone(), before.cloned());
        self.db
            .read(move |tx| rows::list(tx, &project, before.as_ref(), limit))
            .await
    }

    /// Waits until a run has ended.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`]; those of the database.
    pub async fn wait(&self, project: &ProjectName, run: &PipelineRunId) -> Result<PipelineRun> {
        let mut changes = self.db.subscribe(CHANNEL);
        loop {
            changes.mark_unchanged();
            let (owned, id) = (project.clone(), run.clone());
            let found = self
                .db
                .read(move |tx| {
                    let is_over = rows::find(tx, &owned, &id)?.summary.state.is_end();
                    is_over.then(|| rows::whole(tx, &owned, &id)).transpose()
                })
                .await?;
            if let Some(run) = found {
                return Ok(run);
            }
            if changes.changed().await.is_err() {
                return Err(Error::Db(everloop_db::Error::Closed));
            }
        }
    }

    /// Cancels a run: at once when nobody works on it, else its worker ends the processes of its stages. Cancelling
    /// twice is as once.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`]; [`Error::Ended`] when it has ended in another way; those of the database.
    pub async fn cancel(&self, project: &ProjectName, run: &PipelineRunId, actor: &Actor) -> Result<()> {
        let (project, run, actor) = (project.clone(), run.clone(), actor.clone());
        let at = self.clock.now();
        self.db
            .write(move |tx| {
                let state = rows::find(tx, &project, &run)?.summary.state;
                match state {
                    RunState::Cancelled => return Ok(()),
                    RunState::Succeeded | RunState::Failed => {
                        return Err(Error::Ended {
                            run: run.clone(),
                            state: state.as_str(),
                        });
                    }
                    RunState::Pending | RunState::Running => {}
                }
                let asked = tx.execute(
                    "UPDATE pipeline_runs SET cancel_by = ?2 WHERE id = ?1 AND cancel_by IS NULL",
                    &params![&run, actor.to_string()],
                )?;
                let ended = tx.execute(
                    "UPDATE pipeline_runs SET state = 'cancelled', finished_at = ?2
                     WHERE id = ?1 AND state = 'pending'",
                    &params![&run, at],
                )?;
                if ended == 1 {
                    tx.execute(
                        "UPDATE pipeline_stages SET state = 'cancelled', finished_at = ?2
                         WHERE run = ?1 AND state = 'pending'",
                        &params![&run, at],
                    )?;
                }
                let mut events = Vec::new();
                if asked == 1 {
                    events.push(("pipeline.cancel", json!({})));
                }
                if ended == 1 {
                    events.push(("pipeline.finished", json!({"state": "cancelled"})));
                }
                for (kind, payload) in events {
                    let event = NewEvent {
                        project: project.clone(),
                        actor: actor.clone(),
                        kind,
                        subject: format!("pipeline:{run}"),
                        payload,
                    };
                    everloop_ledger::append(tx, at, event)?;
                }
                tx.wake(CANCELS);
                tx.wake(CHANNEL);
                Ok(())
            })
            .await
    }
}
