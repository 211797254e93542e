//! Clients that ask for everything at once and remember what they were answered.

use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::Answer;
use crate::journal::{Fate, Kind, Label, Prediction, Request};
use crate::random::Chance;
use crate::shared::Shared;
use crate::workspace::{ENDPOINT, MODEL, SLICES};

/// Clients that ask for predictions.
const PREDICTORS: u64 = 3;
/// Acknowledged pipeline runs that may be under way before no more are asked for.
const RUNS_AT_ONCE: usize = 4;

/// Starts the clients; they end when they are told to.
pub fn start(shared: &Arc<Shared>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for number in 0..PREDICTORS {
        let (shared, chance) = (Arc::clone(shared), Chance::new(shared.seed, 10 + number));
        clients.spawn(predict(shared, chance));
    }
    let (own, chance) = (Arc::clone(shared), Chance::new(shared.seed, 1));
    clients.spawn(label(own, chance));
    let (own, chance) = (Arc::clone(shared), Chance::new(shared.seed, 2));
    clients.spawn(run_pipelines(own, chance));
    let (own, chance) = (Arc::clone(shared), Chance::new(shared.seed, 3));
    clients.spawn(release(own, chance));
    let (own, chance) = (Arc::clone(shared), Chance::new(shared.seed, 4));
    clients.spawn(change_data(own, chance));
    let (own, chance) = (Arc::clone(shared), Chance::new(shared.seed, 5));
    clients.spawn(read(own, chance));
    clients
}

/// Waits; false when it is time to end.
async fn pause(stop: &CancellationToken, span: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(span) => true,
    }
}

async fn predict(shared: Arc<Shared>, mut chance: Chance) {
    while pause(&shared.stop, chance.millis(1, 20)).await {
        let rows = 1 + chance.below(6);
        let flights: Vec<Value> = (0..rows)
            .filter_map(|_| chance.pick(&shared.workspace.flights))
            .map(|flight| Value::Object(flight.clone()))
            .collect();
        let answer = match chance.percent(70) {
            true => {
                let path = format!("/v2/models/{ENDPOINT}/infer");
                shared.client.post(&path, &tensors(&flights)).await
            }
            false => {
                let path = format!("/invocations/{ENDPOINT}");
                let body = json!({ "dataframe_records": flights });
                shared.client.post(&path, &body).await
            }
        };
        let Some(body) = shared.take("predict", answer) else {
            continue;
        };
        let predictions = predictions(&body);
        if predictions.len() != rows {
            shared.wrong(format!("{rows} rows were answered with {body}"));
        }
        shared.journal().predictions.extend(predictions);
    }
}

/// Rows as the Open Inference Protocol has them.
fn tensors(flights: &[Value]) -> Value {
    let input = |(name, datatype): &(&str, &str)| {
        let data: Vec<&Value> = flights.iter().map(|flight| &flight[*name]).collect();
        json!({ "name": name, "datatype": datatype, "shape": [flights.len()], "data": data })
    };
    let columns = [
        ("hour", "INT64"),
        ("distance", "INT64"),
        ("temp", "FP64"),
        ("carrier", "BYTES"),
        ("origin", "BYTES"),
    ];
    json!({ "inputs": columns.iter().map(input).collect::<Vec<_>>() })
}

/// The rows of an answer in either protocol.
fn predictions(body: &Value) -> Vec<Prediction> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let version = body["model_version"].as_str().and_then(|text| text.parse().ok());
    let of_tensors = list(&body["outputs"])
        .into_iter()
        .filter(|output| {
            output["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("prob"))
        })
        .max_by_key(|output| output["name"].to_string())
        .map(|output| list(&output["data"]));
    let of_records = || {
        list(&body["predictions"])
            .iter()
            .filter_map(|record| {
                let fields = record.as_object()?.iter();
                let scores = fields.filter(|(name, _)| name.starts_with("prob"));
                Some(scores.max_by_key(|(name, _)| name.to_owned())?.1.clone())
            })
            .collect()
    };
    let scores = of_tensors.unwrap_or_else(of_records);
    let ids = match body["prediction_ids"].is_array() {
        true => list(&body["prediction_ids"]),
        false => list(&body["parameters"]["prediction_ids"]),
    };
    ids.iter()
        .zip(&scores)
        .filter_map(|(id, score)| {
            Some(Prediction {
                id: id.as_str()?.to_owned(),
                version: version?,
                score: score.as_f64()?,
            })
        })
        .collect()
}

/// Sends labels: late, twice, out of order.
async fn label(shared: Arc<Shared>, mut chance: Chance) {
    while pause(&shared.winding_down, chance.millis(5, 60)).await {
        let mut labels = Vec::new();
        for _ in 0..=chance.below(5) {
            let label = Label {
                // Whatever comes later may have been true earlier.
                at: 1_700_000_000_000 + chance.below(1 << 40) as i64,
                value: chance.below(2) as f64,
                acknowledged: false,
            };
            let mut journal = shared.journal();
            let last = if chance.percent(80) { 200 } else { usize::MAX };
            let Some(id) = chance
                .recent(&journal.predictions, last)
                .map(|found| found.id.clone())
            else {
                continue;
            };
            if labels.iter().any(|(known, _)| *known == id) {
                continue;
            }
            journal.labels.entry(id.clone()).or_default().push(label);
            labels.push((id, label));
        }
        let times = if chance.percent(30) { 2 } else { 1 };
        for _ in 0..times {
            send_labels(&shared, &labels).await;
        }
    }
}

async fn send_labels(shared: &Shared, labels: &[(String, Label)]) {
    if labels.is_empty() {
        return;
    }
    let rows: Vec<Value> = labels
        .iter()
        .map(|(id, label)| {
            let at = everloop_core::Timestamp(label.at).to_rfc3339();
            json!({ "prediction_id": id, "label": label.value, "at": at })
        })
        .collect();
    let body = json!({ "endpoint": ENDPOINT, "labels": rows });
    let answer = shared.client.post("/api/v1/feedback", &body).await;
    if shared.take("feedback", answer).is_none() {
        return;
    }
    let mut journal = shared.journal();
    for (id, sent) in labels {
        for label in journal.labels.get_mut(id).into_iter().flatten() {
            label.acknowledged |= label.at == sent.at;
        }
    }
}

/// Sends a request that has an effect. With a key, until it is answered; without one, once.
async fn send_once(shared: &Shared, token: &str, mut request: Request) -> Fate {
    shared
        .journal()
        .requests
        .insert(token.to_owned(), request.clone());
    let name = format!("{:?}", request.kind).to_lowercase();
    loop {
        let key = request.key.as_deref();
        let answer = shared.client.post_once(&request.path, key, &request.body).await;
        let is_full = matches!(&answer, Answer::Refused(refusal) if refusal.status == 507);
        let is_lost = matches!(answer, Answer::Lost);
        let answered = shared.take(&name, answer);
        request.fate = match answered {
            Some(body) => Fate::Done(body),
            None if is_lost => Fate::Lost,
            None => Fate::Refused,
        };
        shared
            .journal()
            .requests
            .insert(token.to_owned(), request.clone());
        let may_try_again = (is_lost && request.key.is_some()) || is_full;
        if may_try_again && pause(&shared.stop, Duration::from_millis(50)).await {
            continue;
        }
        return request.fate;
    }
}

/// Asks for pipeline runs, some of them twice, and ends some early.
async fn run_pipelines(shared: Arc<Shared>, mut chance: Chance) {
    let mut number = 0;
    while pause(&shared.winding_down, chance.millis(50, 500)).await {
        let open = look_at_runs(&shared, &mut chance).await;
        if open >= RUNS_AT_ONCE {
            continue;
        }
        number += 1;
        let token = format!("pipeline-{number}");
        let stages = match chance.below(3) {
            0 => json!([]),
            1 => json!(["effect"]),
            _ => json!(["train"]),
        };
        let body = json!({ "stages": stages, "force": chance.percent(30), "reason": token });
        let request = Request {
            kind: Kind::Pipeline,
            path: "/api/v1/pipeline-runs".to_owned(),
            body,
            key: chance.percent(70).then(|| token.clone()),
            fate: Fate::Lost,
        };
        let fate = send_once(&shared, &token, request).await;
        if let Fate::Done(answer) = fate
            && chance.percent(10)
            && let Some(id) = answer["run"]["id"].as_str()
        {
            let path = format!("/api/v1/pipeline-runs/{id}/cancel");
            let answer = shared.client.post(&path, &json!({})).await;
            shared.take("cancel", answer);
        }
    }
}

/// Remembers how acknowledged runs ended; answers how many have not.
async fn look_at_runs(shared: &Shared, chance: &mut Chance) -> usize {
    let open: Vec<String> = {
        let journal = shared.journal();
        let runs = journal.runs().into_iter();
        runs.filter(|id| !journal.ended.contains_key(id)).collect()
    };
    let Some(id) = chance.pick(&open) else {
        return open.len();
    };
    let answer = shared.client.get(&format!("/api/v1/pipeline-runs/{id}")).await;
    if let Some(body) = shared.take("look at a run", answer) {
        let state = body["run"]["state"].as_str().unwrap_or_default().to_owned();
        if matches!(state.as_str(), "succeeded" | "failed" | "cancelled") {
            shared.journal().ended.insert(id.clone(), state);
        }
    }
    open.len()
}

/// Retrains, promotes and takes back.
async fn release(shared: Arc<Shared>, mut chance: Chance) {
    let mut number = 0;
    while pause(&shared.winding_down, chance.millis(50, 700)).await {
        number += 1;
        let token = format!("release-{number}");
        let key = chance.percent(80).then(|| token.clone());
        let newest = newest_version(&shared).await;
        let (kind, path, body) = match chance.below(10) {
            0..=2 => (
                Kind::Retrain,
                "/api/v1/retrain".to_owned(),
                json!({ "why": token }),
            ),
            3..=7 if newest > 0 => {
                let version = 1 + chance.below(newest as usize);
                let body = json!({ "version": version, "past_gates": chance.percent(50) });
                (Kind::Promote, format!("/api/v1/models/{MODEL}/promote"), body)
            }
            _ => {
                let path = format!("/api/v1/models/{MODEL}/rollback");
                (Kind::Rollback, path, json!({ "why": token }))
            }
        };
        let request = Request {
            kind,
            path,
            body,
            key,
            fate: Fate::Lost,
        };
        send_once(&shared, &token, request).await;
    }
}

async fn newest_version(shared: &Shared) -> u64 {
    let path = format!("/api/v1/models/{MODEL}/versions?limit=1");
    let answer = shared.client.get(&path).await;
    let body = shared.take("versions", answer).unwrap_or_default();
    body["versions"][0]["version"].as_u64().unwrap_or_default()
}

/// Changes the data and takes snapshots.
async fn change_data(shared: Arc<Shared>, mut chance: Chance) {
    while pause(&shared.winding_down, chance.millis(300, 1_500)).await {
        let slice = chance.below(SLICES);
        if let Err(error) = shared.workspace.put_slice(slice) {
            shared.wrong(format!("the harness can't change the data: {error:#}"));
        }
        let path = "/api/v1/datasets/flights/versions";
        let answer = shared.client.post(path, &json!({})).await;
        let Some(body) = shared.take("snapshot", answer) else {
            continue;
        };
        let version = &body["version"];
        let number = version["version"].as_u64().unwrap_or_default();
        let digest = version["digest"].as_str().unwrap_or_default().to_owned();
        let before = shared.journal().versions.insert(number, digest.clone());
        if before.as_ref().is_some_and(|before| *before != digest) {
            shared.wrong(format!("dataset version {number} was {before:?} and is {digest}"));
        }
    }
}

/// Reads what people look at; nothing of it may break.
async fn read(shared: Arc<Shared>, mut chance: Chance) {
    const PATHS: [&str; 9] = [
        "/api/v1/models",
        "/api/v1/decisions?limit=20",
        "/api/v1/retrainings?limit=5",
        "/api/v1/ledger?limit=50",
        "/api/v1/endpoints",
        "/api/v1/datasets",
        "/api/v1/pipeline-runs?limit=5",
        "/api/v1/why/flight-delay",
        "/v2/models/flight-delay",
    ];
    while pause(&shared.stop, chance.millis(20, 200)).await {
        let Some(path) = chance.pick(&PATHS) else { return };
        let answer = shared.client.get(path).await;
        shared.take("read", answer);
    }
}
