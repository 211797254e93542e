//! What runs beside the requests, with an owner that stops it and waits.

use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use everloop_core::{Actor, DatasetName};
use everloop_datasets::{Dataset, Watch, Watcher};
use everloop_pipelines::Worker;

use crate::{App, stages};

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
    /// Starts the loops: serving's tables and log, the worker for pipeline runs, the ledger's anchors. Call it inside a
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

/// Takes a snapshot of a watched dataset when its files have changed.
async fn watch_datasets(app: &App, stop: &CancellationToken) {
    let project = app.default_project();
    let Some(file) = app.loop_of_project().file() else {
        return;
    };
    let Ok(root) = app.root(project) else { return };
    let datasets = match app.datasets().list(project).await {
        Ok(datasets) => datasets,
        Err(error) => {
            tracing::error!(%error, "datasets are not watched");
            return;
        }
    };
    let is_watched =
        |dataset: &Dataset| dataset.spec.watch && file.project.datasets.contains_key(&dataset.name);
    let known: Vec<DatasetName> = datasets
        .iter()
        .filter(|dataset| is_watched(dataset) && dataset.latest.is_some())
        .map(|dataset| dataset.name.clone())
        .collect();
    let watched: Vec<Watch> = datasets
        .into_iter()
        .filter(is_watched)
        .map(|dataset| Watch {
            name: dataset.name,
            spec: dataset.spec,
        })
        .collect();
    if watched.is_empty() {
        return;
    }
    let mut watcher = match Watcher::start(&root, &watched) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::error!(%error, "datasets are not watched");
            return;
        }
    };
    // What arrived while nobody watched: the same files again make no version.
    for name in &known {
        take_snapshot(app, name, &root).await;
    }
    loop {
        let changed = tokio::select! {
            () = stop.cancelled() => return,
            changed = watcher.changed() => changed,
        };
        let Some(name) = changed else { return };
        take_snapshot(app, &name, &root).await;
    }
}

async fn take_snapshot(app: &App, name: &DatasetName, root: &Path) {
    let (project, me) = (app.default_project(), Actor::system("watcher"));
    if let Err(error) = app.datasets().snapshot(project, &me, name, root).await {
        tracing::warn!(dataset = %name, %error, "no snapshot of the changed files");
    }
}
