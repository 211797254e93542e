//! One attempt of a stage, from clearing its outs to knowing what it wrote. Nothing of it is recorded here.

use std::collections::BTreeMap;
use std::sync::Arc;

use everloop_core::{Actor, ArtifactPath, DatasetName, Hash, PipelineRunId, RunId, StageName};
use everloop_datasets::{Error as DatasetError, FileEntry, Spec, Version, VersionRef};
use everloop_project::{Action, Dataset, Engine, Source, Stage};
use everloop_tracking::artifacts::File;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::actions::{self, Told, Work};
use crate::board::Place;
use crate::decide::{Decider, Todo};
use crate::files;
use crate::logs::{self, LogFile};
use crate::metrics::{self, Point};
use crate::worker::WorkerOptions;
use crate::{Failure, OutManifest, Pipelines};

/// An attempt to make.
pub(crate) struct Attempt {
    pub pipelines: Pipelines,
    pub options: Arc<WorkerOptions>,
    pub decider: Arc<Decider>,
    pub run: PipelineRunId,
    pub actor: Actor,
    pub name: StageName,
    pub place: Place,
    pub tracked_run: RunId,
    pub todo: Todo,
    /// Someone wants it to end.
    pub cancel: CancellationToken,
    /// The worker shuts down.
    pub stop: CancellationToken,
}

/// An attempt that is over.
pub(crate) struct Ended {
    pub place: Place,
    pub tracked_run: RunId,
    pub todo: Todo,
    pub result: Result<Product, Failure>,
    pub log: Option<(Hash, u64)>,
    pub elapsed_ms: u64,
    pub versions: BTreeMap<DatasetName, Version>,
}

/// What a stage made.
pub(crate) struct Product {
    pub outs: Vec<OutManifest>,
    pub metrics: Vec<Point>,
    pub artifacts: Vec<File>,
    /// Whether the outs may answer for the same inputs another time.
    pub reusable: bool,
}

impl Attempt {
    pub async fn run(self) -> Ended {
        let began = Instant::now();
        let mut versions = BTreeMap::new();
        let (result, log) = match self.open_log() {
            Ok(mut log) => {
                let result = self.make(&mut versions, &mut log).await;
                self.keep_log(log, result).await
            }
            Err(failure) => (Err(failure), None),
        };
        Ended {
            place: self.place,
            tracked_run: self.tracked_run,
            todo: self.todo,
            result,
            log,
            elapsed_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            versions,
        }
    }

    fn open_log(&self) -> Result<LogFile, Failure> {
        let path = logs::live_path(&self.pipelines.logs, &self.run, &self.name);
        LogFile::create(path.clone(), self.options.log_limit)
            .map_err(|source| files::io("start the log", &path, source))
    }

    async fn keep_log(
        &self,
        log: LogFile,
        result: Result<Product, Failure>,
    ) -> (Result<Product, Failure>, Option<(Hash, u64)>) {
        let path = match log.finish() {
            Ok(Some(path)) => path,
            Ok(None) => return (result, None),
            Err(error) => {
                let path = logs::live_path(&self.pipelines.logs, &self.run, &self.name);
                return (result.and(Err(files::io("keep the log", &path, error))), None);
            }
        };
        match self.pipelines.objects.put_file(&path).await {
            // The file goes when the next attempt starts, or with the run.
            Ok(stored) => (result, Some((stored.hash, stored.size))),
            Err(error) => (result.and(Err(error.into())), None),
        }
    }

    async fn make(
        &self,
        versions: &mut BTreeMap<DatasetName, Version>,
        log: &mut LogFile,
    ) -> Result<Product, Failure> {
        let stage = &self.decider.project.stages[&self.name];
        check_engine(stage.run.on)?;
        self.take_snapshots(stage, versions).await?;
        for written in stage.writes() {
            let path = written.path.as_str();
            if !written.out.flags.persist {
                self.decider.files.remove(path)?;
            }
            self.decider.files.make_parent(path)?;
        }
        let told = self.act(stage, versions, log).await?;
        self.collect(stage, versions, told).await
    }

    /// Does what the stage does. The built-in kinds end by being dropped; commands end their processes themselves.
    async fn act(
        &self,
        stage: &Stage,
        versions: &BTreeMap<DatasetName, Version>,
        log: &mut LogFile,
    ) -> Result<Told, Failure> {
        let work = Work {
            attempt: self,
            stage,
            params: &self.todo.inputs.params,
            versions,
        };
        if let Action::Cmd { cmd } = &stage.action {
            return actions::run_cmd(&work, cmd, log).await.map(|()| Told::default());
        }
        let timeout = stage.run.timeout.map(|span| span.get());
        let deadline = timeout.map(|span| Instant::now() + span);
        tokio::select! {
            told = work.built_in(log) => told,
            () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                Err(Failure::Timeout(timeout.unwrap_or_default()))
            }
            () = self.cancel.cancelled() => Err(Failure::Cancelled),
            () = self.stop.cancelled() => Err(Failure::Stopped),
        }
    }

    /// Takes a snapshot of each dataset that the stage reads.
    async fn take_snapshots(
        &self,
        stage: &Stage,
        versions: &mut BTreeMap<DatasetName, Version>,
    ) -> Result<(), Failure> {
        let project = &self.decider.project;
        for name in project.datasets_read_by(stage) {
            let is_named = stage
                .reads()
                .iter()
                .any(|read| matches!(read, Source::Dataset(read) if read == name));
            self.register(name, &project.datasets[name]).await?;
            let taken = self
                .pipelines
                .datasets
                .snapshot(&self.decider.name, &self.actor, name, &self.decider.root)
                .await;
            match taken {
                Ok(snapshot) => drop(versions.insert(name.clone(), snapshot.version)),
                Err(error) if is_named => return Err(error.into()),
                // Read as files only: the version would have been good to know.
                Err(error) => {
                    tracing::warn!(dataset = %name, %error, "no version of a dataset that a stage reads")
                }
            }
        }
        Ok(())
    }

    /// Makes the dataset known as the project file says it is.
    async fn register(&self, name: &DatasetName, dataset: &Dataset) -> Result<(), Failure> {
        let spec = Spec {
            paths: dataset.path.iter().map(|path| path.as_str().to_owned()).collect(),
            time: dataset.time.as_ref().map(ToString::to_string),
            watch: dataset.watch,
        };
        let datasets = &self.pipelines.datasets;
        match datasets.get(&self.decider.name, name).await {
            Ok(known) if known.spec == spec => return Ok(()),
            Ok(_) | Err(DatasetError::NoSuchDataset { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(datasets
            .register(&self.decider.name, &self.actor, name, &spec)
            .await?)
    }

    /// Stores what the stage wrote.
    async fn collect(
        &self,
        stage: &Stage,
        versions: &BTreeMap<DatasetName, Version>,
        told: Told,
    ) -> Result<Product, Failure> {
        let mut outs = Vec::new();
        let mut points = told.metrics;
        for written in stage.writes() {
            let path = written.path.as_str();
            let kept = written.out.flags.cache;
            let stored = self
                .decider
                .files
                .store(path, kept, &self.pipelines.objects)
                .await?;
            outs.push(stored.ok_or_else(|| Failure::MissingOut(path.to_owned()))?);
            if written.section == "metrics" {
                let read = metrics::read(&self.decider.root, &written.path)?;
                add_points(&mut points, read, written.path.stem());
            }
        }
        let mut artifacts = artifacts_of(&outs);
        for (path, bytes) in told.documents {
            let stored = self.pipelines.objects.put_bytes(bytes).await?;
            artifacts.extend(artifact(&path, stored.hash, stored.size));
        }
        self.commit_datasets(stage, versions).await?;
        // Someone may have changed what the stage reads while it ran: its outs then answer for neither content.
        let after = self.decider.inputs(stage).await;
        let is_steady = after.is_ok_and(|after| after.deps == self.todo.inputs.deps);
        if !is_steady {
            tracing::warn!(stage = %self.name, "a dependency changed while the stage ran; its outs are not reused");
        }
        Ok(Product {
            outs,
            metrics: points,
            artifacts,
            reusable: self.todo.reusable && is_steady,
        })
    }

    /// Makes versions of the datasets whose files the stage wrote. The same files again make no version, so an attempt
    /// that is thought dead can do no harm here.
    async fn commit_datasets(
        &self,
        stage: &Stage,
        versions: &BTreeMap<DatasetName, Version>,
    ) -> Result<(), Failure> {
        let project = &self.decider.project;
        for (name, dataset) in &project.datasets {
            let is_written = |path: &everloop_project::DataPath| {
                stage.writes().any(|written| {
                    written.path.is_beneath(path.prefix()) || path.prefix().is_beneath(&written.path)
                })
            };
            if !dataset.path.iter().any(is_written) {
                continue;
            }
            let Some(found) = self.decider.files.dataset(&dataset.path).await? else {
                continue;
            };
            let hashes: Vec<Hash> = found.files.iter().map(|file| file.hash).collect();
            // Held, not only looked up: nothing may refer to them yet.
            let missing = self.pipelines.objects.hold(&hashes).await?;
            for file in found.files.iter().filter(|file| missing.contains(&file.hash)) {
                let path = self.decider.files.absolute(&file.path);
                self.pipelines.objects.put_file(&path).await?;
            }
            self.register(name, dataset).await?;
            let parents: Vec<VersionRef> = versions.values().map(Version::reference).collect();
            let entries = found.files.into_iter().map(|file| FileEntry {
                path: file.path,
                hash: file.hash,
                size: file.size,
            });
            self.pipelines
                .datasets
                .commit_files(
                    &self.decider.name,
                    &self.actor,
                    name,
                    entries.collect(),
                    parents,
                    Some(self.tracked_run.clone()),
                )
                .await?;
        }
        Ok(())
    }
}

fn check_engine(engine: Engine) -> Result<(), Failure> {
    match engine {
        Engine::Local => Ok(()),
        Engine::Ray => Err(Failure::Engine("ray")),
        Engine::Kubernetes => Err(Failure::Engine("kubernetes")),
        Engine::Slurm => Err(Failure::Engine("slurm")),
    }
}

/// Adds figures; those of a name that is taken get the name of their file in front.
fn add_points(points: &mut Vec<Point>, read: Vec<Point>, file: &str) {
    let taken: std::collections::BTreeSet<String> = points.iter().map(|point| point.key.clone()).collect();
    points.extend(read.into_iter().map(|point| match taken.contains(&point.key) {
        true => Point::new(format!("{file}.{}", point.key), point.value, point.step),
        false => point,
    }));
}

/// The files of kept outs, as artifacts of the tracked run under the paths they have in the project.
fn artifacts_of(outs: &[OutManifest]) -> Vec<File> {
    outs.iter()
        .filter(|out| out.kept)
        .flat_map(|out| {
            out.files
                .iter()
                .filter_map(|file| artifact(&out.path_of(file), file.hash, file.size))
        })
        .collect()
}

/// An artifact, unless its path can't be one.
fn artifact(path: &str, hash: Hash, size_bytes: u64) -> Option<File> {
    Some(File {
        path: ArtifactPath::new(path).ok()?,
        hash,
        size_bytes,
    })
}
