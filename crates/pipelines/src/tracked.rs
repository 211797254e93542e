//! The tracked runs of a pipeline: one for the whole, and one nested in it for each attempt of a stage.

use std::collections::BTreeMap;
use std::sync::Arc;

use everloop_core::{Actor, By, RunId, StageName};
use everloop_db::Tx;
use everloop_tracking::inputs::{Dataset, DatasetInput};
use everloop_tracking::provenance::Provenance;
use everloop_tracking::runs::{self, NewRun, RunKind, RunStatus, Update};
use everloop_tracking::{Batch, Error as Refused, LongValues, artifacts, experiments, inputs, limits};

use crate::commit::{Ctx, Finish, Start};
use crate::{Failure, Result, StageState};

/// The tag that names the pipeline run, on all its tracked runs.
const PIPELINE_TAG: &str = "everloop.pipeline_run";
/// The tag that names the stage.
const STAGE_TAG: &str = "everloop.stage";
/// How MLflow nests runs.
const PARENT_TAG: &str = "mlflow.parentRunId";

/// Begins the tracked runs of attempts; that of the whole first, when it is not there yet.
pub(crate) fn start(tx: &mut Tx<'_>, ctx: &Ctx, starts: &[Start], make_parent: bool) -> Result<()> {
    let by = ctx.by();
    let experiment = experiments::ensure(tx, &by, ctx.project.as_str())?;
    if make_parent {
        let mut new = NewRun::new(ctx.parent.clone(), experiment.clone());
        new.name = Some(format!("pipeline {}", short(ctx.run.as_str())));
        new.kind = RunKind::Stage;
        new.user = user(&ctx.actor);
        new.source = ctx.run.to_string();
        new.tags.insert(PIPELINE_TAG.to_owned(), ctx.run.to_string());
        runs::create(tx, &by, &new)?;
    }
    for start in starts {
        let mut new = NewRun::new(start.tracked_run.clone(), experiment.clone());
        new.name = Some(start.stage.to_string());
        new.kind = RunKind::Stage;
        new.user = user(&ctx.actor);
        new.source = format!("{}/{}", ctx.run, start.stage);
        new.tags = tags(ctx, &start.stage);
        runs::create(tx, &by, &new)?;
        let mut batch = Batch::with_long_values(LongValues::Truncate);
        for (name, value) in start.params.iter().take(limits::BATCH_PARAMS) {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), ToOwned::to_owned);
            forgive(batch.param(&sanitised(name), &value).map(drop))?;
        }
        if !batch.is_empty() {
            forgive(everloop_tracking::log_batch(tx, &by, &start.tracked_run, &batch))?;
        }
    }
    Ok(())
}

fn tags(ctx: &Ctx, stage: &StageName) -> BTreeMap<String, String> {
    BTreeMap::from([
        (PARENT_TAG.to_owned(), ctx.parent.to_string()),
        (PIPELINE_TAG.to_owned(), ctx.run.to_string()),
        (STAGE_TAG.to_owned(), stage.to_string()),
    ])
}

/// Records what an attempt made and where it came from, and ends its tracked run.
pub(crate) fn finish(tx: &mut Tx<'_>, ctx: &Ctx, finish: &Finish) -> Result<()> {
    let by = ctx.by();
    let run = &finish.tracked_run;
    if let Some(provenance) = &finish.provenance {
        forgive(everloop_tracking::provenance::record(tx, &by, run, provenance))?;
    }
    let datasets: Vec<DatasetInput> = finish.versions.iter().map(dataset_input).collect();
    if !datasets.is_empty() {
        forgive(inputs::log_datasets(tx, &by, run, &datasets))?;
    }
    for files in finish.artifacts.chunks(limits::ARTIFACT_FILES) {
        forgive(artifacts::record(tx, &by, run, files))?;
    }
    for points in finish.metrics.chunks(limits::BATCH_METRICS) {
        let mut batch = Batch::default();
        for point in points {
            forgive(batch.metric(&point.key, point.value, by.at, point.step).map(drop))?;
        }
        forgive(everloop_tracking::log_batch(tx, &by, run, &batch))?;
    }
    end(tx, &by, run, status(finish.state))
}

/// Ends a tracked run, even one that its own process ended in another way.
pub(crate) fn end(tx: &mut Tx<'_>, by: &By, run: &RunId, status: RunStatus) -> Result<()> {
    let update = Update {
        status: Some(status),
        ..Update::default()
    };
    forgive(runs::update(tx, by, run, &update).map(drop))
}

/// How MLflow says it.
fn status(state: StageState) -> RunStatus {
    match state {
        StageState::Succeeded | StageState::Cached => RunStatus::Finished,
        StageState::Failed => RunStatus::Failed,
        StageState::Pending | StageState::Running | StageState::Skipped | StageState::Cancelled => {
            RunStatus::Killed
        }
    }
}

fn dataset_input(version: &everloop_datasets::Version) -> DatasetInput {
    DatasetInput {
        dataset: Arc::new(Dataset {
            name: version.name.to_string(),
            digest: version.digest.to_hex(),
            version: Some(version.number),
            source_type: "everloop".to_owned(),
            source: version.reference().to_string(),
            schema: None,
            profile: None,
        }),
        context: String::new(),
        tags: BTreeMap::new(),
    }
}

/// Where an attempt came from.
pub(crate) fn provenance(
    stage: &everloop_project::Stage,
    params: &BTreeMap<String, serde_json::Value>,
    around: &crate::provenance::Surroundings,
) -> Provenance {
    use everloop_project::Action;
    let (command, seed) = match &stage.action {
        Action::Cmd { cmd } => (cmd.0.join("\n"), None),
        Action::Sql(sql) => (sql.query.clone(), None),
        Action::Train { train } => ("train".to_owned(), Some(train.seed)),
        Action::Evaluate { .. } => ("evaluate".to_owned(), None),
    };
    Provenance {
        code: around.code.clone(),
        params: params.clone(),
        environment: around.environment.clone(),
        seed,
        command: Some(command),
    }
}

/// What a stage was told, for its tracked run: its parameters, or the options of a built-in kind.
pub(crate) fn params_of(
    stage: &everloop_project::Stage,
    read: &BTreeMap<String, serde_json::Value>,
) -> BTreeMap<String, serde_json::Value> {
    let mut params = read.clone();
    if let everloop_project::Action::Train { train } = &stage.action
        && let Ok(serde_json::Value::Object(options)) = serde_json::to_value(train)
    {
        params.extend(options);
    }
    params
}

/// Tracking may refuse a detail (a run that someone deleted, a name it can't hold); that must not undo the work. Only
/// trouble with the database does.
fn forgive(result: Result<(), Refused>) -> Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(Refused::Db(error)) => Err(error.into()),
        Err(Refused::Ledger(error)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "a detail of a stage was not tracked");
            Ok(())
        }
    }
}

fn sanitised(name: &str) -> String {
    crate::metrics::Point::new(name, 0.0, 0).key
}

fn short(id: &str) -> &str {
    id.get(id.len().saturating_sub(8)..).unwrap_or(id)
}

fn user(actor: &Actor) -> String {
    match actor {
        Actor::Local(name) | Actor::Token(name) | Actor::System(name) => name.chars().take(100).collect(),
    }
}

/// The text of a failure with the stage's name, cut to a readable length.
pub(crate) fn told(stage: &StageName, failure: &Failure) -> String {
    let text = format!("stage \"{stage}\": {}", failure.with_causes());
    text.chars().filter(|c| *c != '\0').take(4_000).collect()
}
