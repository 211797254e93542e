//! What runs beside the requests, with an owner that stops it and waits.

use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use everloop_core::{Actor, DatasetName};
use everloop_datasets::{Dataset, Watch, Watcher};
use everloop_pipelines::Worker;
use std::collections::BTreeSet;

use crate::{ApiResult, App, stages};

/// How often the heads of the ledger's chains are written outside the database.
const ANCHOR_EVERY: Duration = Duration::from_secs(60);

/// The loops of a running program. Dropping it ends them where they are; [`stop`](Self::stop) lets them finish.
///
/// It has a token of its own, not [`App::stopping`]: stop it after the last request was answered, so that the last
/// predictions are sealed too.
#[derive(Debug)]
pub struct Background {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Background {
    /// Tells every loop to end and waits until all have.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a background loop ended badly");
            }
        }
    }
}

impl App {
    /// Starts the loops: serving's tables and log, the worker for pipeline runs, the ledger's anchors, the loop itself,
    /// the messages to webhooks, the watch over files. Call it inside a
    /// runtime, after [`listening_at`](Self::listening_at) when stages shall find the server.
    #[must_use]
    pub fn start(&self) -> Background {
        let mut background = Background {
            tasks: JoinSet::new(),
            stop: CancellationToken::new(),
        };
        let (tasks, stop) = (&mut background.tasks, &background.stop);
        let (serving, told) = (self.serving().clone(), stop.clone());
        tasks.spawn(async move { serving.run(told).await });
        let worker = Worker::new(self.pipelines().clone(), stages::worker_options(self));
        let told = stop.clone();
        tasks.spawn(async move { worker.run(&told).await });
        let (app, told) = (self.clone(), stop.clone());
        tasks.spawn(async move { write_anchors(&app, &told).await });
        let (controller, told) = (self.loop_of_project().clone(), stop.clone());
        tasks.spawn(async move { controller.run(told).await });
        let (outbox, told) = (self.outbox().clone(), stop.clone());
        tasks.spawn(async move { outbox.run(told).await });
        let (app, told) = (self.clone(), stop.clone());
        tasks.spawn(async move { watch_datasets(&app, &told).await });
        background
    }
}

/// Writes anchors every minute, and once more at the end.
async fn write_anchors(app: &App, stop: &CancellationToken) {
    let file = app.anchors();
    let mut tick = tokio::time::interval(ANCHOR_EVERY);
    loop {
        let is_last = tokio::select! {
            () = stop.cancelled() => true,
            _ = tick.tick() => false,
        };
        if let Err(error) = everloop_ledger::write_anchors(app.db(), &file).await {
            tracing::error!(%error, "the ledger's anchors were not written");
        }
        if is_last {
            return;
        }
    }
}

/// Takes a snapshot of a watched dataset when its files have changed. Which datasets are watched, the project file says;
/// when it was read again, so are they.
async fn watch_datasets(app: &App, stop: &CancellationToken) {
    let mut readings = app.readings();
    let mut before: Option<BTreeSet<DatasetName>> = None;
    loop {
        readings.mark_unchanged();
        let datasets = match watched(app).await {
            Ok(datasets) => datasets,
            Err(error) => {
                tracing::error!(problem = error.public_message(), "datasets are not watched");
                Vec::new()
            }
        };
        let mut watcher = start_watch(app, &datasets);
        // What arrived while nobody watched, which makes no version when the files are the same: at the start of the
        // datasets that have versions, later of those that the file names anew.
        for dataset in &datasets {
            let is_missed = match &before {
                None => dataset.latest.is_some(),
                Some(before) => !before.contains(&dataset.name),
            };
            if is_missed {
                snapshot(app, &dataset.name).await;
            }
        }
        before = Some(datasets.into_iter().map(|dataset| dataset.name).collect());
        loop {
            let changed = tokio::select! {
                () = stop.cancelled() => return,
                read = readings.changed() => match read {
                    Ok(()) => break,
                    Err(_) => return,
                },
                Some(changed) = next_change(&mut watcher) => changed,
            };
            snapshot(app, &changed).await;
        }
    }
}

/// The datasets that the project file says to watch.
async fn watched(app: &App) -> ApiResult<Vec<Dataset>> {
    let Some(file) = app.loop_of_project().file() else {
        return Ok(Vec::new());
    };
    let mut datasets = app.datasets().list(app.default_project()).await?;
    datasets.retain(|dataset| dataset.spec.watch && file.project.datasets.contains_key(&dataset.name));
    Ok(datasets)
}

fn start_watch(app: &App, datasets: &[Dataset]) -> Option<Watcher> {
    if datasets.is_empty() {
        return None;
    }
    let root = app.root(app.default_project()).ok()?;
    let watched: Vec<Watch> = datasets
        .iter()
        .map(|dataset| Watch {
            name: dataset.name.clone(),
            spec: dataset.spec.clone(),
        })
        .collect();
    match Watcher::start(&root, &watched) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::error!(%error, "datasets are not watched");
            None
        }
    }
}

/// The next dataset that may have changed; without a watch never.
async fn next_change(watcher: &mut Option<Watcher>) -> Option<DatasetName> {
    match watcher {
        Some(watcher) => watcher.changed().await,
        None => std::future::pending().await,
    }
}

async fn snapshot(app: &App, name: &DatasetName) {
    let project = app.default_project();
    let Ok(root) = app.root(project) else { return };
    let me = Actor::system("watcher");
    if let Err(error) = app.datasets().snapshot(project, &me, name, &root).await {
        tracing::warn!(dataset = %name, %error, "no snapshot of the changed files");
    }
}
