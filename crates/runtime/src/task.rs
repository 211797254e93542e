//! What a model answers: one of some classes, or a number.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a model answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// One of `classes`, with a probability for each.
    Classification {
        /// The classes, in the order of the probabilities. With two, the second is the positive one.
        classes: Vec<Label>,
    },
    /// A number.
    Regression,
}

impl Task {
    /// The classes; none for regression.
    #[must_use]
    pub fn classes(&self) -> &[Label] {
        match self {
            Self::Classification { classes } => classes,
            Self::Regression => &[],
        }
    }
}

/// The name of a class, in the type its labels have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// `false` or `true`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}
