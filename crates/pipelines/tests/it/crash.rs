//! Workers that are killed at any instant: nothing is lost, nothing happens twice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use everloop_core::{Actor, Clock, ProjectName};
use everloop_db::testing::Place;
use everloop_db::{Db, testing};
use everloop_pipelines::{PipelineRun, Pipelines, RunRequest, RunState, Worker, WorkerOptions};
use everloop_project::Project;
use tokio_util::sync::CancellationToken;

use crate::house::{environment, migrations, pipelines};

/// Tells a child which files to work on: the database's and the data's folder.
const DATABASE: &str = "EVERLOOP_TEST_CRASH_DATABASE";
const DATA: &str = "EVERLOOP_TEST_CRASH_DATA";

/// How many workers are killed.
const KILLS: u64 = 20;

/// Stages of the pipeline: chains beside each other, joined at the end.
const CHAINS: usize = 3;
const LENGTH: usize = 12;

fn options(name: &str) -> WorkerOptions {
    let mut options = WorkerOptions::new(name, environment());
    options.slots = 3;
    options.lease = Duration::from_millis(300);
    options.backoff = Duration::from_millis(1);
    // However often it is killed, the pipeline must come to its end.
    options.losses = 1_000;
    options
}

fn yaml() -> String {
    use std::fmt::Write as _;
    let mut text = "project: demo\nstages:\n".to_owned();
    for chain in 0..CHAINS {
        for place in 0..LENGTH {
            let before = match place {
                0 => "in.txt".to_owned(),
                place => format!("out/{chain}-{}.txt", place - 1),
            };
            let out = format!("out/{chain}-{place}.txt");
            writeln!(
                text,
                "  s{chain}-{place}: {{cmd: 'sleep 0.06; cat {before} > {out}; sleep 0.06; echo {chain}-{place} >> {out}', deps: [{before}], outs: [{out}]}}"
            )
            .unwrap();
        }
    }
    let last: Vec<String> = (0..CHAINS)
        .map(|chain| format!("out/{chain}-{}.txt", LENGTH - 1))
        .collect();
    writeln!(
        text,
        "  join: {{cmd: 'cat {} > all.txt', deps: [{}], outs: [all.txt]}}",
        last.join(" "),
        last.join(", ")
    )
    .unwrap();
    text
}

/// Not a test: the worker that is killed. Without its variables it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test below"]
#[expect(clippy::disallowed_methods, reason = "how a child is told its part")]
async fn child() {
    let (Ok(database), Ok(data)) = (std::env::var(DATABASE), std::env::var(DATA)) else {
        return;
    };
    let url = database.parse().unwrap();
    let db = Db::open(&url, &migrations(), &Clock::system()).await.unwrap();
    let pipelines = pipelines(db, &PathBuf::from(data)).await;
    let options = options(&format!("child {}", std::process::id()));
    Worker::new(pipelines, options)
        .run(&CancellationToken::new())
        .await;
}

fn start_child(database: &str, data: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--ignored", "--nocapture"])
        .env(DATABASE, database)
        .env(DATA, data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_nothing_and_do_nothing_twice() {
    let place: Place = testing::places().remove(0);
    let (root, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(root.path().join("in.txt"), "start\n").unwrap();
    let db = Db::open(&place.url, &migrations(), &Clock::system())
        .await
        .unwrap();
    let house = pipelines(db, data.path()).await;
    let project = Project::parse("everloop.yaml", yaml().as_bytes(), &|path| {
        root.path().join(path).exists()
    });
    let request = RunRequest::new(Arc::new(project.unwrap()), root.path());
    let actor = Actor::Local("ada".to_owned());
    let id = house.submit(&actor, request).await.unwrap();
    let name = ProjectName::new("demo").unwrap();

    let mut kills = 0;
    for n in 0..KILLS {
        let mut child = start_child(&place.url.to_string(), data.path());
        // Instants spread over all that a worker does, the same in each run of the test.
        tokio::time::sleep(Duration::from_millis(340 + n * 7_919 % 400)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        if house.status(&name, &id).await.unwrap().summary.state.is_end() {
            break;
        }
    }
    assert!(kills >= 5, "the pipeline must be long enough to be interrupted");
    let run = house
        .execute(&id, &options("last"), &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(run.summary.state, RunState::Succeeded, "{run:?}");
    check_outs(root.path());
    check_events(&house, &run).await;
    assert_eq!(leftovers(run.summary.id.as_str()), 0);
}

fn check_outs(root: &std::path::Path) {
    let mut expected = String::new();
    for chain in 0..CHAINS {
        expected.push_str("start\n");
        for place in 0..LENGTH {
            expected.push_str(&format!("{chain}-{place}\n"));
        }
    }
    assert_eq!(std::fs::read_to_string(root.join("all.txt")).unwrap(), expected);
}

async fn check_events(house: &Pipelines, run: &PipelineRun) {
    let events = house
        .db
        .read(|tx| {
            let filter = everloop_ledger::Filter::default();
            everloop_ledger::after(tx, everloop_ledger::Seq(0), 100_000, &filter)
        })
        .await
        .unwrap();
    let mut finished: BTreeMap<String, usize> = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind == "stage.finished") {
        *finished.entry(event.subject.clone()).or_default() += 1;
    }
    assert_eq!(finished.len(), CHAINS * LENGTH + 1);
    assert!(finished.values().all(|&times| times == 1), "{finished:?}");
    let ended = events
        .iter()
        .filter(|event| event.kind == "pipeline.finished")
        .count();
    assert_eq!(ended, 1);
    let verified = everloop_ledger::verify(&house.db, &[]).await.unwrap();
    assert_eq!(verified.problem, None);
    let lost: u32 = run.stages.iter().map(|stage| stage.attempt - 1).sum();
    let killed = events
        .iter()
        .filter(|event| event.kind == "run.finished" && event.payload["status"] == "KILLED")
        .count();
    assert_eq!(
        killed as u32, lost,
        "each lost attempt's tracked run is ended, once"
    );
}

/// Processes of the run that are still there.
fn leftovers(run: &str) -> usize {
    let mark = format!("EVERLOOP_RUN={run}\0");
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            std::fs::read(entry.path().join("environ"))
                .is_ok_and(|env| env.windows(mark.len()).any(|part| part == mark.as_bytes()))
        })
        .count()
}
