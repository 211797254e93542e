//! A house for tests: real databases, objects, tables, folders, processes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use everloop_core::{Actor, Clock, Ids, PipelineRunId, ProjectName, StageName};
use everloop_datasets::Datasets;
use everloop_db::Db;
use everloop_db::testing::{self, TestDb};
use everloop_objects::{Objects, ObjectsAsStore, Options, StoreUrl};
use everloop_pipelines::{PipelineRun, Pipelines, RunRequest, WorkerOptions};
use everloop_project::Project;
use everloop_tables::{Tables, TablesOptions};
use everloop_tracking::Tracking;
use tokio_util::sync::CancellationToken;

pub(crate) struct House {
    pub pipelines: Pipelines,
    pub options: WorkerOptions,
    pub project: ProjectName,
    pub actor: Actor,
    pub root: tempfile::TempDir,
    pub name: &'static str,
    _data: tempfile::TempDir,
    _db: TestDb,
}

pub(crate) fn migrations() -> Vec<everloop_db::Migration> {
    [
        everloop_ledger::MIGRATIONS,
        everloop_tracking::MIGRATIONS,
        everloop_datasets::MIGRATIONS,
        everloop_pipelines::MIGRATIONS,
    ]
    .concat()
}

pub(crate) fn environment() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("HANDED_ON".to_owned(), "from the worker".to_owned()),
    ])
}

/// The capability over a database, with its bytes in `data`.
pub(crate) async fn pipelines(db: Db, data: &Path) -> Pipelines {
    let (clock, ids) = (Clock::system(), Ids::system());
    let url = StoreUrl::folder(data.join("objects"));
    let objects = Objects::open(&url, &Options::new(ids.clone())).await.unwrap();
    let tables = Tables::new(TablesOptions::default()).unwrap();
    let url = url::Url::parse("everloop://objects").unwrap();
    tables.register_store(&url, Arc::new(ObjectsAsStore::new(objects.clone())));
    Pipelines {
        db: db.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
        objects: objects.clone(),
        tables: tables.clone(),
        tracking: Tracking {
            db: db.clone(),
            clock: clock.clone(),
            ids,
            objects: objects.clone(),
        },
        datasets: Datasets::new(db, clock, objects, tables),
        logs: data.join("logs"),
    }
}

/// A house on each database that can run here.
pub(crate) async fn houses() -> Vec<House> {
    let mut houses = Vec::new();
    for test in testing::databases(&migrations()).await {
        houses.push(House::on(test).await);
    }
    houses
}

/// A house on SQLite, for what does not touch SQL.
pub(crate) async fn house() -> House {
    House::on(testing::sqlite(&migrations()).await).await
}

impl House {
    async fn on(test: TestDb) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut options = WorkerOptions::new("worker", environment());
        options.slots = 4;
        options.backoff = Duration::from_millis(1);
        options.grace = Duration::from_millis(300);
        Self {
            pipelines: pipelines(test.db.clone(), data.path()).await,
            options,
            project: ProjectName::new("demo").unwrap(),
            actor: Actor::Local("ada".to_owned()),
            root: tempfile::tempdir().unwrap(),
            name: test.name,
            _data: data,
            _db: test,
        }
    }

    pub fn write(&self, path: &str, text: &str) {
        let file = self.root.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        let file = self.root.path().join(path);
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.root.path().join(path).exists()
    }

    /// A project of these stages (and whatever else stands in `rest`).
    pub fn parse(&self, rest: &str) -> Arc<Project> {
        let text = format!("project: demo\n{rest}");
        let root = self.root.path().to_owned();
        let project = Project::parse("everloop.yaml", text.as_bytes(), &|path| root.join(path).exists());
        Arc::new(project.unwrap_or_else(|error| panic!("{error}\n{text}")))
    }

    pub fn request(&self, rest: &str) -> RunRequest {
        RunRequest::new(self.parse(rest), self.root.path())
    }

    pub async fn submit(&self, request: RunRequest) -> PipelineRunId {
        self.pipelines.submit(&self.actor, request).await.unwrap()
    }

    pub async fn execute(&self, id: &PipelineRunId) -> PipelineRun {
        self.pipelines
            .execute(id, &self.options, &CancellationToken::new())
            .await
            .unwrap()
    }

    /// Submits and carries out.
    pub async fn go(&self, request: RunRequest) -> PipelineRun {
        let id = self.submit(request).await;
        self.execute(&id).await
    }

    pub async fn run(&self, rest: &str) -> PipelineRun {
        self.go(self.request(rest)).await
    }

    /// The whole log of a stage.
    pub async fn log(&self, run: &PipelineRun, name: &str) -> String {
        let mut tail = self
            .pipelines
            .follow(&self.project, &run.summary.id, &stage(name));
        let mut bytes = Vec::new();
        while let Some(more) = tail.next().await.unwrap() {
            bytes.extend(more);
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Kinds and subjects of the ledger's events of one kind.
    pub async fn events(&self, kind: &'static str) -> Vec<everloop_ledger::Event> {
        let filter = everloop_ledger::Filter::default();
        let events = self
            .pipelines
            .db
            .read(move |tx| everloop_ledger::after(tx, everloop_ledger::Seq(0), 100_000, &filter))
            .await
            .unwrap();
        events.into_iter().filter(|event| event.kind == kind).collect()
    }
}

pub(crate) fn stage(name: &str) -> StageName {
    StageName::new(name).unwrap()
}

/// States of all stages, by name: `a=succeeded b=cached`.
pub(crate) fn states(run: &PipelineRun) -> String {
    let mut states: Vec<String> = run
        .stages
        .iter()
        .map(|stage| format!("{}={}", stage.stage, stage.state))
        .collect();
    states.sort();
    states.join(" ")
}
