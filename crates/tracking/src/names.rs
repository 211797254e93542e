//! What may be a metric's, param's or tag's name, and how long things may be. The figures are MLflow's.

use crate::{Error, Result};

/// How much is taken at once and how long texts may be.
pub mod limits {
    /// Metrics in one batch.
    pub const BATCH_METRICS: usize = 1_000;
    /// Params in one batch.
    pub const BATCH_PARAMS: usize = 100;
    /// Tags in one batch.
    pub const BATCH_TAGS: usize = 100;
    /// Metrics, params and tags in one batch together.
    pub const BATCH_TOTAL: usize = 1_000;
    /// Characters in the name of a metric, param or tag.
    pub const KEY_CHARS: usize = 250;
    /// Characters in a param's value.
    pub const PARAM_CHARS: usize = 6_000;
    /// Characters in a run tag's value.
    pub const RUN_TAG_CHARS: usize = 8_000;
    /// Characters in an experiment tag's value.
    pub const EXPERIMENT_TAG_CHARS: usize = 20_000;
    /// Characters in the name of an experiment or a run.
    pub const NAME_CHARS: usize = 500;
    /// Characters in an artifact location.
    pub const LOCATION_CHARS: usize = 2_048;
    /// Characters in a dataset's name.
    pub const DATASET_NAME_CHARS: usize = 500;
    /// Characters in a dataset's digest. MLflow allows 36; ours are content hashes of 64.
    pub const DATASET_DIGEST_CHARS: usize = 64;
    /// Characters in a dataset's schema.
    pub const DATASET_SCHEMA_CHARS: usize = 1_048_575;
    /// Characters in a dataset's source.
    pub const DATASET_SOURCE_CHARS: usize = 65_535;
    /// Characters in a dataset's profile.
    pub const DATASET_PROFILE_CHARS: usize = 16_777_215;
    /// Datasets in one call.
    pub const DATASETS: usize = 1_000;
    /// Characters in the name of an input's tag.
    pub const INPUT_TAG_KEY_CHARS: usize = 255;
    /// Characters in the value of an input's tag.
    pub const INPUT_TAG_CHARS: usize = 500;
    /// Files recorded in one transaction.
    pub const ARTIFACT_FILES: usize = 10_000;
}

/// What a key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// A metric.
    Metric,
    /// A param.
    Param,
    /// A tag of a run.
    Tag,
    /// A tag of an experiment.
    ExperimentTag,
    /// A tag of a dataset input.
    InputTag,
}

impl KeyKind {
    /// The word for it in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Param => "param",
            Self::Tag => "tag",
            Self::ExperimentTag => "experiment tag",
            Self::InputTag => "input tag",
        }
    }
}

/// Checks the name of a metric, param or tag.
pub(crate) fn check_key(kind: KeyKind, key: &str) -> Result<()> {
    match key_problem(key) {
        None => Ok(()),
        Some(problem) => Err(Error::InvalidKey {
            kind,
            key: shown(key),
            problem,
        }),
    }
}

/// Letters of any script, digits, `_ - . : /` and space; `/` makes groups, so the name must be its own normal path.
fn key_problem(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("it is empty");
    }
    if key.chars().count() > limits::KEY_CHARS {
        return Some("it is longer than 250 characters");
    }
    if !key
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':' | '/'))
    {
        return Some("only letters, digits, \"_\", \"-\", \".\", \":\", \"/\" and spaces are allowed");
    }
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some("it is not a normal path: \"..\", \"./\", \"//\" and \"/\" at the ends are not allowed");
    }
    None
}

/// Checks that `text` has at most `limit` characters and no zero character.
pub(crate) fn check_text(what: &'static str, text: &str, limit: usize) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::InvalidText {
            what,
            found: shown(text),
            problem: "the zero character is not allowed",
        });
    }
    // Bytes bound characters from above, so most texts need no count.
    if text.len() <= limit {
        return Ok(());
    }
    let found = text.chars().count();
    if found <= limit {
        return Ok(());
    }
    Err(Error::TooLong { what, limit, found })
}

/// Checks a text that must not be blank either.
pub(crate) fn check_name(what: &'static str, text: &str, limit: usize) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::InvalidText {
            what,
            found: shown(text),
            problem: "it is empty",
        });
    }
    check_text(what, text, limit)
}

/// The first 80 characters, for messages.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_mlflow() {
        for good in [
            "auc",
            "val/auc",
            "système/été",
            "a b",
            "lr:0",
            "x.y-z_1",
            ".hidden",
            "a..b",
        ] {
            assert_eq!(key_problem(good), None, "{good}");
        }
        let long = "k".repeat(251);
        for bad in [
            "", "/a", "a/", "a//b", "./a", "a/./b", "..", "a/../b", "a\\b", "a\nb", "a%b", "a\0", &long,
        ] {
            assert!(key_problem(bad).is_some(), "{bad}");
        }
        assert_eq!(key_problem(&"é".repeat(250)), None);
    }

    #[test]
    fn texts_are_counted_in_characters() {
        assert!(check_text("value", &"é".repeat(10), 10).is_ok());
        let long = check_text("value", &"é".repeat(11), 10).unwrap_err();
        assert!(matches!(
            long,
            Error::TooLong {
                limit: 10,
                found: 11,
                ..
            }
        ));
        assert!(check_text("value", "a\0b", 10).is_err());
    }
}
