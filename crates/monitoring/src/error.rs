//! What can go wrong while watching. That a window shows a breach is a result, not an error.

use everloop_core::{Code, Coded};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a window can't be judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The prediction log or the reference can't be read.
    #[error("can't read {what}: {problem}")]
    Source {
        /// What was to be read.
        what: &'static str,
        /// Why it can't.
        problem: String,
        /// What kind of failure it is.
        code: Code,
    },
    /// A stored report does not read.
    #[error("stored monitor report is damaged")]
    Damaged(#[source] serde_json::Error),
    /// A statistic failed.
    #[error(transparent)]
    Stats(#[from] everloop_stats::Error),
    /// A check could not be run.
    #[error(transparent)]
    Checks(#[from] everloop_checks::Error),
    /// Reading tables failed.
    #[error(transparent)]
    Tables(#[from] everloop_tables::Error),
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
            Self::Source { code, .. } => *code,
            Self::Damaged(_) => Code::DataLoss,
            Self::Stats(error) => error.code(),
            Self::Checks(error) => error.code(),
            Self::Tables(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Ledger(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Db(error) => error.hint(),
            _ => None,
        }
    }
}
