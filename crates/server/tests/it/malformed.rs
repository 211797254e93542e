//! Requests that are wrong get told so, in the dialect they were asked in, and never break anything.

use crate::house::{House, two_flights};
use axum::http::StatusCode;
use serde_json::{Value, json};

const INFER: &str = "/v2/models/flight-delay/infer";
const INVOKE: &str = "/invocations/flight-delay";

/// Anything wrong with the request is a 4xx with one text under `error`.
fn check_inference(status: StatusCode, body: &[u8], case: &str) {
    assert!(
        status.is_client_error(),
        "{case}: {status} {}",
        String::from_utf8_lossy(body)
    );
    let body: Value = serde_json::from_slice(body).unwrap();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["error"], "{case}");
    assert!(!body["error"].as_str().unwrap().is_empty(), "{case}");
}

fn tensor(name: &str, shape: Value, datatype: &str, data: Value) -> Value {
    json!({ "name": name, "shape": shape, "datatype": datatype, "data": data })
}

#[tokio::test]
async fn wrong_tensors_are_the_callers_fault() {
    let house = House::local().await;
    house.deploy().await;
    let carrier = tensor("carrier", json!([1]), "BYTES", json!(["A"]));
    let cases = [
        ("nothing", String::new()),
        ("no JSON", "delay=5".to_owned()),
        ("not UTF-8", "\u{0}".to_owned()),
        ("a list", "[]".to_owned()),
        ("no inputs", "{}".to_owned()),
        ("empty inputs", json!({ "inputs": [] }).to_string()),
        ("no rows", json!({ "inputs": [tensor("delay", json!([0]), "FP64", json!([])), tensor("carrier", json!([0]), "BYTES", json!([]))] }).to_string()),
        ("a negative shape", json!({ "inputs": [tensor("delay", json!([-1]), "FP64", json!([1.0])), carrier] }).to_string()),
        ("a huge shape", json!({ "inputs": [tensor("delay", json!([i64::MAX, i64::MAX]), "FP64", json!([1.0]))] }).to_string()),
        ("three dimensions", json!({ "inputs": [tensor("delay", json!([1, 1, 1]), "FP64", json!([1.0])), carrier] }).to_string()),
        ("too few values", json!({ "inputs": [tensor("delay", json!([3]), "FP64", json!([1.0])), carrier] }).to_string()),
        ("an unknown type", json!({ "inputs": [tensor("delay", json!([1]), "FP65", json!([1.0])), carrier] }).to_string()),
        ("a text as number", json!({ "inputs": [tensor("delay", json!([1]), "FP64", json!(["late"])), carrier] }).to_string()),
        ("a number too large", r#"{"inputs":[{"name":"delay","shape":[1],"datatype":"FP64","data":[1e999]}]}"#.to_owned()),
        ("texts where numbers belong", json!({ "inputs": [tensor("delay", json!([1]), "BYTES", json!(["x"])), carrier] }).to_string()),
        ("columns of different lengths", json!({ "inputs": [tensor("delay", json!([2]), "FP64", json!([1.0, 2.0])), carrier] }).to_string()),
        ("a column twice", json!({ "inputs": [carrier, carrier] }).to_string()),
        ("a column missing", json!({ "inputs": [carrier] }).to_string()),
        ("a column of the log", json!({ "inputs": [tensor("delay", json!([1]), "FP64", json!([1.0])), carrier, tensor("_id", json!([1]), "BYTES", json!(["x"]))] }).to_string()),
        ("no time", json!({ "inputs": two_flights()["inputs"], "parameters": { "event_time": "yesterday" } }).to_string()),
        ("deep nesting", "[".repeat(100_000)),
    ];
    for (case, body) in cases {
        let answer = house.post_bytes(INFER, body).await;
        check_inference(answer.status, &answer.body, case);
    }
    // What was wrong left nothing behind: the next request is answered.
    house.post(INFER, &two_flights()).await.good();
}

#[tokio::test]
async fn damaged_requests_are_refused_or_answered() {
    let house = House::local().await;
    house.deploy().await;
    let good = two_flights().to_string().into_bytes();
    for at in 0..good.len() {
        let cut = house.post_bytes(INFER, good[..at].to_vec()).await;
        check_inference(cut.status, &cut.body, &format!("cut at {at}"));
        for byte in [0, b'"', b'9', b'}', 0xff] {
            let mut damaged = good.clone();
            damaged[at] = byte;
            let answer = house.post_bytes(INFER, damaged).await;
            if answer.status != StatusCode::OK {
                check_inference(answer.status, &answer.body, &format!("{byte} at {at}"));
            }
        }
    }
}

#[tokio::test]
async fn limits_are_told() {
    let house = House::local().await;
    house.deploy().await;
    let rows = 100_001;
    let many = json!({ "inputs": [
        tensor("delay", json!([rows]), "FP64", json!(vec![1.0; rows])),
        tensor("carrier", json!([rows]), "BYTES", json!(vec!["A"; rows])),
    ]});
    let answer = house.post(INFER, &many).await;
    check_inference(answer.status, &answer.body, "too many rows");
    let large = house.post_bytes(INFER, vec![b' '; (64 << 20) + 1]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    check_inference(large.status, &large.body, "too large");
}

#[tokio::test]
async fn addresses_that_lead_nowhere_are_told_in_their_dialect() {
    let house = House::local().await;
    house.deploy().await;
    for path in [
        "/v2/models/nobody/infer",
        "/v2/models/flight-delay/versions/x/infer",
        "/v2/models/flight-delay/versions/18446744073709551615/infer",
        "/v2/models/%FF/infer",
    ] {
        let answer = house.post(path, &two_flights()).await;
        check_inference(answer.status, &answer.body, path);
    }
}

#[tokio::test]
async fn wrong_scoring_requests_get_mlflows_errors() {
    let house = House::local().await;
    house.deploy().await;
    for (case, body) in [
        ("nothing", String::new()),
        ("no form", "{}".to_owned()),
        ("two forms", json!({ "inputs": {}, "instances": [] }).to_string()),
        ("no rows", json!({ "dataframe_records": [] }).to_string()),
        (
            "a wrong width",
            json!({ "dataframe_split": { "columns": ["delay"], "data": [[1, 2]] } }).to_string(),
        ),
        (
            "a text as number",
            json!({ "dataframe_records": [{ "delay": "x", "carrier": "A" }] }).to_string(),
        ),
        ("comma-separated values", "delay,carrier\n5,A\n".to_owned()),
    ] {
        let answer = house.post_bytes(INVOKE, body).await;
        assert!(answer.status.is_client_error(), "{case}: {answer:?}");
        let body = answer.json();
        assert_eq!(body["error_code"], "BAD_REQUEST", "{case}: {body}");
        assert!(!body["message"].as_str().unwrap().is_empty(), "{case}");
    }
    let missing = house.post("/invocations/nobody", &json!({ "inputs": {} })).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.json()["error_code"], "RESOURCE_DOES_NOT_EXIST");
}

#[tokio::test]
async fn wrong_feedback_keeps_nothing() {
    let house = House::local().await;
    house.deploy().await;
    let one = |label: Value| json!({ "endpoint": "flight-delay", "labels": [label] });
    for (case, body) in [
        ("no body", Value::Null),
        ("no endpoint", json!({ "endpoint": "nobody", "labels": [] })),
        ("no name", json!({ "endpoint": "", "labels": [] })),
        ("a text", one(json!({ "prediction_id": "x", "label": "late" }))),
        (
            "no time",
            one(json!({ "prediction_id": "x", "label": 1, "at": "soon" })),
        ),
        (
            "an id too long",
            one(json!({ "prediction_id": "x".repeat(65), "label": 1 })),
        ),
        (
            "an unknown field",
            one(json!({ "prediction_id": "x", "label": 1, "weight": 2 })),
        ),
    ] {
        let answer = house.post("/api/v1/feedback", &body).await;
        assert!(answer.status.is_client_error(), "{case}: {answer:?}");
        let error = &answer.json()["error"];
        assert!(
            error["code"].is_string() && error["message"].is_string(),
            "{case}: {answer:?}"
        );
        assert_eq!(
            error["request_id"],
            answer.headers["x-request-id"].to_str().unwrap(),
            "{case}"
        );
    }
}

#[tokio::test]
async fn bodies_of_ours_that_do_not_read_are_told_in_the_envelope() {
    let house = House::local().await;
    for body in [
        "",
        "{",
        "[]",
        r#"{"query":1}"#,
        r#"{"query":"SELECT 1","limitt":5}"#,
    ] {
        let request = axum::http::Request::post("/api/v1/sql")
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body))
            .unwrap();
        let answer = house.send(request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.json()["error"]["code"], "invalid_argument", "{body}");
    }
    let untyped = house.post_bytes("/api/v1/sql", r#"{"query":"SELECT 1"}"#).await;
    assert_eq!(untyped.status, StatusCode::BAD_REQUEST);
    assert!(
        untyped.json()["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("content-type")
    );
    let query = house.get("/api/v1/runs?limit=many").await;
    assert_eq!(query.status, StatusCode::BAD_REQUEST);
    assert_eq!(query.json()["error"]["code"], "invalid_argument");
}
