//! The one who acts: known, with a role and a scope.

use everloop_core::{Actor, ProjectName, RunId};

use crate::{Error, Permission, Result, Role, TokenScope};

/// Who a request acts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The name that ledger rows carry.
    pub actor: Actor,
    /// What they may do.
    pub role: Role,
    /// Where they may do it.
    pub scope: TokenScope,
}

impl Principal {
    /// The person at this machine, who may do everything.
    #[must_use]
    pub fn local(login: &str) -> Self {
        Self {
            actor: Actor::Local(login.to_owned()),
            role: Role::Admin,
            scope: TokenScope::Everything,
        }
    }

    /// Whether this principal may do `permission` in `project` (in no project for routes of the house itself).
    ///
    /// # Errors
    /// [`Error::Denied`] when the role lacks it, [`Error::OutOfScope`] when the token is for another project.
    pub fn authorize(&self, permission: Permission, project: Option<&ProjectName>) -> Result<()> {
        if !self.role.may(permission) {
            return Err(Error::Denied {
                role: self.role,
                permission,
            });
        }
        match (&self.scope, project) {
            (TokenScope::Everything, _) => Ok(()),
            (TokenScope::Project { project } | TokenScope::Run { project, .. }, Some(asked))
                if project == asked =>
            {
                Ok(())
            }
            (scope, _) => Err(Error::OutOfScope {
                scope: scope.to_string(),
            }),
        }
    }

    /// Whether this principal may write the run; a stage's token writes its own only.
    ///
    /// # Errors
    /// [`Error::OutOfScope`] when the token is for another run.
    pub fn authorize_run(&self, run: &RunId) -> Result<()> {
        match &self.scope {
            TokenScope::Run { run: own, .. } if own != run => Err(Error::OutOfScope {
                scope: self.scope.to_string(),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resource;

    #[test]
    fn a_project_token_stays_in_its_project() {
        let flights = ProjectName::new("flights").unwrap();
        let other = ProjectName::new("other").unwrap();
        let principal = Principal {
            actor: Actor::Token("ci".to_owned()),
            role: Role::Admin,
            scope: TokenScope::Project {
                project: flights.clone(),
            },
        };
        let read = Permission::read(Resource::Model);
        assert!(principal.authorize(read, Some(&flights)).is_ok());
        assert!(matches!(
            principal.authorize(read, Some(&other)),
            Err(Error::OutOfScope { .. })
        ));
        assert!(matches!(
            principal.authorize(read, None),
            Err(Error::OutOfScope { .. })
        ));
    }

    #[test]
    fn a_stage_token_writes_its_own_run_only() {
        let project = ProjectName::new("flights").unwrap();
        let principal = Principal {
            actor: Actor::Token("stage".to_owned()),
            role: Role::Stage,
            scope: TokenScope::Run {
                project,
                run: RunId::new("a"),
            },
        };
        assert!(principal.authorize_run(&RunId::new("a")).is_ok());
        assert!(principal.authorize_run(&RunId::new("b")).is_err());
    }
}
