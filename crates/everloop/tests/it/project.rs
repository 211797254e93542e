//! A project from its first file to its answers, without a server.

use crate::program::{everloop, small_project};

#[test]
fn init_writes_a_file_that_runs_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let made = everloop(folder.path(), &["init", "My Shop", "--json"])
        .ok()
        .json();
    assert_eq!(made["files"], serde_json::json!(["everloop.yaml"]));
    let root = folder.path().join("My Shop");
    let text = std::fs::read_to_string(root.join("everloop.yaml")).unwrap();
    assert!(text.contains("\nproject: my-shop\n"), "{text}");
    let status = everloop(&root, &["status", "--json"]).ok().json();
    assert_eq!(status["project"], "my-shop");
    let again = everloop(&root, &["init"]);
    assert_eq!(again.code, 2, "{again:#?}");
    assert_eq!(std::fs::read_to_string(root.join("everloop.yaml")).unwrap(), text);
}

#[test]
fn the_flights_come_whole() {
    let folder = tempfile::tempdir().unwrap();
    everloop(folder.path(), &["init", "--from-template", "flights"]).ok();
    for file in ["checks/flights.yaml", "checks/model.yaml", "data/2013-03.parquet"] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
    let dag = everloop(folder.path(), &["dag"]).ok();
    insta::assert_snapshot!(dag.stdout.trim_end(), @"
    holdout
    prepare
      train <- prepare
        evaluate <- holdout, train
    ");
}

#[test]
fn a_project_runs_once_and_is_cached_then() {
    let (_folder, root) = small_project();
    let plan = everloop(&root, &["run", "--dry-run", "--json"]).ok().json();
    let verdicts: Vec<&str> = plan["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["run", "depends"]);
    everloop(&root, &["data", "snapshot"]).ok();
    let run = everloop(&root, &["run"]).ok();
    assert!(
        run.stdout.contains("rows") && run.stdout.contains("succeeded"),
        "{run:#?}"
    );
    assert!(root.join("build/sums.parquet").is_file());
    let again = everloop(&root, &["run", "--json"]).ok().json();
    let states: Vec<&str> = again["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["cached", "cached"]);
    let status = everloop(&root, &["status", "--json"]).ok().json();
    assert_eq!(status["last_pipeline_run"]["state"], "succeeded");
}

#[test]
fn a_failed_stage_is_a_failed_command() {
    let (_folder, root) = small_project();
    let text = std::fs::read_to_string(root.join("everloop.yaml")).unwrap();
    std::fs::write(
        root.join("everloop.yaml"),
        text.replace("sum(price)", "sum(prize)"),
    )
    .unwrap();
    everloop(&root, &["data", "snapshot"]).ok();
    let run = everloop(&root, &["run"]);
    assert_eq!(run.code, 1, "{run:#?}");
    assert!(run.stdout.contains("failed"), "{run:#?}");
    assert!(run.stderr.contains("prize"), "{run:#?}");
}

#[test]
fn data_has_versions_differences_and_answers() {
    let (_folder, root) = small_project();
    let first = everloop(&root, &["data", "snapshot", "orders"]).ok();
    assert_eq!(first.stdout, "orders@1 is new: 3 rows in 1 files\n");
    let same = everloop(&root, &["data", "snapshot", "orders"]).ok();
    assert_eq!(same.stdout, "orders@1 is still the newest: 3 rows in 1 files\n");
    std::fs::write(root.join("data/more.csv"), "id,price,country\n4,-1.0,IT\n").unwrap();
    everloop(&root, &["data", "snapshot"]).ok();
    let diff = everloop(&root, &["data", "diff", "orders"]).ok();
    assert!(
        diff.stdout
            .starts_with("orders@1 -> orders@2\nrows 3 -> 4\nfile added data/more.csv\n"),
        "{diff:#?}"
    );
    let profile = everloop(&root, &["data", "profile", "orders"]).ok();
    assert!(profile.stdout.starts_with("orders@2: 4 rows\n"), "{profile:#?}");
    let answer = everloop(&root, &["sql", "SELECT count(*) AS n FROM orders", "--json"])
        .ok()
        .json();
    assert_eq!(answer["rows"], serde_json::json!([{ "n": 4 }]));
    let log = everloop(&root, &["data", "log", "orders", "--json"]).ok().json();
    assert_eq!(log.as_array().unwrap().len(), 2);
    std::fs::remove_file(root.join("data/more.csv")).unwrap();
    everloop(&root, &["data", "checkout", "orders", "2"]).ok();
    assert!(root.join("data/more.csv").is_file());
}

#[test]
fn a_check_that_says_no_is_neither_success_nor_failure() {
    let (_folder, root) = small_project();
    everloop(&root, &["data", "snapshot"]).ok();
    everloop(&root, &["check", "data", "orders"]).ok();
    std::fs::write(root.join("data/more.csv"), "id,price,country\n4,-1.0,IT\n").unwrap();
    everloop(&root, &["data", "snapshot"]).ok();
    let checked = everloop(&root, &["check", "data", "orders"]);
    assert_eq!(checked.code, 3, "{checked:#?}");
    assert!(
        checked.stdout.contains("dataset:orders@2 did not pass"),
        "{checked:#?}"
    );
    let unknown = everloop(&root, &["check", "data", "ordres"]);
    assert_eq!(unknown.code, 1, "{unknown:#?}");
}

#[test]
fn settings_say_where_they_came_from() {
    let (_folder, root) = small_project();
    let mut command = crate::program::command(&root);
    let output = command
        .args(["config", "show", "--json"])
        .env("EVERLOOP_DB", "postgres://ada:secret@db/loop");
    let text = String::from_utf8(output.output().unwrap().stdout).unwrap();
    assert!(
        text.contains("postgres://ada:***@db/loop") && !text.contains("secret"),
        "{text}"
    );
    let settings: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(settings[0]["origin"], "environment");
}
