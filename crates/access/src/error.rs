//! What can go wrong when someone asks to do something.

use everloop_core::{Code, Coded};

use crate::{Permission, Role};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why someone may not, or why a token can't be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No credential, or one that is unknown, expired or revoked. Which of these is not told.
    #[error("a valid API token is needed")]
    Unauthenticated,
    /// The role does not hold the permission.
    #[error("role \"{role}\" may not {permission}")]
    Denied {
        /// What the principal is.
        role: Role,
        /// What was asked for.
        permission: Permission,
    },
    /// The credential belongs to another project or run.
    #[error("this token is limited to {scope}")]
    OutOfScope {
        /// The project or run that it is for.
        scope: String,
    },
    /// A label that can't be used.
    #[error("token label \"{label}\" is empty, longer than 128 characters or holds control characters")]
    BadLabel {
        /// The label as given.
        label: String,
    },
    /// No token has this id.
    #[error("no token has the id \"{id}\"")]
    NoSuchToken {
        /// The id as given.
        id: String,
    },
    /// Revoking it would leave nobody who can administer.
    #[error("\"{id}\" is the last token that can administer this server")]
    LastAdmin {
        /// The token's id.
        id: String,
    },
    /// The database failed.
    #[error(transparent)]
    Db(#[from] everloop_db::Error),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] everloop_ledger::Error),
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Denied { .. } | Self::OutOfScope { .. } => Code::PermissionDenied,
            Self::BadLabel { .. } => Code::InvalidArgument,
            Self::NoSuchToken { .. } => Code::NotFound,
            Self::LastAdmin { .. } => Code::FailedPrecondition,
            Self::Db(error) => error.code(),
            Self::Ledger(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unauthenticated => {
                Some("send the header \"Authorization: Bearer <token>\", or set EVERLOOP_TOKEN".to_owned())
            }
            Self::Denied { permission, .. } => Some(format!(
                "ask an administrator for a token with the role \"{}\"",
                Role::least_that_may(*permission)
            )),
            Self::OutOfScope { .. } | Self::NoSuchToken { .. } => None,
            Self::BadLabel { .. } => Some("choose a short label that says who uses the token".to_owned()),
            Self::LastAdmin { .. } => Some("create another admin token first".to_owned()),
            Self::Db(error) => error.hint(),
            Self::Ledger(error) => error.hint(),
        }
    }
}
