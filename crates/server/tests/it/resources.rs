//! Data, checks, questions, models and the project's file, each through its own resource.

use crate::house::House;
use axum::http::StatusCode;
use serde_json::{Value, json};

const PROJECT: &str = "project: flights\ndatasets:\n  flights: { path: data/*.csv, checks: checks.yaml }\n";

async fn house() -> House {
    let house = House::local().await;
    house.write("data/a.csv", "delay,carrier\n5,A\n95,B\n40,\n");
    house.write(
        "checks.yaml",
        "checks:\n  - row_count: { min: 1 }\n  - not_null: { column: carrier }\n",
    );
    house.write("everloop.yaml", PROJECT);
    house
        .put("/api/v1/datasets/flights", &json!({ "paths": ["data/*.csv"] }))
        .await
        .good();
    house
        .post("/api/v1/datasets/flights/versions", &json!({}))
        .await
        .good();
    house
}

#[tokio::test]
async fn datasets_are_tables() {
    let house = house().await;
    let question = json!({ "query": "SELECT carrier, delay FROM flights ORDER BY delay", "limit": 2 });
    let answer = house.post("/api/v1/sql", &question).await.good();
    assert_eq!(answer["truncated"], true);
    assert_eq!(
        answer["rows"],
        json!([{ "carrier": "A", "delay": 5 }, { "carrier": null, "delay": 40 }])
    );
    assert_eq!(answer["columns"][0]["name"], "carrier");
    let whole = house
        .post(
            "/api/v1/sql",
            &json!({ "query": "SELECT count(*) AS n FROM flights" }),
        )
        .await
        .good();
    assert_eq!(whole["rows"], json!([{ "n": 3 }]));
    assert_eq!(whole["truncated"], false);
    for wrong in [
        "SELECT * FROM flight",
        "SELEC 1",
        "DROP TABLE flights",
        "SELECT nothing FROM flights",
    ] {
        let refused = house.post("/api/v1/sql", &json!({ "query": wrong })).await;
        assert!(refused.status.is_client_error(), "{wrong}: {refused:?}");
    }
}

#[tokio::test]
async fn reports_of_checks_are_kept() {
    let house = house().await;
    let own = house
        .post("/api/v1/checks/data", &json!({ "dataset": "flights" }))
        .await
        .good();
    assert_eq!(own["passed"], false);
    assert_eq!(own["subject"], "dataset:flights@1");
    let suite = "checks:\n  - row_count: { min: 3, max: 3 }\n";
    let given = json!({ "dataset": "flights", "version": 1, "suite": suite });
    let given = house.post("/api/v1/checks/data", &given).await.good();
    assert_eq!(given["passed"], true);
    let kept = house.get("/api/v1/checks?subject=dataset:flights@1").await.good();
    let ids: Vec<&Value> = kept["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| &check["id"])
        .collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&&own["id"]) && ids.contains(&&given["id"]));

    let invalid = json!({ "dataset": "flights", "suite": "checks:\n  - row_cound: { min: 3 }\n" });
    let invalid = house.post("/api/v1/checks/data", &invalid).await;
    assert_eq!(invalid.status, StatusCode::BAD_REQUEST);
    assert!(
        invalid.json()["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("row_count"),
        "{invalid:?}"
    );
    let missing = house
        .post("/api/v1/checks/data", &json!({ "dataset": "flight" }))
        .await;
    assert!(missing.status.is_client_error());
}

#[tokio::test]
async fn the_project_file_is_read_again_when_it_changes() {
    let house = house().await;
    let project = house.get("/api/v1/project").await.good();
    assert_eq!(project["project"], "flights");
    assert!(project["datasets"]["flights"].is_object());
    house.write("everloop.yaml", "project: flights\ndescription: anew\n");
    assert_eq!(house.get("/api/v1/project").await.good()["description"], "anew");

    house.write("everloop.yaml", "project: [\n");
    let invalid = house.get("/api/v1/project").await;
    assert_eq!(invalid.status, StatusCode::BAD_REQUEST);
    let status = house.get("/api/v1/status").await.good();
    assert!(
        status["project_problem"]
            .as_str()
            .unwrap()
            .contains("everloop.yaml"),
        "{status}"
    );
    assert_eq!(status["datasets"][0]["latest"]["version"], 1, "{status}");

    std::fs::remove_file(house.root.path().join("everloop.yaml")).unwrap();
    let gone = house.get("/api/v1/project").await;
    assert_eq!(gone.status, StatusCode::PRECONDITION_FAILED);
    house.write("everloop.yaml", "project: other\n");
    let other = house.get("/api/v1/project").await;
    assert_eq!(other.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn people_say_yes_and_no_to_versions() {
    let house = House::local().await;
    let version = house.register_model().await;
    let path = format!("/api/v1/models/flight-delay/versions/{version}");
    assert_eq!(house.get(&path).await.good()["state"], "ready");
    assert_eq!(
        house
            .get("/api/v1/models/flight-delay/versions/latest")
            .await
            .good()["version"],
        version
    );
    let yes = house
        .post(&format!("{path}/approve"), &json!({ "comment": "looks right" }))
        .await
        .good();
    assert_eq!(yes["approval"], "approved");
    let no = house.post(&format!("{path}/reject"), &json!({})).await.good();
    assert_eq!(no["approval"], "rejected");
    let said = house.get(&format!("{path}/gates")).await.good();
    let words: Vec<&str> = said["approvals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["approved", "rejected"]);
    assert_eq!(said["approvals"][0]["comment"], "looks right");
    let files = house.get(&format!("{path}/files")).await.good();
    assert!(
        files["files"]
            .as_array()
            .unwrap()
            .iter()
            .any(|file| file["path"] == "MLmodel"),
        "{files}"
    );
    let models = house.get("/api/v1/models").await.good();
    assert_eq!(models["models"][0]["name"], "flight-delay");
    let missing = house.get("/api/v1/models/flight-delay/versions/champion").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}
