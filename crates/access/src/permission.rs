//! Permissions are pairs of a resource and an action; roles are sets of them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What is acted upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// The project and its file.
    Project,
    /// Datasets, their versions and profiles.
    Dataset,
    /// Experiments, runs and artifacts.
    Run,
    /// Registered models, versions and aliases.
    Model,
    /// Pipelines and their runs.
    Pipeline,
    /// Suites and their results.
    Check,
    /// Endpoints, routes and rollouts.
    Endpoint,
    /// Predictions asked of an endpoint, and their log.
    Prediction,
    /// True labels that arrive later.
    Feedback,
    /// Monitors, windows and alerts.
    Monitor,
    /// Decisions and their evidence.
    Decision,
    /// The ledger.
    Ledger,
    /// API tokens.
    Token,
    /// The server itself: backup, collection, metrics.
    System,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Look at it.
    Read,
    /// Create or change it.
    Write,
    /// Say yes where a gate asks for a person.
    Approve,
    /// Destroy it or change who may do what.
    Admin,
}

/// Who signs requests with a secret that both sides know, instead of presenting a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signer {
    /// The place where the project's repository lives: GitHub, GitLab, Gitea.
    Git,
}

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Nothing: liveness and version only.
    Public,
    /// The action on the resource.
    Needs(Resource, Action),
    /// The signature of this body by this signer. No role holds it: a token opens nothing here, and a signature
    /// nothing else.
    Signed(Signer),
}

impl Permission {
    /// To look at `resource`.
    #[must_use]
    pub const fn read(resource: Resource) -> Self {
        Self::Needs(resource, Action::Read)
    }

    /// To create or change `resource`.
    #[must_use]
    pub const fn write(resource: Resource) -> Self {
        Self::Needs(resource, Action::Write)
    }

    /// To say yes to `resource` where a gate asks for a person.
    #[must_use]
    pub const fn approve(resource: Resource) -> Self {
        Self::Needs(resource, Action::Approve)
    }

    /// To destroy `resource` or change who may act on it.
    #[must_use]
    pub const fn admin(resource: Resource) -> Self {
        Self::Needs(resource, Action::Admin)
    }
}

/// A set of permissions with a name that people know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks at everything but tokens and the system.
    Viewer,
    /// Asks endpoints for predictions and sends feedback; sees nothing else.
    Client,
    /// What a running stage holds: reads data and models, writes its own runs.
    Stage,
    /// Builds: data, runs, pipelines, models, endpoints, monitors.
    Editor,
    /// An editor who may also say yes at approval gates.
    Approver,
    /// May do everything.
    Admin,
}

impl Role {
    /// All roles, from the least to the most.
    pub const ALL: [Self; 6] = [
        Self::Viewer,
        Self::Client,
        Self::Stage,
        Self::Editor,
        Self::Approver,
        Self::Admin,
    ];

    /// Whether this role holds `permission`.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        let (resource, action) = match permission {
            Permission::Public => return true,
            Permission::Signed(_) => return false,
            Permission::Needs(resource, action) => (resource, action),
        };
        match self {
            Self::Admin => true,
            Self::Approver => action == Action::Approve || Self::Editor.may(permission),
            Self::Editor => matches!(action, Action::Read | Action::Write) && !is_house(resource),
            Self::Viewer => action == Action::Read && !is_house(resource),
            Self::Stage => match action {
                Action::Read => !is_house(resource),
                Action::Write => matches!(resource, Resource::Run),
                Action::Approve | Action::Admin => false,
            },
            Self::Client => {
                matches!(
                    (resource, action),
                    (Resource::Prediction | Resource::Feedback, Action::Write)
                        | (Resource::Endpoint, Action::Read)
                )
            }
        }
    }

    /// The first role, from the least to the most, that holds `permission`.
    #[must_use]
    pub fn least_that_may(permission: Permission) -> Self {
        Self::ALL
            .into_iter()
            .find(|role| role.may(permission))
            .unwrap_or(Self::Admin)
    }

    /// The role's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Client => "client",
            Self::Stage => "stage",
            Self::Editor => "editor",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }
}

/// Tokens and the server itself: only administrators see them.
fn is_house(resource: Resource) -> bool {
    matches!(resource, Resource::Token | Resource::System)
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a role: expected viewer, client, stage, editor, approver or admin")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

impl fmt::Display for Permission {
    /// `write endpoint`, as in "may not write endpoint".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signed(Signer::Git) => f.write_str("send what only a git host signs"),
            Self::Public => f.write_str("look"),
            Self::Needs(resource, action) => {
                let action = format!("{action:?}").to_lowercase();
                let resource = format!("{resource:?}").to_lowercase();
                write!(f, "{action} {resource}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_changes_nothing_and_a_client_sees_nothing_but_answers() {
        assert!(Role::Viewer.may(Permission::read(Resource::Model)));
        assert!(!Role::Viewer.may(Permission::write(Resource::Model)));
        assert!(Role::Client.may(Permission::write(Resource::Prediction)));
        assert!(!Role::Client.may(Permission::read(Resource::Prediction)));
        assert!(!Role::Client.may(Permission::read(Resource::Model)));
    }

    #[test]
    fn only_approvers_approve_and_only_admins_touch_tokens() {
        assert!(!Role::Editor.may(Permission::approve(Resource::Model)));
        assert!(Role::Approver.may(Permission::approve(Resource::Model)));
        for role in Role::ALL {
            assert_eq!(
                role.may(Permission::read(Resource::Token)),
                role == Role::Admin,
                "{role}"
            );
        }
    }

    #[test]
    fn no_role_stands_in_for_a_signature() {
        for role in Role::ALL {
            assert!(!role.may(Permission::Signed(Signer::Git)), "{role}");
        }
    }

    #[test]
    fn the_hinted_role_is_the_least_one() {
        assert_eq!(
            Role::least_that_may(Permission::write(Resource::Prediction)),
            Role::Client
        );
        assert_eq!(
            Role::least_that_may(Permission::write(Resource::Dataset)),
            Role::Editor
        );
    }
}
