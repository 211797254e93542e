//! What people ask of the loop: once each, however often the request arrives; and what the loop makes of a run.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use everloop_core::PipelineRunId;
use everloop_pipelines::{RunState, WorkerOptions};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio_util::sync::CancellationToken;

use crate::house::{House, json_request};

const PROJECT: &str = "\
project: flights
datasets:
  flights: { path: data/*.csv }
stages:
  train:
    train: { data: data/flights.csv, target: late, task: classification, iterations: 3, seed: 1 }
    outs: [build/model]
model:
  { name: flight-delay, from: build/model, task: classification, test: data/flights.csv, target: late }
serve: { endpoint: flight-delay }
";

async fn house() -> House {
    let house = House::local().await;
    house.write("data/flights.csv", &flights());
    house.write("everloop.yaml", PROJECT);
    house.post("/api/v1/project/reload", &json!({})).await.good();
    house
}

/// 300 flights of which the long-delayed are late.
fn flights() -> String {
    let row = |number: usize| {
        let delay = (number * 37) % 101;
        format!("{delay},{},{}\n", number % 7, usize::from(delay > 60))
    };
    let rows: String = (0..300).map(row).collect();
    format!("delay,hour,late\n{rows}")
}

fn keyed(path: &str, key: &str, body: &Value) -> Request<Body> {
    let mut request = json_request(Method::POST, path, body);
    request
        .headers_mut()
        .insert("idempotency-key", key.parse().unwrap());
    request
}

/// Releases a version past its gates, and lets the loop carry it out.
async fn promote(house: &House, version: u32) {
    let body = json!({ "version": version, "past_gates": true });
    let path = "/api/v1/models/flight-delay/promote";
    let first = house
        .send(keyed(path, &format!("p-{version}"), &body))
        .await
        .good();
    house.post("/api/v1/loop/settle", &json!({})).await.good();
    // The answer was lost, and the client asks again after it was carried out.
    let again = house
        .send(keyed(path, &format!("p-{version}"), &body))
        .await
        .good();
    assert_eq!(first, again);
}

async fn champion(house: &House) -> Value {
    let path = "/api/v1/models/flight-delay/versions/champion";
    house.get(path).await.good()["version"].clone()
}

async fn decisions(house: &House, kind: &str) -> usize {
    let all = house.get("/api/v1/decisions").await.good();
    let of_kind = |decision: &&Value| decision["kind"] == kind;
    all["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(of_kind)
        .count()
}

#[tokio::test]
async fn releases_asked_for_twice_with_a_key_happen_once() {
    let house = house().await;
    for _ in 0..2 {
        let version = house.register_model().await;
        promote(&house, version).await;
    }
    assert_eq!(champion(&house).await, 2);
    assert_eq!(decisions(&house, "promotion").await, 2);

    let path = "/api/v1/models/flight-delay/rollback";
    let body = json!({ "why": "too many complaints" });
    for _ in 0..3 {
        // Without the key the second request would go back to where the first came from.
        let back = house.send(keyed(path, "r-1", &body)).await.good();
        assert_eq!(back["version"], 1);
    }
    assert_eq!(champion(&house).await, 1);
    assert_eq!(decisions(&house, "rollback").await, 1);
    let moves = house.get("/api/v1/ledger?kind=alias.moved").await.good();
    assert_eq!(moves["events"].as_array().unwrap().len(), 3);

    let other = house.send(keyed(path, "r-1", &json!({ "why": "another" }))).await;
    assert_eq!(other.status, StatusCode::CONFLICT, "{other:?}");
    assert_eq!(champion(&house).await, 1);
}

#[tokio::test]
async fn a_retraining_asked_for_twice_with_a_key_is_one() {
    let house = house().await;
    let body = json!({ "why": "monday" });
    let first = house.send(keyed("/api/v1/retrain", "k", &body)).await.good();
    let again = house.send(keyed("/api/v1/retrain", "k", &body)).await.good();
    assert_eq!(first["id"], again["id"]);
    let other = house.send(keyed("/api/v1/retrain", "l", &body)).await;
    assert_eq!(other.status, StatusCode::PRECONDITION_FAILED, "one at a time");
    // Refused, the key is free for later.
    let long = house
        .send(keyed("/api/v1/retrain", &"x".repeat(129), &body))
        .await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_version_is_what_its_own_run_wrote_whatever_lies_in_the_folder() {
    let house = house().await;
    house
        .post("/api/v1/retrain", &json!({ "why": "a test" }))
        .await
        .good();
    let controller = house.app.controller(house.app.default_project()).unwrap().clone();
    controller.tick().await.unwrap();
    let retrainings = house.get("/api/v1/retrainings").await.good();
    let id = PipelineRunId::new(retrainings["retrainings"][0]["pipeline_run"].as_str().unwrap());
    let options = WorkerOptions::new("test", BTreeMap::new());
    let run = house
        .app
        .pipelines()
        .execute(&id, &options, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(run.summary.state, RunState::Succeeded, "{:?}", run.summary.error);

    // Another run is in the middle of writing there.
    std::fs::remove_dir_all(house.root.path().join("build/model")).unwrap();
    house.write("build/model/MLmodel", "half");
    controller.settle().await.unwrap();

    let files = house
        .get("/api/v1/models/flight-delay/versions/champion/files")
        .await
        .good();
    let hashes: BTreeSet<String> = files["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["hash"].as_str().unwrap().to_owned())
        .collect();
    let outs = run
        .stages
        .iter()
        .flat_map(|stage| &stage.outs)
        .flat_map(|out| &out.files);
    assert_eq!(hashes, outs.map(|file| file.hash.to_hex()).collect());
}
