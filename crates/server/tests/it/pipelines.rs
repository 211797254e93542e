//! Stages that really run, asked for and watched over HTTP.

use crate::house::House;
use axum::http::StatusCode;
use serde_json::{Value, json};

const PROJECT: &str = "project: flights\nstages:\n  greet: { cmd: \"echo hello && cp in.txt out.txt\", deps: [in.txt], outs: [out.txt] }\n  shout: { cmd: \"tr a-z A-Z < out.txt > loud.txt\", deps: [out.txt], outs: [loud.txt] }\n";

async fn house() -> House {
    let house = House::local().await;
    house.write("everloop.yaml", PROJECT);
    house.write("in.txt", "flights\n");
    house
}

fn states(run: &Value) -> Vec<&str> {
    let stages = run["stages"].as_array().unwrap();
    stages
        .iter()
        .map(|stage| stage["state"].as_str().unwrap())
        .collect()
}

async fn run(house: &House) -> Value {
    let asked = house
        .post("/api/v1/pipeline-runs", &json!({ "reason": "a test" }))
        .await
        .good();
    assert_eq!(asked["run"]["reason"], "a test");
    let id = asked["run"]["id"].as_str().unwrap();
    house
        .get(&format!("/api/v1/pipeline-runs/{id}/wait"))
        .await
        .good()
}

#[tokio::test]
async fn a_run_is_planned_done_seen_and_not_done_twice() {
    let house = house().await;
    let background = house.app.start();
    let plan = house.get("/api/v1/plan").await.good();
    assert_eq!(plan["stages"][0]["verdict"], "run");
    assert_eq!(
        plan["stages"][1],
        json!({ "stage": "shout", "verdict": "depends", "why": ["greet"] })
    );

    let done = run(&house).await;
    assert_eq!(done["run"]["state"], "succeeded", "{done}");
    assert_eq!(states(&done), ["succeeded", "succeeded"]);
    let written = std::fs::read_to_string(house.root.path().join("loud.txt")).unwrap();
    assert_eq!(written, "FLIGHTS\n");
    let id = done["run"]["id"].as_str().unwrap();
    for follow in ["", "?follow=true"] {
        let log = house
            .get(&format!("/api/v1/pipeline-runs/{id}/stages/greet/log{follow}"))
            .await;
        assert_eq!(log.text(), "hello\n", "{follow}");
    }

    let planned: Value = house.get("/api/v1/plan").await.good();
    assert_eq!(planned["stages"][1]["verdict"], "cached");
    assert_eq!(states(&run(&house).await), ["cached", "cached"]);

    // The clock stands still here, so which of the two comes first is chance; both come once.
    let page = house.get("/api/v1/pipeline-runs?limit=1").await.good();
    let next = page["next_page_token"].as_str().unwrap();
    let rest = house
        .get(&format!("/api/v1/pipeline-runs?page_token={next}"))
        .await
        .good();
    assert_eq!(rest["next_page_token"], Value::Null);
    let listed = [&page["runs"][0]["id"], &rest["runs"][0]["id"]];
    assert!(
        listed.contains(&&done["run"]["id"]) && listed[0] != listed[1],
        "{listed:?}"
    );
    let status = house.get("/api/v1/status").await.good();
    assert_eq!(status["last_pipeline_run"]["state"], "succeeded");

    // What stages did is tracked, and can be looked at.
    let runs = house.get("/api/v1/runs").await.good();
    let tracked = runs["runs"][0]["id"].as_str().unwrap();
    let detail = house.get(&format!("/api/v1/runs/{tracked}")).await.good();
    assert_eq!(detail["run"]["id"], tracked);
    background.stop().await;
}

#[tokio::test]
async fn a_run_that_nobody_took_is_cancelled_at_once() {
    let house = house().await;
    let asked = house.post("/api/v1/pipeline-runs", &json!({})).await.good();
    let id = asked["run"]["id"].as_str().unwrap();
    for _ in 0..2 {
        let cancelled = house
            .post(&format!("/api/v1/pipeline-runs/{id}/cancel"), &json!({}))
            .await;
        assert_eq!(cancelled.good(), json!({ "done": true }));
    }
    let over = house
        .get(&format!("/api/v1/pipeline-runs/{id}/wait"))
        .await
        .good();
    assert_eq!(states(&over), ["cancelled", "cancelled"]);
}

#[tokio::test]
async fn waiting_has_an_end() {
    let house = house().await;
    let asked = house.post("/api/v1/pipeline-runs", &json!({})).await.good();
    let id = asked["run"]["id"].as_str().unwrap();
    let still = house
        .get(&format!("/api/v1/pipeline-runs/{id}/wait?timeout=1ms"))
        .await
        .good();
    assert_eq!(still["run"]["state"], "pending");
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let house = house().await;
    let unknown = house
        .post("/api/v1/pipeline-runs", &json!({ "stages": ["gret"] }))
        .await;
    assert!(unknown.status.is_client_error());
    assert!(
        unknown.json()["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("greet"),
        "{unknown:?}"
    );
    for path in ["nobody", "nobody/wait", "nobody/stages/greet/log"] {
        let missing = house.get(&format!("/api/v1/pipeline-runs/{path}")).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{path}");
    }
    house.write(
        "everloop.yaml",
        "project: flights\nstages:\n  train: { cmd: python train.py, dep: [train.py] }\n",
    );
    let invalid = house.post("/api/v1/pipeline-runs", &json!({})).await;
    assert_eq!(invalid.status, StatusCode::BAD_REQUEST);
    let error = &invalid.json()["error"];
    assert!(
        error["message"].as_str().unwrap().contains("unknown key \"dep\""),
        "{error}"
    );
    assert_eq!(error["hint"], "did you mean \"deps\"?");
    assert!(
        error["location"].as_str().unwrap().contains("everloop.yaml:3"),
        "{error}"
    );
}

#[tokio::test]
async fn a_request_sent_twice_with_a_key_starts_one_run() {
    let house = house().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut request =
            crate::house::json_request(axum::http::Method::POST, "/api/v1/pipeline-runs", &json!({}));
        request
            .headers_mut()
            .insert("idempotency-key", "k-1".parse().unwrap());
        ids.push(house.send(request).await.good()["run"]["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
}
