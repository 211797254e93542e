//! A loop with everything it joins, in a temporary folder, with a worker beside it.

use async_trait::async_trait;
use everloop_controller::{Controller, Decision, Parts, ProjectFile, Retraining, decisions, retrainings};
use everloop_core::{Actor, Clock, Ids, ModelName, ProjectName, Timestamp};
use everloop_datasets::{Datasets, Spec};
use everloop_db::Db;
use everloop_db::testing::{TestDb, databases};
use everloop_ledger::{Event, Filter, NewEvent, Seq};
use everloop_monitoring::Monitoring;
use everloop_objects::{Objects, Options, StoreUrl};
use everloop_pipelines::{Pipelines, Worker, WorkerOptions};
use everloop_registry::Registry;
use everloop_registry::files;
use everloop_runtime::ModelFiles;
use everloop_serving::{ModelSource, Serving, ServingOptions};
use everloop_tables::{Tables, TablesOptions};
use everloop_tracking::Tracking;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// 2026-01-05, a Monday.
pub const START: Timestamp = Timestamp(1_767_571_200_000);
pub const HOUR: Duration = Duration::from_secs(3_600);

pub fn project() -> ProjectName {
    ProjectName::new("flights").unwrap()
}

/// The stages and the model of most tests; `gate` and `rest` differ.
pub fn learning(gate: &str, rest: &str) -> String {
    format!(
        "project: flights
datasets:
  flights: {{ path: data/*.csv }}
stages:
  rows:
    sql: SELECT x, carrier, late FROM flights ORDER BY id
    from: [flights]
    outs: [build/rows.parquet]
  train:
    train: {{ data: build/rows.parquet, target: late, task: classification, iterations: 15, seed: 3 }}
    outs: [build/model]
model:
  name: flight-delay
  from: build/model
  task: classification
  test: build/rows.parquet
  target: late
  gates: [{gate}]
serve: {{ endpoint: flight-delay }}
monitor: {{ window: 1d, drift: {{ confirm: 1 of 1 }} }}
{rest}"
    )
}

pub struct House {
    pub controller: Controller,
    pub parts: Parts,
    pub root: TempDir,
    worker: JoinSet<()>,
    stop: CancellationToken,
    _db: TestDb,
}

/// Models as the registry keeps them.
struct Registered {
    registry: Registry,
    objects: Objects,
}

impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registered").finish_non_exhaustive()
    }
}

#[async_trait]
impl ModelSource for Registered {
    async fn files(
        &self,
        project: &ProjectName,
        model: &ModelName,
        version: u64,
    ) -> Result<ModelFiles, String> {
        let (project, model) = (project.clone(), model.clone());
        let number = everloop_registry::VersionNumber(u32::try_from(version).unwrap());
        let listed = self
            .registry
            .db
            .read(move |tx| files::all(tx, &project, &model, number))
            .await
            .map_err(|error| error.to_string())?;
        let mut found = ModelFiles::new();
        for file in listed {
            let bytes = self
                .objects
                .get_bytes(&file.hash)
                .await
                .map_err(|error| error.to_string())?;
            found
                .insert(file.path.as_str(), bytes.to_vec())
                .map_err(|error| error.to_string())?;
        }
        Ok(found)
    }
}

fn migrations() -> Vec<everloop_db::Migration> {
    [
        everloop_ledger::MIGRATIONS,
        everloop_tracking::MIGRATIONS,
        everloop_registry::MIGRATIONS,
        everloop_datasets::MIGRATIONS,
        everloop_checks::MIGRATIONS,
        everloop_pipelines::MIGRATIONS,
        everloop_serving::MIGRATIONS,
        everloop_monitoring::MIGRATIONS,
        everloop_controller::MIGRATIONS,
    ]
    .concat()
}

/// A house on each database, with this project file.
pub async fn houses(file: &str) -> Vec<House> {
    let mut houses = Vec::new();
    for db in databases(&migrations()).await {
        houses.push(House::on(db, file).await);
    }
    houses
}

async fn parts(db: &Db, data: &std::path::Path) -> Parts {
    let (clock, ids) = (Clock::manual(START), Ids::seeded(7));
    let url = StoreUrl::folder(data.join("objects"));
    let objects = Objects::open(&url, &Options::new(ids.clone())).await.unwrap();
    let options = TablesOptions {
        threads: 1,
        ..TablesOptions::default()
    };
    let tables = Tables::new(options).unwrap().with_objects(objects.clone());
    let tracking = Tracking {
        db: db.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
        objects: objects.clone(),
    };
    let registry = Registry {
        db: db.clone(),
        clock: clock.clone(),
    };
    let datasets = Datasets::new(db.clone(), clock.clone(), objects.clone(), tables.clone());
    let source = Registered {
        registry: registry.clone(),
        objects: objects.clone(),
    };
    let serving = Serving::open(
        db.clone(),
        clock.clone(),
        ids.clone(),
        objects.clone(),
        tables.clone(),
        Arc::new(source),
        ServingOptions::new(data.join("predictions")),
    )
    .await
    .unwrap();
    Parts {
        pipelines: Pipelines {
            db: db.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            objects: objects.clone(),
            tables: tables.clone(),
            tracking,
            datasets: datasets.clone(),
            logs: data.join("logs"),
        },
        monitoring: Monitoring::new(db.clone(), tables.clone()),
        db: db.clone(),
        clock,
        ids,
        objects,
        tables,
        registry,
        datasets,
        serving,
    }
}

impl House {
    async fn on(db: TestDb, file: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let parts = parts(&db.db, &root.path().join(".everloop")).await;
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]);
        let worker = Worker::new(parts.pipelines.clone(), WorkerOptions::new("worker", environment));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let told = stop.clone();
        tasks.spawn(async move { worker.run(&told).await });
        let house = Self {
            controller: Controller::new(parts.clone(), project(), None),
            parts,
            root,
            worker: tasks,
            stop,
            _db: db,
        };
        house.flights(0..400);
        house.write("in.txt", "flights\n");
        house.reads(file).await;
        house
    }

    /// The loop of another process over the same stores.
    pub fn another(&self) -> Controller {
        let file = self.controller.file().map(|file| ProjectFile::clone(&file));
        Controller::new(self.parts.clone(), project(), file)
    }

    pub fn write(&self, path: &str, text: &str) {
        let file = self.root.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// A file of flights with these ids; those of carrier "B" and with a large `x` are late.
    pub fn flights(&self, ids: std::ops::Range<u64>) {
        let mut text = "id,x,carrier,late\n".to_owned();
        for id in ids.clone() {
            let x = (id * 7_919 % 1_000) as f64 / 1_000.0;
            let carrier = ["A", "B", "C"][(id % 3) as usize];
            let late = u8::from(x > 0.7 || (carrier == "B" && id % 4 != 0));
            writeln!(text, "{id},{x},{carrier},{late}").unwrap();
        }
        self.write(&format!("data/{}.csv", ids.start), &text);
    }

    /// Puts a project file in place and has the loop read it.
    pub async fn reads(&self, file: &str) {
        self.write("everloop.yaml", file);
        let file = ProjectFile::read(self.root.path()).unwrap();
        for (name, dataset) in &file.project.datasets {
            let spec = Spec {
                paths: dataset.path.iter().map(ToString::to_string).collect(),
                time: None,
                watch: false,
            };
            self.parts
                .datasets
                .register(&project(), &Actor::system("test"), name, &spec)
                .await
                .unwrap();
        }
        self.controller.set_file(file);
    }

    /// Something happens elsewhere.
    pub async fn happens(&self, kind: &'static str, payload: Value) {
        let now = self.parts.clock.now();
        let event = NewEvent {
            project: project(),
            actor: Actor::system("test"),
            kind,
            subject: "endpoint:flight-delay".to_owned(),
            payload,
        };
        self.parts
            .db
            .write(move |tx| everloop_ledger::append(tx, now, event.clone()))
            .await
            .unwrap();
    }

    pub async fn pushed(&self) {
        let payload = json!({ "branch": "main", "words": "2 commits on main" });
        self.happens("git.push", payload).await;
    }

    pub async fn drifts(&self) {
        self.happens("monitor.drift", json!({ "words": "it drifted" }))
            .await;
    }

    /// Goes round once, as a person asks, until nothing is left to do.
    pub async fn goes_round(&self) -> Retraining {
        let started = self
            .controller
            .retrain(&Actor::system("test"), "a test", None)
            .await
            .unwrap();
        self.controller.settle().await.unwrap();
        let all = self.retrainings().await;
        all.into_iter().find(|one| one.id == started.id).unwrap()
    }

    pub async fn retrainings(&self) -> Vec<Retraining> {
        self.parts
            .db
            .read(|tx| retrainings(tx, &project(), 1_000))
            .await
            .unwrap()
    }

    /// What was decided, oldest first; of one kind.
    pub async fn decided(&self, kind: &str) -> Vec<Decision> {
        let mut all = self
            .parts
            .db
            .read(|tx| decisions(tx, &project(), None, 1_000))
            .await
            .unwrap();
        all.reverse();
        all.into_iter()
            .filter(|one| kind.is_empty() || one.kind == kind)
            .collect()
    }

    /// The outcomes of decisions of one kind, oldest first.
    pub async fn outcomes(&self, kind: &str) -> Vec<String> {
        self.decided(kind)
            .await
            .into_iter()
            .map(|one| one.outcome)
            .collect()
    }

    pub async fn events(&self, kind: &str) -> Vec<Event> {
        let filter = Filter {
            kind: Some(kind.to_owned()),
            ..Filter::default()
        };
        self.parts
            .db
            .read(move |tx| everloop_ledger::after(tx, Seq(0), 10_000, &filter))
            .await
            .unwrap()
    }

    /// The version that the champion's alias names, and those that answer.
    pub async fn serving(&self) -> (Option<u32>, Vec<u64>) {
        let (model, endpoint) = (
            ModelName::new("flight-delay").unwrap(),
            everloop_core::EndpointName::new("flight-delay").unwrap(),
        );
        let alias = everloop_core::AliasName::new("champion").unwrap();
        self.parts
            .db
            .read(move |tx| {
                let champion = everloop_registry::aliases::get(tx, &project(), &model, &alias)
                    .ok()
                    .flatten();
                let found = everloop_serving::endpoint(tx, &project(), &endpoint)?;
                let routes = found.map(|found| found.routes.iter().map(|route| route.version).collect());
                Ok::<_, everloop_serving::Error>((
                    champion.map(|version| version.version.0),
                    routes.unwrap_or_default(),
                ))
            })
            .await
            .unwrap()
    }

    /// Stops the worker and waits for it.
    pub async fn close(mut self) {
        self.stop.cancel();
        while self.worker.join_next().await.is_some() {}
    }
}
