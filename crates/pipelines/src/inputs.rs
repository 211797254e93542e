//! What decides whether a stage must run: its inputs, their hash, and how they differ from the last ones.

use std::collections::BTreeMap;

use everloop_core::Hash;
use everloop_project::Stage;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Raised when the same inputs no longer give the same outs, such as after a change of the built-in learner.
pub(crate) const FORMAT: u32 = 1;

/// Everything a stage's outs depend on. Stored as JSON; owned by this crate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inputs {
    pub format: u32,
    /// What it does, in one spelling.
    pub action: String,
    pub wdir: String,
    /// Digests of what it reads: files and folders by path, datasets by `dataset:name`.
    pub deps: BTreeMap<String, Hash>,
    pub params: BTreeMap<String, Value>,
    /// Hashes of the declared environment, for its values may be secrets; none where a variable is not set.
    pub env: BTreeMap<String, Option<Hash>>,
    pub outs: Vec<String>,
}

impl Inputs {
    /// The inputs that stand in the project file.
    pub fn of(stage: &Stage) -> Self {
        Self {
            format: FORMAT,
            action: serde_json::to_string(&stage.action).expect("a stage holds plain values only"),
            wdir: stage.wdir.as_ref().map(ToString::to_string).unwrap_or_default(),
            deps: BTreeMap::new(),
            params: BTreeMap::new(),
            env: BTreeMap::new(),
            outs: stage.writes().map(|written| written.path.to_string()).collect(),
        }
    }

    /// The hash that finds a stage's outs again. Nested values are sorted here: whether JSON maps are sorted depends on
    /// a feature that any crate may turn on.
    pub fn key(&self) -> Hash {
        let mut sorted = self.clone();
        sorted.params.values_mut().for_each(sort);
        Hash::of(sorted.to_json().as_bytes())
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("inputs are plain values with text keys")
    }

    /// What changed since `before`, in words.
    pub fn changes(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.action != before.action || self.wdir != before.wdir {
            changes.push("its command changed".to_owned());
        }
        for (path, digest) in &self.deps {
            match before.deps.get(path) {
                None => changes.push(format!("dep {path} is new")),
                Some(old) if old != digest => changes.push(format!("dep {path} changed")),
                Some(_) => {}
            }
        }
        for path in before.deps.keys().filter(|path| !self.deps.contains_key(*path)) {
            changes.push(format!("dep {path} is gone"));
        }
        self.param_changes(before, &mut changes);
        for (name, value) in &self.env {
            if before.env.get(name) != Some(value) {
                changes.push(format!("variable {name} changed"));
            }
        }
        for name in before.env.keys().filter(|name| !self.env.contains_key(*name)) {
            changes.push(format!("variable {name} is gone"));
        }
        if self.outs != before.outs {
            changes.push("its outs changed".to_owned());
        }
        if self.format != before.format {
            changes.push("Everloop's own code changed".to_owned());
        }
        changes
    }

    fn param_changes(&self, before: &Self, changes: &mut Vec<String>) {
        for (name, value) in &self.params {
            match before.params.get(name) {
                None => changes.push(format!("param {name} is new: {}", shown(value))),
                Some(old) if old != value => {
                    changes.push(format!("param {name} {} -> {}", shown(old), shown(value)));
                }
                Some(_) => {}
            }
        }
        for name in before
            .params
            .keys()
            .filter(|name| !self.params.contains_key(*name))
        {
            changes.push(format!("param {name} is gone"));
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        return text;
    }
    let start: String = text.chars().take(59).collect();
    format!("{start}…")
}

fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(sort),
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = std::mem::take(map).into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            for (key, mut value) in entries {
                sort(&mut value);
                map.insert(key, value);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn inputs() -> Inputs {
        Inputs {
            format: FORMAT,
            action: r#"{"cmd":"python train.py"}"#.to_owned(),
            wdir: String::new(),
            deps: BTreeMap::from([("a.csv".to_owned(), Hash::of(b"1"))]),
            params: BTreeMap::from([("train.depth".to_owned(), json!(4))]),
            env: BTreeMap::from([("SEED".to_owned(), Some(Hash::of(b"7")))]),
            outs: vec!["model".to_owned()],
        }
    }

    #[test]
    fn every_part_counts_and_is_named() {
        let check = |change: fn(&mut Inputs), expected: &str| {
            let mut changed = inputs();
            change(&mut changed);
            assert_ne!(changed.key(), inputs().key(), "{expected}");
            assert_eq!(changed.changes(&inputs()), [expected]);
        };
        check(|now| now.action.push(' '), "its command changed");
        check(|now| now.wdir = "x".into(), "its command changed");
        check(
            |now| *now.deps.get_mut("a.csv").unwrap() = Hash::of(b"2"),
            "dep a.csv changed",
        );
        check(
            |now| {
                now.deps.insert("b".into(), Hash::of(b""));
            },
            "dep b is new",
        );
        check(|now| now.deps.clear(), "dep a.csv is gone");
        check(
            |now| *now.params.get_mut("train.depth").unwrap() = json!(6),
            "param train.depth 4 -> 6",
        );
        check(
            |now| *now.env.get_mut("SEED").unwrap() = None,
            "variable SEED changed",
        );
        check(|now| now.outs.push("x".into()), "its outs changed");
        check(|now| now.format += 1, "Everloop's own code changed");
        assert!(inputs().changes(&inputs()).is_empty());
    }
}
