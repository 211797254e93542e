//! What can go wrong while checking. That a check says no is a result, not an error.

use everloop_core::{Code, Coded};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a suite or gate can't be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Predictions and truths differ in number.
    #[error("{what} has {found} rows where the truth has {expected}")]
    Unequal {
        /// Which side differs.
        what: String,
        /// Its rows.
        found: usize,
        /// The truth's rows.
        expected: usize,
    },
    /// The query engine failed.
    #[error(transparent)]
    Tables(#[from] everloop_tables::Error),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] everloop_db::Error),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] everloop_ledger::Error),
    /// A stored report does not read.
    #[error("stored check report is damaged")]
    Damaged(#[source] serde_json::Error),
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Unequal { .. } => Code::InvalidArgument,
            Self::Tables(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Ledger(error) => error.code(),
            Self::Damaged(_) => Code::DataLoss,
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::Tables(error) => error.location(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Tables(error) => error.hint(),
            Self::Db(error) => error.hint(),
            _ => None,
        }
    }
}
