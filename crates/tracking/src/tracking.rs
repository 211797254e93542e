//! The capability as one value: the rules over transactions, with the clock, the ids and the bytes.
//!
//! Each method is one transaction around the function of the same name. Who needs several in one transaction calls the
//! functions.

use everloop_core::{Actor, Clock, ExperimentId, Ids, ProjectName, RunId};
use everloop_db::Db;
use everloop_objects::Objects;

use crate::experiments::{self, NewExperiment};
use crate::runs::{self, NewRun, RunInfo, RunStatus};
use crate::{Batch, By, Result, Run, log_batch, run_data};

/// Experiments and runs in a database, their artifacts in an object store. Cheap to clone.
#[derive(Clone)]
pub struct Tracking {
    /// Where the rows are.
    pub db: Db,
    /// The time of changes.
    pub clock: Clock,
    /// Where new run ids come from.
    pub ids: Ids,
    /// Where the bytes of artifacts are.
    pub objects: Objects,
}

impl Tracking {
    /// `actor` in `project`, now.
    #[must_use]
    pub fn by(&self, project: &ProjectName, actor: &Actor) -> By {
        By {
            project: project.clone(),
            actor: actor.clone(),
            at: self.clock.now(),
        }
    }

    /// Creates an experiment: [`experiments::create`].
    ///
    /// # Errors
    /// As there.
    pub async fn create_experiment(&self, by: &By, new: NewExperiment) -> Result<ExperimentId> {
        let by = by.clone();
        self.db.write(move |tx| experiments::create(tx, &by, &new)).await
    }

    /// The living experiment of this name, created when there is none: [`experiments::ensure`].
    ///
    /// # Errors
    /// As there.
    pub async fn ensure_experiment(&self, by: &By, name: &str) -> Result<ExperimentId> {
        let (by, name) = (by.clone(), name.to_owned());
        self.db.write(move |tx| experiments::ensure(tx, &by, &name)).await
    }

    /// A run to create, with a new id.
    #[must_use]
    pub fn new_run(&self, experiment: ExperimentId) -> NewRun {
        NewRun::new(self.ids.run(), experiment)
    }

    /// Creates a run: [`runs::create`].
    ///
    /// # Errors
    /// As there.
    pub async fn create_run(&self, by: &By, new: NewRun) -> Result<RunInfo> {
        let by = by.clone();
        self.db.write(move |tx| runs::create(tx, &by, &new)).await
    }

    /// Logs a batch to a run: [`log_batch`].
    ///
    /// # Errors
    /// As there.
    pub async fn log_batch(&self, by: &By, run: &RunId, batch: Batch) -> Result<()> {
        let (by, run) = (by.clone(), run.clone());
        self.db.write(move |tx| log_batch(tx, &by, &run, &batch)).await
    }

    /// Ends a run, once: [`runs::finish`].
    ///
    /// # Errors
    /// As there.
    pub async fn finish_run(&self, by: &By, run: &RunId, status: RunStatus) -> Result<RunInfo> {
        let (by, run) = (by.clone(), run.clone());
        self.db.write(move |tx| runs::finish(tx, &by, &run, status)).await
    }

    /// Whole runs, in the order of `ids`: [`get_many`](crate::get_many).
    ///
    /// # Errors
    /// As there.
    pub async fn runs(&self, project: &ProjectName, ids: Vec<RunId>) -> Result<Vec<Run>> {
        let project = project.clone();
        self.db
            .read(move |tx| run_data::get_many(tx, &project, &ids))
            .await
    }
}
