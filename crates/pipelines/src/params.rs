//! The values of the parameters that a stage reads.

use std::collections::BTreeMap;
use std::path::Path;

use everloop_core::Hash;
use everloop_project::{FilePath, ParamDep, Params, Project, Stage};
use serde_json::Value;

use crate::Failure;

/// What was asked to be different from the files, by dotted name.
pub(crate) type Overrides = BTreeMap<String, Value>;

/// The parameters of `stage` by dotted name, sections taken apart; those of files other than the project's own have
/// the file before them: `other.yaml:depth`.
///
/// # Errors
/// When a file can't be read or lacks a parameter.
pub(crate) fn read(
    project: &Project,
    stage: &Stage,
    root: &Path,
    overrides: &Overrides,
) -> Result<BTreeMap<String, Value>, Failure> {
    let mut values = BTreeMap::new();
    let mut documents = Documents {
        root,
        read: BTreeMap::new(),
    };
    for dep in &stage.params {
        match dep {
            ParamDep::Key(key) => {
                let value = own(project, stage, key, overrides, &mut documents)?;
                flatten(key, &value, &mut values);
            }
            ParamDep::File { file, keys } => {
                let file = file.from_wdir(stage.wdir.as_ref());
                read_file(&file, keys, &mut documents, &mut values)?;
            }
        }
    }
    apply(stage, overrides, &mut values);
    Ok(values)
}

/// Whether an override of `name` can change what a stage with this dep reads.
pub(crate) fn is_read(dep: &ParamDep, name: &str) -> bool {
    match dep {
        ParamDep::Key(key) => is_within(name, key),
        ParamDep::File { .. } => false,
    }
}

/// Whether `name` is `section` or lies in it.
fn is_within(name: &str, section: &str) -> bool {
    name.strip_prefix(section)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn own(
    project: &Project,
    stage: &Stage,
    key: &str,
    overrides: &Overrides,
    documents: &mut Documents<'_>,
) -> Result<Value, Failure> {
    if let Some(value) = overrides.get(key) {
        return Ok(value.clone());
    }
    match (&project.params, project.params_file(stage)) {
        (Some(inline @ Params::Inline(_)), _) => inline.get(key).cloned().ok_or_else(|| Failure::NoParam {
            key: key.to_owned(),
            place: "params of everloop.yaml".to_owned(),
            known: inline.keys(),
        }),
        (_, Some(file)) => documents.value(&file, key),
        (_, None) => Ok(Value::Null),
    }
}

fn read_file(
    file: &FilePath,
    keys: &[String],
    documents: &mut Documents<'_>,
    values: &mut BTreeMap<String, Value>,
) -> Result<(), Failure> {
    if keys.is_empty() || file.extension().as_deref() == Some("py") {
        // Python is not run to read it: a change of anything in the file counts.
        let whole = documents.whole(file)?;
        flatten(&format!("{file}:"), &whole, values);
        return Ok(());
    }
    for key in keys {
        let value = documents.value(file, key)?;
        flatten(&format!("{file}:{key}"), &value, values);
    }
    Ok(())
}

/// Replaces single values inside sections.
fn apply(stage: &Stage, overrides: &Overrides, values: &mut BTreeMap<String, Value>) {
    for (name, value) in overrides {
        let inside = stage.params.iter().any(|dep| match dep {
            ParamDep::Key(key) => is_within(name, key),
            ParamDep::File { .. } => false,
        });
        if inside {
            values.retain(|known, _| !is_within(known, name));
            flatten(name, value, values);
        }
    }
}

/// Takes sections apart: `train: {depth: 4}` is `train.depth: 4`. An empty section counts as a value.
fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let name = if name.is_empty() || name.ends_with(':') {
                    format!("{name}{key}")
                } else {
                    format!("{name}.{key}")
                };
                flatten(&name, inner, into);
            }
        }
        value => {
            into.insert(name.to_owned(), value.clone());
        }
    }
}

/// Parameter files, each read once.
struct Documents<'a> {
    root: &'a Path,
    read: BTreeMap<FilePath, Value>,
}

impl Documents<'_> {
    fn value(&mut self, file: &FilePath, key: &str) -> Result<Value, Failure> {
        let document = self.whole(file)?;
        lookup(&document, key).cloned().ok_or_else(|| Failure::NoParam {
            key: key.to_owned(),
            place: format!("\"{file}\""),
            known: keys(&document),
        })
    }

    fn whole(&mut self, file: &FilePath) -> Result<Value, Failure> {
        if let Some(document) = self.read.get(file) {
            return Ok(document.clone());
        }
        let problem = |problem: String| Failure::Params {
            file: file.to_string(),
            problem,
        };
        let bytes =
            std::fs::read(self.root.join(file.as_str())).map_err(|error| problem(error.to_string()))?;
        let document = match file.extension().as_deref() {
            Some("py") => Value::String(Hash::of(&bytes).to_hex()),
            extension => parse(extension, &bytes).map_err(problem)?,
        };
        self.read.insert(file.clone(), document.clone());
        Ok(document)
    }
}

fn lookup<'v>(document: &'v Value, key: &str) -> Option<&'v Value> {
    let map = document.as_object()?;
    if let Some(value) = map.get(key) {
        return Some(value);
    }
    // The longest prefix wins, so that a key with a dot in its own name is still reached.
    key.rmatch_indices('.')
        .find_map(|(dot, _)| lookup(map.get(&key[..dot])?, &key[dot + 1..]))
}

fn keys(document: &Value) -> Vec<String> {
    let mut values = BTreeMap::new();
    flatten("", document, &mut values);
    values.into_keys().collect()
}

/// A document of values: JSON, TOML, or else YAML.
pub(crate) fn parse(extension: Option<&str>, bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    match extension {
        Some("json") => serde_json::from_str(text).map_err(|error| error.to_string()),
        Some("toml") => toml::from_str::<Value>(text).map_err(|error| error.message().to_owned()),
        _ => serde_saphyr::from_str::<Value>(text)
            .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn formats_read_alike() {
        let expected = json!({"train": {"depth": 4, "rate": 0.5}, "on": true});
        let check = |extension: &str, text: &str| {
            assert_eq!(
                parse(Some(extension), text.as_bytes()).unwrap(),
                expected,
                "{extension}"
            );
        };
        check("yaml", "train:\n  depth: 4\n  rate: 0.5\non: true\n");
        check("json", r#"{"train": {"depth": 4, "rate": 0.5}, "on": true}"#);
        check("toml", "on = true\n[train]\ndepth = 4\nrate = 0.5\n");
    }

    #[test]
    fn sections_are_taken_apart_and_reached_by_dots() {
        let document = json!({"a": {"b": 1, "c": {"d": [1]}}, "x.y": 2});
        let mut values = BTreeMap::new();
        flatten("", &document, &mut values);
        let names: Vec<&String> = values.keys().collect();
        assert_eq!(names, ["a.b", "a.c.d", "x.y"]);
        assert_eq!(lookup(&document, "x.y"), Some(&json!(2)));
        assert_eq!(lookup(&document, "a.c.d"), Some(&json!([1])));
        assert_eq!(lookup(&document, "a.z"), None);
    }
}
