//! Names that people give. A name that exists is valid: it was parsed at the door.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The text can't be used as a name of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{found}\" is not a valid {kind} name: {problem}")]
pub struct InvalidName {
    /// What was to be named.
    pub kind: &'static str,
    /// The text, cut to 80 characters.
    pub found: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Letters, digits, `_`, `-`, `.`; starts with a letter, a digit or `_`; never `..`: safe in paths and addresses.
fn strict(text: &str) -> Result<(), &'static str> {
    let Some(first) = text.chars().next() else {
        return Err("it is empty");
    };
    if text.len() > 128 {
        return Err("it is longer than 128 characters");
    }
    if !(first.is_ascii_alphanumeric() || first == '_') {
        return Err("it must start with a letter, a digit or \"_\"");
    }
    if !text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    {
        return Err("only letters, digits, \"_\", \"-\" and \".\" are allowed");
    }
    if text.contains("..") {
        return Err("\"..\" is not allowed");
    }
    Ok(())
}

/// MLflow's rule for model names: anything printable but `/` and `:`.
fn model(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("it is empty");
    }
    if text.len() > 256 {
        return Err("it is longer than 256 bytes");
    }
    if text.contains(['/', ':']) {
        return Err("\"/\" and \":\" are not allowed");
    }
    if text.chars().any(char::is_control) {
        return Err("control characters are not allowed");
    }
    if text == "." || text == ".." {
        return Err("\".\" and \"..\" are not allowed");
    }
    Ok(())
}

/// A column is named by the data; only emptiness and control characters are refused.
fn column(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > 1_024 {
        return Err("it is longer than 1024 bytes");
    }
    if text.chars().any(char::is_control) {
        return Err("control characters are not allowed");
    }
    Ok(())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $rule:path;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses a name.
            ///
            /// # Errors
            /// When the text breaks the rule of this kind of name.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                match $rule(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(problem) => Err(InvalidName {
                        kind: $kind,
                        found: text.chars().take(80).collect(),
                        problem,
                    }),
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    )*};
}

names! {
    /// A project: the namespace everything else lives in.
    ProjectName, "project", strict;
    /// A dataset.
    DatasetName, "dataset", strict;
    /// A stage of a pipeline.
    StageName, "stage", strict;
    /// An endpoint that answers predictions.
    EndpointName, "endpoint", strict;
    /// A standing watch over an endpoint.
    MonitorName, "monitor", strict;
    /// A registered model.
    ModelName, "model", model;
    /// A name that points at one version of a model, such as `champion`.
    AliasName, "alias", strict;
    /// A column of a table.
    ColumnName, "column", column;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_names_are_safe_in_paths() {
        for good in ["flights", "a.b-c_d", "_x", "9"] {
            assert!(DatasetName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "../x", "a..b", "a/b", "-x", ".x", "a b", "a%2e", "é"] {
            assert!(DatasetName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn model_names_follow_mlflow() {
        assert!(ModelName::new("Flight delay (v2)").is_ok());
        assert!(ModelName::new("a/b").is_err());
        assert!(ModelName::new("a:b").is_err());
        assert!(ModelName::new(" ").is_err());
    }
}
