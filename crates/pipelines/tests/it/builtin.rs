//! The built-in kinds, from rows to a judged model, without any other program.

use std::fmt::Write as _;

use everloop_core::DatasetName;
use everloop_datasets::Selector;
use everloop_pipelines::RunState;

use crate::house::{House, houses, states};

const PIPELINE: &str = "
datasets:
  rows: {path: data/*.csv}
  train: {path: build/train.parquet}
stages:
  prepare:
    sql: SELECT id, x, colour, y FROM rows WHERE id % 5 <> 0 ORDER BY id
    from: [rows]
    outs: [build/train.parquet]
  holdout:
    sql: SELECT id, x, colour, y FROM rows WHERE id % 5 = 0 ORDER BY id
    from: [rows]
    outs: [build/holdout.parquet]
  train:
    train: {data: build/train.parquet, target: y, task: classification, exclude: [id], iterations: 20, seed: 3, valid_share: 20%}
    outs: [build/model]
    metrics: [build/train.json]
  evaluate:
    evaluate: {model: build/model, data: build/holdout.parquet, target: y, metrics: [auc, log_loss]}
    metrics: [build/metrics.json]
";

fn rows(house: &House, file: &str, from: u64, to: u64) {
    let mut text = "id,x,colour,y\n".to_owned();
    for id in from..to {
        let x = (id * 7_919 % 1_000) as f64 / 1_000.0;
        let colour = ["red", "green", "blue"][(id % 3) as usize];
        let y = u8::from(x + if colour == "red" { 0.3 } else { 0.0 } > 0.6);
        writeln!(text, "{id},{x},{colour},{y}").unwrap();
    }
    house.write(file, &text);
}

#[tokio::test]
async fn rows_become_a_judged_model_and_unchanged_rows_do_nothing() {
    for house in houses().await {
        rows(&house, "data/one.csv", 0, 1_000);
        let run = house.run(PIPELINE).await;
        assert_eq!(
            run.summary.state,
            RunState::Succeeded,
            "{}: {:?}",
            house.name,
            run.summary.error
        );
        let metrics: serde_json::Value = serde_json::from_str(&house.read("build/metrics.json")).unwrap();
        assert!(metrics["auc"].as_f64().unwrap() > 0.95, "{metrics}");
        assert_eq!(metrics["rows"], 200.0);
        assert!(house.exists("build/model/MLmodel"));
        assert!(house.log(&run, "train").await.contains("iteration 1/20"));
        let ids = vec![
            run.stage("evaluate").unwrap().tracked_run.clone().unwrap(),
            run.stage("train").unwrap().tracked_run.clone().unwrap(),
        ];
        let tracked = house.pipelines.tracking.runs(&house.project, ids).await.unwrap();
        let auc = tracked[0]
            .metrics
            .iter()
            .find(|metric| metric.key == "auc")
            .unwrap();
        assert_eq!(Some(auc.value), metrics["auc"].as_f64());
        assert!(
            tracked[1]
                .params
                .iter()
                .any(|(key, value)| key == "iterations" && value == "20")
        );
        let again = house.run(PIPELINE).await;
        assert_eq!(
            states(&again),
            "evaluate=cached holdout=cached prepare=cached train=cached"
        );
        rows(&house, "data/two.csv", 1_000, 1_500);
        let more = house.run(PIPELINE).await;
        assert_eq!(
            states(&more),
            "evaluate=succeeded holdout=succeeded prepare=succeeded train=succeeded"
        );
        assert_eq!(
            more.stage("prepare").unwrap().reason.as_deref(),
            Some("dep dataset:rows changed")
        );
    }
}

#[tokio::test]
async fn a_dataset_that_a_stage_writes_gets_a_version_with_its_parents() {
    for house in houses().await {
        rows(&house, "data/one.csv", 0, 200);
        let run = house.run(PIPELINE).await;
        let name = DatasetName::new("train").unwrap();
        let version = house
            .pipelines
            .datasets
            .version(&house.project, &name, Selector::Latest)
            .await
            .unwrap();
        assert_eq!((version.number, version.rows), (1, 160), "{}", house.name);
        let parents: Vec<String> = version.parents.iter().map(ToString::to_string).collect();
        assert_eq!(parents, ["rows@1"]);
        assert_eq!(version.run, run.stage("prepare").unwrap().tracked_run);
    }
}

#[tokio::test]
async fn equal_rows_give_equal_bytes() {
    for house in houses().await {
        rows(&house, "data/one.csv", 0, 1_000);
        let digests = |run: &everloop_pipelines::PipelineRun| -> Vec<String> {
            run.stages
                .iter()
                .flat_map(|stage| &stage.outs)
                .map(|out| format!("{} {}", out.path, out.digest()))
                .collect()
        };
        let first = house.run(PIPELINE).await;
        let mut forced = house.request(PIPELINE);
        forced.force = true;
        let second = house.go(forced).await;
        assert!(second.stages.iter().all(|stage| stage.attempt == 1));
        assert_eq!(
            digests(&second),
            digests(&first),
            "{}: a cache hit equals a rerun",
            house.name
        );
    }
}

#[tokio::test]
async fn a_wrong_query_says_where() {
    let house = crate::house::house().await;
    rows(&house, "data/one.csv", 0, 10);
    let run = house
        .run("datasets:\n  rows: {path: data/*.csv}\nstages:\n  q: {sql: SELECT colr FROM rows, from: [rows], outs: [o.parquet]}\n")
        .await;
    let failed = run.stage("q").unwrap();
    assert!(failed.error.as_deref().unwrap().contains("colr"), "{failed:?}");
    assert!(failed.hint.is_some());
}

/// The files of the example beside this repository's crates, with its first three months.
fn copy_example(house: &House) -> std::sync::Arc<everloop_project::Project> {
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/flights");
    for folder in ["checks", "data"] {
        std::fs::create_dir_all(house.root.path().join(folder)).unwrap();
    }
    let mut files: Vec<String> = ["01", "02", "03"]
        .map(|month| format!("data/2013-{month}.parquet"))
        .to_vec();
    files.extend(["checks/flights.yaml".to_owned(), "checks/model.yaml".to_owned()]);
    for file in files {
        std::fs::copy(example.join(&file), house.root.path().join(&file)).unwrap();
    }
    let text = std::fs::read(example.join("everloop.yaml")).unwrap();
    let root = house.root.path().to_owned();
    let project = everloop_project::Project::parse("everloop.yaml", &text, &|path| root.join(path).exists());
    std::sync::Arc::new(project.unwrap())
}

#[tokio::test]
async fn the_flights_example_trains_a_model_that_knows_something() {
    let house = crate::house::house().await;
    let project = copy_example(&house);
    let request = everloop_pipelines::RunRequest::new(project, house.root.path());
    let run = house.go(request.clone()).await;
    assert_eq!(run.summary.state, RunState::Succeeded, "{:?}", run.summary.error);
    let metrics: serde_json::Value = serde_json::from_str(&house.read("build/metrics.json")).unwrap();
    let auc = metrics["auc"].as_f64().unwrap();
    assert!(auc > 0.6 && auc < 0.9, "{metrics}");
    let again = house.go(request).await;
    assert!(
        again.stages.iter().all(|stage| stage.attempt == 0),
        "{}",
        states(&again)
    );
}
