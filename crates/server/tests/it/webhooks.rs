//! From an event to a real receiver, and what people see of it.

use crate::house::{House, SECRET};
use axum::http::StatusCode;
use everloop_server::Mode;
use serde_json::{Value, json};
use std::time::Duration;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

const HOUR: Duration = Duration::from_secs(3_600);

async fn answers(receiver: &MockServer, status: u16) {
    receiver.reset().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(status))
        .mount(receiver)
        .await;
}

/// A program whose pushes to main are told to `receiver`.
async fn house(receiver: &MockServer) -> House {
    let root = tempfile::tempdir().unwrap();
    let file = format!(
        "project: flights
on: [{{ event: git.push, do: notify }}]
notify: [{{ webhook: \"{}/token/abc\", events: [decision.*], secret_env: HOOK_SECRET }}]
",
        receiver.uri()
    );
    std::fs::write(root.path().join("everloop.yaml"), file).unwrap();
    let mode = Mode::Local {
        login: "ada".to_owned(),
    };
    House::over(root, mode, "http,private", 1).await
}

async fn pushes(house: &House, commit: char) {
    let body = json!({ "branch": "main", "commit": commit.to_string().repeat(40) });
    house.post("/api/v1/git/pushes", &body).await.good();
    house.post("/api/v1/loop/settle", &json!({})).await.good();
}

async fn deliveries(house: &House, query: &str) -> Vec<Value> {
    let list = house
        .get(&format!("/api/v1/webhooks/deliveries{query}"))
        .await
        .good();
    list["deliveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_receiver_that_fails_is_told_after_a_restart() {
    let receiver = MockServer::start().await;
    answers(&receiver, 503).await;
    let house = house(&receiver).await;
    pushes(&house, 'a').await;
    // The decision and the trigger's own message.
    assert_eq!(house.app.outbox().tick().await.unwrap(), 2);
    let waiting = deliveries(&house, "?state=pending").await;
    assert_eq!(waiting.len(), 2);
    assert_eq!(waiting[0]["last_problem"], "it answered 503");
    assert!(
        !json!(waiting).to_string().contains("abc"),
        "addresses may hold secrets"
    );
    let house = house.reopened("http,private").await;
    answers(&receiver, 204).await;
    assert_eq!(house.app.outbox().tick().await.unwrap(), 0, "it is too early");
    house.app.clock().advance(HOUR);
    assert_eq!(house.app.outbox().tick().await.unwrap(), 2);
    let told = deliveries(&house, "?state=delivered").await;
    let events: Vec<&str> = told.iter().map(|one| one["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["trigger.notify", "decision.trigger"]);
    for request in receiver.received_requests().await.unwrap() {
        let header = |name: &str| request.headers.get(name).unwrap().to_str().unwrap();
        let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
        let signed = [id.as_bytes(), b".", at.as_bytes(), b".", &request.body].concat();
        let tag = everloop_webhooks::signature::sign(SECRET.as_bytes(), &[&signed]);
        let tag = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, tag);
        assert_eq!(header("webhook-signature"), format!("v1,{tag}"));
    }
    let hooks = house.get("/api/v1/webhooks").await.good();
    assert_eq!(hooks["webhooks"][0]["delivered"], 2);
    assert_eq!(hooks["webhooks"][0]["signature"], "signed");
}

#[tokio::test]
async fn what_is_not_allowed_is_seen_and_sent_once_it_is() {
    let receiver = MockServer::start().await;
    answers(&receiver, 200).await;
    let house = house(&receiver).await.reopened("").await;
    pushes(&house, 'a').await;
    house.app.outbox().tick().await.unwrap();
    assert!(receiver.received_requests().await.unwrap().is_empty());
    let dead = deliveries(&house, "?state=dead").await;
    assert_eq!(dead.len(), 2);
    let figures = house.get("/metrics").await;
    for line in [
        "everloop_webhook_messages{state=\"dead\"} 2",
        "everloop_webhook_attempts_total{outcome=\"failed\"} 2",
        "everloop_ledger_lag_events{consumer=\"webhooks:flights\"} ",
    ] {
        assert!(figures.text().contains(line), "{line}\n{}", figures.text());
    }
    let house = house.reopened("http,private").await;
    let unknown = house
        .post("/api/v1/webhooks/retry", &json!({ "delivery": "msg_x" }))
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let one = json!({ "delivery": dead[0]["id"] });
    assert_eq!(
        house.post("/api/v1/webhooks/retry", &one).await.good()["deliveries"],
        1
    );
    assert_eq!(house.app.outbox().tick().await.unwrap(), 1);
    assert_eq!(
        house.post("/api/v1/webhooks/retry", &json!({})).await.good()["deliveries"],
        1
    );
    assert_eq!(house.app.outbox().tick().await.unwrap(), 1);
    assert_eq!(receiver.received_requests().await.unwrap().len(), 2);
}
