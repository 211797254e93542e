//! At least once, in order, signed, and given up visibly: over a database and a real HTTP receiver.

use everloop_core::{Actor, Clock, ProjectName, Timestamp};
use everloop_db::Db;
use everloop_db::testing::databases;
use everloop_ledger::NewEvent;
use everloop_webhooks::{
    Delivery, DeliveryState, Egress, Error, MOST_ATTEMPTS, NOTIFY, Outbox, deliveries, hooks_of, retry,
    signature,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const START: Timestamp = Timestamp(1_767_571_200_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn project() -> ProjectName {
    ProjectName::new("flights").unwrap()
}

struct Bench {
    db: Db,
    clock: Clock,
    receiver: MockServer,
}

impl Bench {
    /// An outbox as a process that starts now would have it.
    async fn outbox(&self, allow: &str) -> Outbox {
        self.outbox_for(allow, &[("/in", &["alert.*", "decision.*"])])
            .await
    }

    async fn outbox_for(&self, allow: &str, hooks: &[(&str, &[&str])]) -> Outbox {
        let notify: Vec<Value> = hooks
            .iter()
            .map(|(at, events)| {
                json!({
                    "webhook": format!("{}{at}", self.receiver.uri()),
                    "events": events, "secret_env": "HOOK_SECRET",
                })
            })
            .collect();
        let notify = serde_json::from_value::<Vec<_>>(Value::Array(notify)).unwrap();
        let hooks = hooks_of(&notify, &|name| {
            (name == "HOOK_SECRET").then(|| "s3cret".to_owned())
        });
        let egress = Egress::new(allow.parse().unwrap());
        let outbox = Outbox::new(self.db.clone(), self.clock.clone(), project(), egress);
        outbox.set_hooks(hooks).await.unwrap();
        outbox
    }

    async fn happens(&self, kind: &'static str, number: u64) {
        let now = self.clock.now();
        let event = NewEvent {
            project: project(),
            actor: Actor::system("monitor"),
            kind,
            subject: "endpoint:flight-delay".to_owned(),
            payload: json!({ "number": number }),
        };
        self.db
            .write(move |tx| everloop_ledger::append(tx, now, event.clone()))
            .await
            .unwrap();
    }

    async fn answers(&self, status: u16, times: Option<u64>) {
        let mock = Mock::given(method("POST")).respond_with(ResponseTemplate::new(status));
        match times {
            Some(times) => mock.up_to_n_times(times).mount(&self.receiver).await,
            None => mock.mount(&self.receiver).await,
        }
    }

    async fn received(&self) -> Vec<Request> {
        self.receiver.received_requests().await.unwrap()
    }

    async fn all(&self) -> Vec<Delivery> {
        self.db
            .read(|tx| deliveries(tx, &project(), None, 1_000))
            .await
            .unwrap()
    }
}

/// Runs a law on every database there is.
async fn on_each(law: impl AsyncFn(&Bench)) {
    let migrations = [everloop_ledger::MIGRATIONS, everloop_webhooks::MIGRATIONS].concat();
    for db in databases(&migrations).await {
        let bench = Bench {
            db: db.db.clone(),
            clock: Clock::manual(START),
            receiver: MockServer::start().await,
        };
        law(&bench).await;
    }
}

fn number(request: &Request) -> u64 {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    body["data"]["number"].as_u64().unwrap()
}

fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    request.headers.get(name).unwrap().to_str().unwrap()
}

#[tokio::test]
async fn what_was_asked_for_is_sent_once_signed_and_in_order() {
    on_each(async |bench| {
        bench.answers(204, None).await;
        bench.happens("alert.opened", 0).await;
        let outbox = bench.outbox("http,private").await;
        for number in 1..=3 {
            bench.happens("alert.opened", number).await;
        }
        bench.happens("monitor.window", 9).await;
        assert_eq!(outbox.tick().await.unwrap(), 3);
        assert_eq!(outbox.tick().await.unwrap(), 0, "nothing is left");
        let received = bench.received().await;
        let numbers: Vec<u64> = received.iter().map(number).collect();
        assert_eq!(numbers, [1, 2, 3], "neither the past nor what was not asked for");
        for request in &received {
            let (id, at) = (
                header(request, "webhook-id"),
                header(request, "webhook-timestamp"),
            );
            assert_eq!(at, (START.millis() / 1_000).to_string());
            let signed = [id.as_bytes(), b".", at.as_bytes(), b".", &request.body].concat();
            let tag = base64_of(&signature::sign(b"s3cret", &[&signed]));
            assert_eq!(header(request, "webhook-signature"), format!("v1,{tag}"));
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(body["type"], "alert.opened");
            assert_eq!(body["subject"], "endpoint:flight-delay");
        }
        let ids: BTreeSet<&str> = received
            .iter()
            .map(|request| header(request, "webhook-id"))
            .collect();
        assert_eq!(ids.len(), 3);
        assert!(
            bench
                .all()
                .await
                .iter()
                .all(|one| one.state == DeliveryState::Delivered)
        );
    })
    .await;
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn a_receiver_that_fails_and_recovers_is_told_under_the_same_id() {
    on_each(async |bench| {
        bench.answers(503, Some(2)).await;
        bench.answers(200, None).await;
        let outbox = bench.outbox("http,private").await;
        bench.happens("alert.opened", 1).await;
        assert_eq!(outbox.tick().await.unwrap(), 1);
        assert_eq!(
            outbox.tick().await.unwrap(),
            0,
            "it waits before it is sent again"
        );
        let waits = &bench.all().await[0];
        assert_eq!((waits.state, waits.attempts), (DeliveryState::Pending, 1));
        assert_eq!(waits.last_status, Some(503));
        bench.clock.advance(HOUR);
        // A new process takes up what the last one left.
        let next = bench.outbox("http,private").await;
        assert_eq!(next.tick().await.unwrap(), 1);
        bench.clock.advance(HOUR);
        assert_eq!(next.tick().await.unwrap(), 1);
        bench.clock.advance(HOUR);
        assert_eq!(next.tick().await.unwrap(), 0);
        let received = bench.received().await;
        let ids: BTreeSet<&str> = received
            .iter()
            .map(|request| header(request, "webhook-id"))
            .collect();
        assert_eq!((received.len(), ids.len()), (3, 1));
        let told = &bench.all().await[0];
        assert_eq!((told.state, told.attempts), (DeliveryState::Delivered, 3));
        assert_eq!(told.last_problem, None);
        let attempts = (outbox.attempts(), next.attempts());
        assert_eq!(
            (attempts.0.failed, attempts.1.failed, attempts.1.delivered),
            (1, 1, 1)
        );
    })
    .await;
}

#[tokio::test]
async fn a_message_that_fails_holds_nobody_back() {
    on_each(async |bench| {
        bench.answers(500, Some(1)).await;
        bench.answers(200, None).await;
        let outbox = bench.outbox("http,private").await;
        bench.happens("alert.opened", 1).await;
        bench.happens("alert.resolved", 2).await;
        assert_eq!(outbox.tick().await.unwrap(), 2);
        bench.clock.advance(HOUR);
        assert_eq!(outbox.tick().await.unwrap(), 1);
        let numbers: Vec<u64> = bench.received().await.iter().map(number).collect();
        assert_eq!(numbers, [1, 2, 1]);
    })
    .await;
}

#[tokio::test]
async fn a_spent_budget_ends_in_sight_and_can_be_tried_again() {
    on_each(async |bench| {
        bench.answers(500, Some(MOST_ATTEMPTS)).await;
        bench.answers(200, None).await;
        let outbox = bench.outbox("http,private").await;
        bench.happens("alert.opened", 1).await;
        for _ in 0..MOST_ATTEMPTS + 5 {
            outbox.tick().await.unwrap();
            bench.clock.advance(HOUR);
        }
        assert_eq!(bench.received().await.len() as u64, MOST_ATTEMPTS);
        let dead = bench.all().await[0].clone();
        assert_eq!((dead.state, dead.attempts), (DeliveryState::Dead, MOST_ATTEMPTS));
        let (actor, times) = (Actor::system("x"), (bench.clock.wall(), bench.clock.now()));
        let id = dead.id.clone();
        let again = bench
            .db
            .write(move |tx| retry(tx, &project(), &actor, Some(&id), times))
            .await;
        assert_eq!(again.unwrap(), 1);
        assert_eq!(outbox.tick().await.unwrap(), 1);
        assert_eq!(bench.all().await[0].state, DeliveryState::Delivered);
        // What is not dead is not sent again.
        let (actor, id) = (Actor::system("x"), dead.id);
        let twice = bench
            .db
            .write(move |tx| retry(tx, &project(), &actor, Some(&id), times))
            .await;
        assert!(matches!(twice, Err(Error::NotDead { .. })));
        let kinds = bench
            .db
            .read(|tx| {
                everloop_ledger::after(
                    tx,
                    everloop_ledger::Seq(0),
                    100,
                    &everloop_ledger::Filter::default(),
                )
            })
            .await
            .unwrap();
        let kinds: Vec<String> = kinds.into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds, ["alert.opened", "webhook.dead", "webhook.retried"]);
        assert_eq!(
            outbox.tick().await.unwrap(),
            0,
            "webhooks are not told about webhooks"
        );
    })
    .await;
}

#[tokio::test]
async fn what_must_not_be_reached_is_given_up_at_once() {
    on_each(async |bench| {
        bench.answers(200, None).await;
        for allow in ["", "http", "private"] {
            let outbox = bench.outbox(allow).await;
            bench.happens("alert.opened", 1).await;
            assert_eq!(outbox.tick().await.unwrap(), 1, "{allow}");
        }
        assert!(bench.received().await.is_empty());
        for dead in bench.all().await {
            assert_eq!(dead.state, DeliveryState::Dead);
            assert!(dead.last_problem.unwrap().contains("--webhooks-allow"));
        }
    })
    .await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    on_each(async |bench| {
        let elsewhere =
            ResponseTemplate::new(307).insert_header("location", format!("{}/other", bench.receiver.uri()));
        Mock::given(path("/in"))
            .respond_with(elsewhere)
            .mount(&bench.receiver)
            .await;
        Mock::given(path("/other"))
            .respond_with(ResponseTemplate::new(200))
            .mount(&bench.receiver)
            .await;
        let outbox = bench.outbox("http,private").await;
        bench.happens("alert.opened", 1).await;
        outbox.tick().await.unwrap();
        assert_eq!(bench.received().await.len(), 1);
        let waits = &bench.all().await[0];
        assert_eq!(
            (waits.state, waits.last_status),
            (DeliveryState::Pending, Some(307))
        );
    })
    .await;
}

#[tokio::test]
async fn two_processes_send_each_message_once() {
    on_each(async |bench| {
        bench.answers(200, None).await;
        let (one, other) = (
            bench.outbox("http,private").await,
            bench.outbox("http,private").await,
        );
        for number in 1..=20 {
            bench.happens("alert.opened", number).await;
        }
        let (a, b) = tokio::join!(one.tick(), other.tick());
        assert_eq!(a.unwrap() + b.unwrap(), 20);
        let numbers: BTreeSet<u64> = bench.received().await.iter().map(number).collect();
        assert_eq!((numbers.len(), bench.received().await.len()), (20, 20));
    })
    .await;
}

#[tokio::test]
async fn a_hook_that_is_gone_is_not_told() {
    on_each(async |bench| {
        bench.answers(500, None).await;
        let outbox = bench.outbox("http,private").await;
        bench.happens("alert.opened", 1).await;
        outbox.tick().await.unwrap();
        let others = bench.outbox_for("http,private", &[("/new", &["*"])]).await;
        assert_eq!(bench.all().await[0].state, DeliveryState::Cancelled);
        bench.clock.advance(HOUR);
        assert_eq!(others.tick().await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_notifying_trigger_tells_everyone_and_a_missing_secret_nobody() {
    on_each(async |bench| {
        bench.answers(200, None).await;
        let outbox = bench
            .outbox_for("http,private", &[("/a", &["alert.*"]), ("/b", &["decision.*"])])
            .await;
        bench.happens(NOTIFY, 1).await;
        assert_eq!(outbox.tick().await.unwrap(), 2);
        let notify = json!([{ "webhook": format!("{}/a", bench.receiver.uri()), "secret_env": "UNSET" }]);
        let hooks = hooks_of(&serde_json::from_value::<Vec<_>>(notify).unwrap(), &|_| None);
        outbox.set_hooks(hooks).await.unwrap();
        bench.happens(NOTIFY, 2).await;
        assert_eq!(outbox.tick().await.unwrap(), 1);
        assert_eq!(bench.received().await.len(), 2);
        let waits = bench
            .all()
            .await
            .into_iter()
            .find(|one| one.state == DeliveryState::Pending);
        assert!(waits.unwrap().last_problem.unwrap().contains("UNSET"));
    })
    .await;
}
