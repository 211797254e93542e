//! Reading metrics files: the numbers in them, by dotted name.

use std::path::Path;

use everloop_project::FilePath;
use serde_json::Value;

use crate::{Failure, params};

/// One figure of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub key: String,
    pub value: f64,
    pub step: i64,
}

impl Point {
    pub fn new(key: impl Into<String>, value: f64, step: i64) -> Self {
        let key = key.into();
        Self {
            key: key
                .chars()
                .map(|c| if is_plain(c) { c } else { '_' })
                .take(250)
                .collect(),
            value,
            step,
        }
    }
}

/// What MLflow allows in a metric's name.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':' | '/')
}

/// The largest file of metrics that is read.
const LARGEST: u64 = 16 << 20;

/// The numbers in the file at `path`; texts and other values are passed over.
///
/// # Errors
/// When it is no document.
pub(crate) fn read(root: &Path, path: &FilePath) -> Result<Vec<Point>, Failure> {
    let problem = |problem: String| Failure::Metrics {
        file: path.to_string(),
        problem,
    };
    let file = root.join(path.as_str());
    let size = std::fs::metadata(&file).map_err(|error| problem(error.to_string()))?;
    if size.is_dir() || size.len() > LARGEST {
        return Err(problem("it is a folder, or larger than 16 MiB".to_owned()));
    }
    let bytes = std::fs::read(&file).map_err(|error| problem(error.to_string()))?;
    let document = params::parse(path.extension().as_deref(), &bytes).map_err(problem)?;
    let mut points = Vec::new();
    collect("", &document, &mut points);
    Ok(points)
}

fn collect(name: &str, value: &Value, points: &mut Vec<Point>) {
    let inner = |key: &str| match name {
        "" => key.to_owned(),
        name => format!("{name}.{key}"),
    };
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| collect(&inner(key), value, points)),
        Value::Number(number) if !name.is_empty() => {
            points.extend(number.as_f64().map(|value| Point::new(name, value, 0)));
        }
        Value::Bool(flag) if !name.is_empty() => points.push(Point::new(name, f64::from(*flag), 0)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_any_depth() {
        let mut points = Vec::new();
        let document =
            serde_json::json!({"auc": 0.5, "by": {"class a": {"f1": 1}}, "note": "x", "done": true});
        collect("", &document, &mut points);
        points.sort_by(|a, b| a.key.cmp(&b.key));
        let expected = [("auc", 0.5), ("by.class a.f1", 1.0), ("done", 1.0)];
        assert_eq!(points, expected.map(|(key, value)| Point::new(key, value, 0)));
        assert_eq!(Point::new("a@b", 1.0, 0).key, "a_b");
    }
}
