//! The JSON Schema says what the reader does.

use crate::documents::uncommented;
use crate::parse;
use everloop_core::ProjectName;
use everloop_project::{schema, templates};
use jsonschema::Validator;
use serde_json::Value;
use std::sync::LazyLock;

/// A YAML text as JSON, by the same YAML reader.
pub fn json(text: &str) -> Value {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true }).unwrap()
}

pub static PROJECT: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&schema::project()).unwrap());
pub static SUITE: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&schema::suite()).unwrap());

pub fn errors(schema: &Validator, document: &Value) -> Vec<String> {
    schema
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

const FLIGHTS: &str = include_str!("../../../../examples/flights/everloop.yaml");
const FLIGHTS_DATA: &str = include_str!("../../../../examples/flights/checks/flights.yaml");
const FLIGHTS_MODEL: &str = include_str!("../../../../examples/flights/checks/model.yaml");

#[test]
fn the_schemas_are_as_last_seen() {
    insta::assert_snapshot!("schema_project", pretty(&schema::project()));
    insta::assert_snapshot!("schema_suite", pretty(&schema::suite()));
}

/// With sorted keys, whatever features `serde_json` was built with.
fn pretty(value: &Value) -> String {
    let sorted: std::collections::BTreeMap<String, Value> = serde_json::from_value(value.clone()).unwrap();
    serde_json::to_string_pretty(&sorted).unwrap()
}

#[test]
fn the_files_we_ship_are_accepted() {
    let blank = templates::blank(&ProjectName::new("p").unwrap());
    for text in [blank.as_str(), &uncommented(&blank), FLIGHTS] {
        assert_eq!(errors(&PROJECT, &json(text)), Vec::<String>::new());
    }
    for text in [FLIGHTS_DATA, FLIGHTS_MODEL] {
        assert_eq!(errors(&SUITE, &json(text)), Vec::<String>::new());
    }
}

/// Whatever breaks the schema breaks the reader too, and these break both.
#[test]
fn what_the_reader_refuses_the_schema_refuses() {
    for text in [
        "project: p\nstagse: {}\n",
        "stages: { a: { cmd: x } }\n",
        "project: a b\n",
        "project: p\nstages: { a: { cmd: x, dep: [y] } }\n",
        "project: p\nstages: { a: { deps: [y] } }\n",
        "project: p\nstages: { a: { cmd: [] } }\n",
        "project: p\nstages: { a: { cmd: x, run: { on: rai } } }\n",
        "project: p\nstages: { a: { cmd: x, run: { retries: -1 } } }\n",
        "project: p\nstages: { a: { cmd: x, outs: [{o: {cach: false}}] } }\n",
        "project: p\nstages: { a: { cmd: x, outs: [{o: {cache: 1}}] } }\n",
        "project: p\nstages: { a: { cmd: x, plots: [{o: {xx: 1}}] } }\n",
        "project: p\nstages: { a: { cmd: x, params: [{a: []}] } }\n",
        "project: p\nstages: { a: { train: { data: d.csv, target: y, task: guess }, outs: [m] } }\n",
        "project: p\nstages: { a: { train: { data: d.csv, target: y, task: regression, depth: 3 }, outs: [m] } }\n",
        "project: p\nstages: { a: { sql: SELECT 1, outs: [m.parquet] } }\n",
        "project: p\ndatasets: { d: { time: t } }\n",
        "project: p\ndatasets: { 'a/b': { path: x } }\n",
        "project: p\ndatasets: { d: { path: x, checks: [{ row_cuont: { min: 1 } }] } }\n",
        "project: p\nmodel: { name: m, from: f, task: classification, gates: [{ metrik: auc >= 0.5 }] }\n",
        "project: p\nmodel: { name: m, from: f, task: classification, gates: [{ metric: auc 0.5 }] }\n",
        "project: p\nmodel: { name: m, from: f, task: classification, gates: [{ better_than: champion }] }\n",
        "project: p\nserve: { endpoint: e, rollout: { kind: cannary } }\n",
        "project: p\nserve: { endpoint: e, rollout: { kind: canary, steps: [100] } }\n",
        "project: p\nserve: { endpoint: e, rollout: { kind: canary, steps: [0, 100], each: 1m } }\n",
        "project: p\nmonitor: { window: daily }\n",
        "project: p\nmonitor: { window: 1d, drift: { confirm: 2 out of 3 } }\n",
        "project: p\non: [{ event: nothing, do: run }]\n",
        "project: p\non: [{ event: git.push }]\n",
        "project: p\non: [{ event: git.push, do: run, budget: 3 }]\n",
        "project: p\nnotify: [{ webhook: ftp://x }]\n",
        "project: p\nnotify: [{ webhook: https://x, secret: s }]\n",
    ] {
        assert!(parse(text).is_err(), "the reader takes {text}");
        assert!(
            !errors(&PROJECT, &json(text)).is_empty(),
            "the schema takes {text}"
        );
    }
    for text in [
        "checks: []\n",
        "checks: [{ row_count: { min: 1, mx: 2 } }]\n",
        "checks: [{ not_null: { column: a, mostly: 2 } }]\n",
        "checks: [{ not_null: { column: a, mostly: 1, max_share: 0 } }]\n",
        "checks: [{ severity: warn }]\n",
        "checks: [{ severity: fatal, row_count: { min: 1 } }]\n",
        "checks: [{ slices: { by: [a] } }]\n",
        "name: x\n",
    ] {
        assert!(
            everloop_project::Suite::parse("s", text.as_bytes(), everloop_project::Scope::Any).is_err(),
            "{text}"
        );
        assert!(!errors(&SUITE, &json(text)).is_empty(), "the schema takes {text}");
    }
}

/// Every key that can be written has a sentence that editors show.
#[test]
fn every_property_is_described() {
    fn visit(path: &str, value: &Value, missing: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::Object(properties)) = map.get("properties") {
                    for (name, property) in properties {
                        let described = property.get("description").is_some()
                            || property.get("$ref").is_some()
                            || property.get("const").is_some()
                            // Named again for the outer mapping only; the words stand where the variant is.
                            || property == &Value::Bool(true)
                            || property.get("allOf").is_some();
                        if !described {
                            missing.push(format!("{path}.{name}"));
                        }
                    }
                }
                for (name, inner) in map {
                    visit(&format!("{path}/{name}"), inner, missing);
                }
            }
            Value::Array(items) => items
                .iter()
                .enumerate()
                .for_each(|(index, item)| visit(&format!("{path}[{index}]"), item, missing)),
            _ => {}
        }
    }
    for schema in [schema::project(), schema::suite()] {
        let mut missing = Vec::new();
        visit("", &schema, &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }
}
