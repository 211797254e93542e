//! What can go wrong around deliveries. That a receiver says no is a row, not an error.

use everloop_core::{Code, Coded};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why deliveries can't be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no delivery of this name.
    #[error("there is no delivery \"{id}\"")]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// Only messages that were given up are sent again by hand.
    #[error("delivery \"{id}\" is {state}")]
    NotDead {
        /// The delivery.
        id: String,
        /// Where it stands.
        state: &'static str,
    },
    /// A stored row does not read.
    #[error("stored delivery is damaged: state \"{0}\"")]
    Damaged(String),
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
            Self::Unknown { .. } => Code::NotFound,
            Self::NotDead { .. } => Code::FailedPrecondition,
            Self::Damaged(_) => Code::DataLoss,
            Self::Db(error) => error.code(),
            Self::Ledger(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => Some("\"everloop monitor deliveries\" lists them".to_owned()),
            Self::NotDead { .. } => Some("only dead deliveries are sent again by hand".to_owned()),
            Self::Damaged(_) => None,
            Self::Db(error) => error.hint(),
            Self::Ledger(error) => error.hint(),
        }
    }
}
