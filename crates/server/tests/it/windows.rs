//! Windows of a number of predictions, cut from the real log.

use crate::house::House;
use serde_json::{Value, json};

const PROJECT: &str = "
project: flights
stages:
  train: { cmd: 'true', outs: [build/model] }
model: { name: flight-delay, from: build/model, task: classification }
serve: { endpoint: flight-delay }
monitor:
  window: 10 rows
  quality: [{ range: { column: delay, max: 50 } }]
";

/// A request for flights that happened at these minutes of an hour.
async fn predict(house: &House, minutes: &[u32], delay: f64) {
    for minute in minutes {
        let body = json!({
            "parameters": { "event_time": format!("2026-01-04T10:{minute:02}:00Z") },
            "inputs": [
                { "name": "delay", "shape": [1], "datatype": "FP64", "data": [delay] },
                { "name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["A"] },
            ],
        });
        house.post("/v2/models/flight-delay/infer", &body).await.good();
    }
}

async fn windows(house: &House, part: &str) -> Vec<Value> {
    house.post("/api/v1/loop/settle", &json!({})).await.good();
    let found = house
        .get(&format!("/api/v1/monitors/flight-delay/windows?part={part}"))
        .await
        .good();
    let mut windows = found["windows"].as_array().unwrap().clone();
    windows.reverse();
    windows
}

#[tokio::test]
async fn the_log_is_cut_by_count_in_the_order_of_event_time() {
    let house = House::local().await;
    house.write("everloop.yaml", PROJECT);
    house.post("/api/v1/project/reload", &json!({})).await.good();
    house.deploy().await;
    predict(&house, &[9, 8, 7, 6, 5], 5.0).await;
    assert!(windows(&house, "quality").await.is_empty());
    predict(&house, &[0, 1, 2, 3], 5.0).await;
    assert!(windows(&house, "quality").await.is_empty(), "nine are not ten");
    predict(&house, &[30, 31, 32, 33], 95.0).await;
    let first = windows(&house, "quality").await;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["start"], "2026-01-04T10:00:00.000Z");
    assert_eq!(first[0]["end"], "2026-01-04T10:30:00.001Z");
    assert_eq!(
        (&first[0]["rows"], &first[0]["breached"]),
        (&json!(10), &json!(true))
    );
    // Late ones lie before the cut: they fill no window, and change none.
    predict(&house, &[10; 9], 95.0).await;
    predict(&house, &[40, 41, 42, 43, 44, 45], 5.0).await;
    assert_eq!(windows(&house, "quality").await, first, "nine after the cut");
    predict(&house, &[46], 5.0).await;
    let both = windows(&house, "quality").await;
    assert_eq!(both[0], first[0]);
    assert_eq!(both[1]["start"], "2026-01-04T10:31:00.000Z");
    assert_eq!(both[1]["rows"], 10);
    assert_eq!(both.len(), 2);
}
