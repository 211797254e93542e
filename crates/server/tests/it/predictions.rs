//! From a trained model over answers and labels back to the logged row.

use crate::house::{House, two_flights};
use axum::http::StatusCode;
use serde_json::{Value, json};

/// The scores of an answer in the Open Inference Protocol: the last column of numbers between 0 and 1.
fn scores(answer: &Value) -> Vec<f64> {
    let outputs = answer["outputs"].as_array().unwrap();
    let scores = outputs
        .iter()
        .rfind(|output| output["datatype"] == "FP64")
        .unwrap();
    let data = scores["data"].as_array().unwrap();
    data.iter().map(|value| value.as_f64().unwrap()).collect()
}

#[tokio::test]
async fn an_answer_its_label_and_its_row_belong_together() {
    let house = House::local().await;
    let version = house.deploy().await;
    let answer = house
        .post_bytes("/v2/models/flight-delay/infer", two_flights().to_string())
        .await;
    let body = answer.good();
    let found = scores(&body);
    assert!(found[0] < 0.5 && found[1] > 0.5, "{body}");
    let ids: Vec<&str> = body["parameters"]["prediction_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect();
    assert_eq!(answer.headers["everloop-prediction-id"], ids[0]);
    assert_eq!(
        answer.headers["everloop-model-version"],
        version.to_string().as_str()
    );

    let late = ids[1];
    let before = house.get(&format!("/api/v1/predictions/{late}")).await.good();
    assert_eq!(before["label"], Value::Null);
    let label = json!({ "endpoint": "flight-delay", "labels": [{ "prediction_id": late, "label": 1.0 }] });
    let told = house.post("/api/v1/feedback", &label).await.good();
    assert_eq!(told, json!({ "received": 1, "changed": 1 }));
    let again = house.post("/api/v1/feedback", &label).await.good();
    assert_eq!(again, json!({ "received": 1, "changed": 0 }));

    let row = house.get(&format!("/api/v1/predictions/{late}")).await.good();
    assert_eq!(row["label"], 1.0);
    assert_eq!(row["endpoint"], "flight-delay");
    assert_eq!(row["row"]["carrier"], "B");
    assert_eq!(row["row"]["delay"], 95.0);
    assert_eq!(row["row"]["_version"], version);
    assert!((row["row"]["_score"].as_f64().unwrap() - found[1]).abs() < 1e-12);
    // Looking is reading: nothing was sealed for it.
    let log = house.get("/api/v1/endpoints").await.good()["log"].clone();
    assert_eq!((&log["sealed"], &log["open_rows"]), (&json!(0), &json!(2)));
    house.app.serving().flush().await.unwrap();
    let sealed = house.get(&format!("/api/v1/predictions/{late}")).await.good();
    assert_eq!(sealed, row, "the same from Parquet");
    let unknown = house.get("/api/v1/predictions/nobody").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn mlflows_dialect_gives_the_same_answers() {
    let house = House::local().await;
    let version = house.deploy().await;
    let tensors = house
        .post("/v2/models/flight-delay/infer", &two_flights())
        .await
        .good();
    let records = json!({ "dataframe_records": [
        { "delay": 5.0, "carrier": "A" }, { "delay": 95.0, "carrier": "B" },
    ]});
    let answer = house.post("/invocations/flight-delay", &records).await;
    let body = answer.good();
    assert_eq!(
        answer.headers["everloop-model-version"],
        version.to_string().as_str()
    );
    assert!(answer.headers.contains_key("everloop-prediction-id"));
    let rows = body["predictions"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let name = tensors["outputs"].as_array().unwrap().last().unwrap()["name"]
        .as_str()
        .unwrap();
    let theirs: Vec<f64> = rows.iter().map(|row| row[name].as_f64().unwrap()).collect();
    assert_eq!(theirs, scores(&tensors));
}

#[tokio::test]
async fn a_version_can_be_asked_by_its_number() {
    let house = House::local().await;
    let version = house.deploy().await;
    let pinned = format!("/v2/models/flight-delay/versions/{version}/infer");
    let answer = house.post(&pinned, &two_flights()).await;
    assert_eq!(answer.good()["model_version"], version.to_string());
    for missing in ["99", "4294967296"] {
        let path = format!("/v2/models/flight-delay/versions/{missing}/infer");
        let refused = house.post(&path, &two_flights()).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{:?}", refused.body);
    }
}

#[tokio::test]
async fn an_endpoint_describes_itself() {
    let house = House::local().await;
    let version = house.deploy().await;
    let server = house.get("/v2").await.good();
    assert_eq!(server["name"], "everloop");
    assert_eq!(house.get("/v2/health/live").await.good(), json!({ "live": true }));
    assert_eq!(
        house.get("/v2/health/ready").await.good(),
        json!({ "ready": true })
    );
    assert_eq!(house.get("/ping").await.status, StatusCode::OK);
    let model = house.get("/v2/models/flight-delay").await.good();
    assert_eq!(model["versions"], json!([version.to_string()]));
    let names: Vec<&Value> = model["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|input| &input["name"])
        .collect();
    assert_eq!(names, ["delay", "carrier"]);
    let ready = house.get("/v2/models/flight-delay/ready").await.good();
    assert_eq!(ready["ready"], true);
    let missing = house.get("/v2/models/flight-dela/ready").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(
        missing.json()["error"].as_str().unwrap().contains("flight-delay"),
        "{:?}",
        missing.body
    );
}

#[tokio::test]
async fn a_deployment_is_a_route_and_a_row_of_the_ledger() {
    let house = House::local().await;
    let first = house.deploy().await;
    let second = house.deploy().await;
    assert!(second > first);
    let endpoint = house.get("/api/v1/endpoints/flight-delay").await.good();
    let all = json!([{ "version": second, "mode": "live", "percent": 100.0 }]);
    assert_eq!(endpoint["routes"], all);
    let moved = house.get("/api/v1/ledger?kind=route.changed").await.good();
    let events = moved["events"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["payload"]["because"], json!({ "manual": true }));
    assert_eq!(events[0]["actor"], "local:ada");

    let body = json!({ "model": "flight-delay", "version": 99 });
    let missing = house.put("/api/v1/endpoints/flight-delay", &body).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND, "{:?}", missing.body);
    let unchanged = house.get("/api/v1/endpoints/flight-delay").await.good();
    assert_eq!(unchanged["routes"], all);
}

#[tokio::test]
async fn scrapes_see_the_prediction_log() {
    let house = House::local().await;
    house.deploy().await;
    house
        .post("/v2/models/flight-delay/infer", &two_flights())
        .await
        .good();
    let figures = house.get("/metrics").await;
    for line in [
        "everloop_predictions_logged_total 2",
        "everloop_predictions_open_rows 2",
        "everloop_db_writes_total",
        "# TYPE everloop_ledger_lag_events gauge",
        "everloop_http_requests_total{method=\"POST\",route=\"/v2/models/{endpoint}/infer\",status=\"2xx\"} 1",
    ] {
        assert!(
            figures.text().contains(line),
            "{line} is not in\n{}",
            figures.text()
        );
    }
}
