//! Frames and fixtures.

use everloop_core::{Column, Frame, Values};
use everloop_runtime::{Limits, Model, ModelFiles};
use serde_json::Value;
use std::path::{Path, PathBuf};

pub fn fixture_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The names of all fixtures.
pub fn fixture_names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(fixture_folder(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A fixture's model files, without the expected answers beside them.
pub fn fixture_files(name: &str) -> ModelFiles {
    let all = ModelFiles::from_dir(&fixture_folder(name), &Limits::default()).unwrap();
    let mut files = ModelFiles::new();
    for (path, bytes) in all.into_map() {
        if path != "case.json" {
            files.insert(&path, bytes).unwrap();
        }
    }
    files
}

pub fn fixture_case(name: &str) -> Value {
    let text = std::fs::read_to_string(fixture_folder(name).join("case.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub fn load(files: &ModelFiles) -> Model {
    Model::load(files, &Limits::default()).unwrap()
}

/// Recorded columns as a frame: texts where any value is one, else numbers.
pub fn frame(columns: &Value) -> Frame {
    let columns = columns.as_array().unwrap().iter().map(|column| {
        let values = column["values"].as_array().unwrap();
        Column {
            name: column["name"].as_str().unwrap().to_owned(),
            values: if values.iter().any(Value::is_string) {
                Values::Text(
                    values
                        .iter()
                        .map(|value| value.as_str().map(str::to_owned))
                        .collect(),
                )
            } else {
                Values::Float(
                    values
                        .iter()
                        .map(|value| value.as_f64().unwrap_or(f64::NAN))
                        .collect(),
                )
            },
        }
    });
    Frame::new(columns.collect()).unwrap()
}

pub fn column(name: &str, values: Values) -> Column {
    Column {
        name: name.to_owned(),
        values,
    }
}

/// Equal to one part in a million; of `scale` when sums of that size were rounded on the way.
pub fn assert_close(found: f64, expected: f64, scale: f64, what: &str) {
    let allowed = 1e-6 * expected.abs().max(scale);
    assert!(
        (found - expected).abs() <= allowed,
        "{what}: {found} instead of {expected}"
    );
}
