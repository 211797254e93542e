//! What a stage costs beside its own process: prints the figures that `docs` and reports quote.
//!
//! `cargo run --release -p everloop-pipelines --example measure`
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use everloop_core::{Actor, Clock, Ids};
use everloop_datasets::Datasets;
use everloop_db::{Db, DbUrl};
use everloop_objects::{Objects, Options, StoreUrl};
use everloop_pipelines::{PipelineRun, Pipelines, RunRequest, RunState, WorkerOptions};
use everloop_project::Project;
use everloop_tables::{Tables, TablesOptions};
use everloop_tracking::Tracking;
use tokio_util::sync::CancellationToken;

const STAGES: usize = 100;

struct Bench {
    pipelines: Pipelines,
    options: WorkerOptions,
    root: tempfile::TempDir,
    _data: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let (root, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]);
        Self {
            pipelines: pipelines(data.path()).await,
            options: WorkerOptions::new("bench", env),
            root,
            _data: data,
        }
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.root.path().join(path), text).unwrap();
    }

    async fn run(&self, yaml: &str) -> (PipelineRun, Duration) {
        let root = self.root.path();
        let project = Project::parse("everloop.yaml", yaml.as_bytes(), &|path| root.join(path).exists());
        let request = RunRequest::new(Arc::new(project.unwrap()), root);
        let began = Instant::now();
        let actor = Actor::Local("bench".to_owned());
        let id = self.pipelines.submit(&actor, request).await.unwrap();
        let run = self
            .pipelines
            .execute(&id, &self.options, &CancellationToken::new())
            .await
            .unwrap();
        let took = began.elapsed();
        assert_eq!(run.summary.state, RunState::Succeeded, "{:?}", run.summary.error);
        (run, took)
    }
}

async fn pipelines(data: &Path) -> Pipelines {
    let (clock, ids) = (Clock::system(), Ids::system());
    let migrations = [
        everloop_ledger::MIGRATIONS,
        everloop_tracking::MIGRATIONS,
        everloop_datasets::MIGRATIONS,
        everloop_pipelines::MIGRATIONS,
    ]
    .concat();
    let db = Db::open(&DbUrl::sqlite(data.join("everloop.db")), &migrations, &clock)
        .await
        .unwrap();
    let url = StoreUrl::folder(data.join("objects"));
    let objects = Objects::open(&url, &Options::new(ids.clone())).await.unwrap();
    let tables = Tables::new(TablesOptions::default()).unwrap();
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

/// A chain of stages that do nothing: their outs are there already and stay.
fn chain(command: &str, flags: &str) -> String {
    let mut text = "project: bench\nstages:\n".to_owned();
    for n in 0..STAGES {
        let command = command.replace("OUT", &format!("o{}", n + 1));
        let (dep, out) = (format!("o{n}"), format!("o{}", n + 1));
        writeln!(
            text,
            "  s{n:03}: {{cmd: '{command}', deps: [{dep}], outs: [{{{out}: {flags}}}]}}"
        )
        .unwrap();
    }
    text
}

fn wide(stages: usize) -> String {
    let mut text = "project: bench\nstages:\n".to_owned();
    for n in 0..stages {
        writeln!(text, "  s{n}: {{cmd: 'touch w{n}', deps: [o0], outs: [w{n}]}}").unwrap();
    }
    text
}

fn raw_spawn() -> Duration {
    let began = Instant::now();
    for _ in 0..STAGES {
        let ended = std::process::Command::new("/bin/sh")
            .args(["-c", "true"])
            .status()
            .unwrap();
        assert!(ended.success());
    }
    began.elapsed()
}

/// Processor time that this process itself took, without its children.
fn own_time() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap())
    };
    of(usage.user_time()) + of(usage.system_time())
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

#[tokio::main]
async fn main() {
    let raw = ms(raw_spawn()) / STAGES as f64;
    println!("raw spawn of sh -c true: {raw:.2} ms");

    let bench = Bench::new().await;
    for n in 0..=STAGES {
        bench.write(&format!("o{n}"), "x");
    }
    let before = own_time();
    let (_, took) = bench.run(&chain("true", "{persist: true}")).await;
    let (each, own) = (
        ms(took) / STAGES as f64,
        ms(own_time().saturating_sub(before)) / STAGES as f64,
    );
    println!(
        "chain of {STAGES} x true: {each:.2} ms a stage, {:.2} ms over the raw spawn ({own:.2} ms of processor time)",
        each - raw
    );

    let writing = chain("echo $EVERLOOP_STAGE > OUT", "{persist: false}");
    let (_, took) = bench.run(&writing).await;
    let each = ms(took) / STAGES as f64;
    println!(
        "chain of {STAGES} that each write a new file: {each:.2} ms a stage, {:.2} ms over the raw spawn",
        each - raw
    );
    // The files' times must be told apart from now before their hashes are remembered.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    bench.run(&writing).await;
    for _ in 0..3 {
        let (run, took) = bench.run(&writing).await;
        assert!(run.stages.iter().all(|stage| stage.attempt == 0));
        println!(
            "unchanged pipeline of {STAGES} stages: decided in {:.1} ms",
            ms(took)
        );
    }
    let (run, took) = bench.run(&wide(2_000)).await;
    println!(
        "wide pipeline of {} stages: {:.1} s, {:.2} ms a stage",
        run.stages.len(),
        took.as_secs_f64(),
        ms(took) / run.stages.len() as f64
    );
}
