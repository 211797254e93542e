//! Push messages of git hosts: verified, counted once, and nothing else taken for one.

use crate::house::{House, SECRET, signed_request};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use everloop_server::Mode;
use serde_json::{Value, json};

const HOOK: &str = "/api/v1/git/hook";

fn push(branch: &str, commit: char) -> String {
    let id = commit.to_string().repeat(40);
    let body = json!({
        "ref": format!("refs/heads/{branch}"), "before": "0".repeat(40), "after": id,
        "commits": [{ "id": "c".repeat(40), "author": { "email": "ada@example.org" } }, { "id": id }],
        "pusher": { "name": "ada", "email": "ada@example.org" },
    });
    body.to_string()
}

async fn github(house: &House, event: &str, delivery: &str, body: &str) -> Value {
    let headers = [("x-github-event", event), ("x-github-delivery", delivery)];
    house
        .send(signed_request(HOOK, SECRET, &headers, body))
        .await
        .good()
}

async fn ledger(house: &House) -> Vec<Value> {
    let found = house.get("/api/v1/ledger?kind=git.push").await.good();
    found["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_push_is_an_event_once_however_often_it_is_sent() {
    let house = House::local().await;
    let first = github(&house, "push", "d1", &push("main", 'a')).await;
    assert_eq!(first["push"]["new"], true);
    let again = github(&house, "push", "d1", &push("main", 'a')).await;
    assert_eq!(again, first, "the same delivery gets the same answer");
    let other = github(&house, "push", "d2", &push("main", 'a')).await;
    assert_eq!(other["push"]["new"], false, "another delivery of the same commit");
    github(&house, "push", "d3", &push("topic/x", 'a')).await;
    let events = ledger(&house).await;
    assert_eq!(events.len(), 2);
    let main = events
        .iter()
        .find(|event| event["payload"]["branch"] == "main")
        .unwrap();
    assert_eq!(
        main["payload"]["commits"],
        json!(["a".repeat(40), "c".repeat(40)])
    );
    assert!(
        !main.to_string().contains("ada@example.org"),
        "people stay out of the ledger"
    );
    let listed = house.get("/api/v1/git/pushes?branch=main").await.good();
    assert_eq!(listed["pushes"][0]["commit"], "a".repeat(40));
}

#[tokio::test]
async fn a_delivery_may_not_change_its_words() {
    let house = House::local().await;
    github(&house, "push", "d1", &push("main", 'a')).await;
    let headers = [("x-github-event", "push"), ("x-github-delivery", "d1")];
    let changed = house
        .send(signed_request(HOOK, SECRET, &headers, &push("main", 'b')))
        .await;
    assert_eq!(changed.status, StatusCode::CONFLICT);
    assert_eq!(ledger(&house).await.len(), 1);
}

#[tokio::test]
async fn what_is_no_push_does_nothing() {
    let house = House::local().await;
    let tag = push("main", 'a').replace("refs/heads/", "refs/tags/");
    let gone = push("main", '0');
    for (event, body) in [("ping", "{}"), ("issues", "[]"), ("push", &tag), ("push", &gone)] {
        assert_eq!(
            github(&house, event, event, body).await["push"],
            Value::Null,
            "{event} {body}"
        );
    }
    for body in ["", "{}", "payload=%7B%7D", &push("main", 'x')] {
        let sent = signed_request(HOOK, SECRET, &[("x-github-event", "push")], body);
        assert_eq!(house.send(sent).await.status, StatusCode::BAD_REQUEST, "{body}");
    }
    assert!(ledger(&house).await.is_empty());
}

#[tokio::test]
async fn gitlab_and_gitea_are_understood() {
    let house = House::local().await;
    let gitlab = Request::post(HOOK)
        .header("x-gitlab-event", "Push Hook")
        .header("x-gitlab-token", SECRET)
        .header("idempotency-key", "k1")
        .body(Body::from(push("main", 'a')))
        .unwrap();
    assert_eq!(house.send(gitlab).await.good()["push"]["new"], true);
    let body = push("main", 'b');
    let tag = everloop_webhooks::signature::sign(SECRET.as_bytes(), &[body.as_bytes()]);
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    let gitea = Request::post(HOOK)
        .header("x-gitea-event", "push")
        .header("x-gitea-signature", hex)
        .body(Body::from(body))
        .unwrap();
    assert_eq!(house.send(gitea).await.good()["push"]["new"], true);
}

#[tokio::test]
async fn a_push_fires_its_trigger_also_where_tokens_are_needed() {
    let house = House::open(Mode::Tokens).await;
    house.write(
        "everloop.yaml",
        "project: flights\non: [{ event: git.push, branch: main, do: notify }]\nnotify: [{ webhook: \"https://hooks.example.org\" }]\n",
    );
    let starter = everloop_core::Actor::system("test");
    house
        .app
        .reload_project(house.app.default_project(), &starter)
        .await
        .unwrap();
    github(&house, "push", "d1", &push("main", 'a')).await;
    github(&house, "push", "d2", &push("topic", 'b')).await;
    let controller = house.app.controller(house.app.default_project()).unwrap();
    controller.settle().await.unwrap();
    let project = house.app.default_project().clone();
    let decided = house
        .app
        .db()
        .read(move |tx| everloop_controller::decisions(tx, &project, None, 10))
        .await
        .unwrap();
    assert_eq!(decided.len(), 1);
    assert_eq!(decided[0].outcome, "fired");
}
