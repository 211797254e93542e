//! Who did it. Every ledger row and decision names one.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::{ProjectName, Timestamp};

/// The person, token or part of the system that acts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Actor {
    /// The person at this machine, in local mode (their login name).
    Local(String),
    /// The holder of an API token (the token's label, never its secret).
    Token(String),
    /// A part of Everloop acting on a rule, such as `controller` or `rollout`.
    System(String),
}

impl Actor {
    /// A part of Everloop, by its name.
    #[must_use]
    pub fn system(name: &str) -> Self {
        Self::System(name.to_owned())
    }
}

impl fmt::Display for Actor {
    /// `local:ada`, `token:ci`, `system:controller`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(name) => write!(f, "local:{name}"),
            Self::Token(name) => write!(f, "token:{name}"),
            Self::System(name) => write!(f, "system:{name}"),
        }
    }
}

impl std::str::FromStr for Actor {
    type Err = ();

    /// Reads what [`Display`](fmt::Display) wrote.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, name) = text.split_once(':').ok_or(())?;
        match kind {
            "local" => Ok(Self::Local(name.to_owned())),
            "token" => Ok(Self::Token(name.to_owned())),
            "system" => Ok(Self::System(name.to_owned())),
            _ => Err(()),
        }
    }
}

/// Who changes something, in which project, when: what every change of several capabilities shares, so that whoever
/// composes them in one transaction says it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The project: nothing outside it is seen or touched.
    pub project: ProjectName,
    /// The person, token or part of the system.
    pub actor: Actor,
    /// When, in project time.
    pub at: Timestamp,
}
