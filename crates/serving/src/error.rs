//! What can go wrong between a request and its answer.

use everloop_core::{Code, Coded, EndpointName};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No endpoint has this name.
    #[error("no endpoint is called \"{name}\"")]
    NoSuchEndpoint {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The endpoint has no version that answers.
    #[error("endpoint \"{name}\" has no version that answers yet")]
    NotReady {
        /// The endpoint.
        name: EndpointName,
    },
    /// The version asked for is not there, or can't be loaded.
    #[error("endpoint \"{name}\" can't answer with version {version}: {problem}")]
    BadVersion {
        /// The endpoint.
        name: EndpointName,
        /// The version asked for.
        version: u64,
        /// Why not.
        problem: String,
    },
    /// The request can't be read.
    #[error("{problem}")]
    BadRequest {
        /// What is wrong with it.
        problem: String,
        /// Where in the body.
        place: Option<String>,
    },
    /// More rows than one request may hold.
    #[error("{rows} rows in one request, at most {most} are allowed")]
    TooManyRows {
        /// Rows asked for.
        rows: usize,
        /// Rows allowed.
        most: usize,
    },
    /// Weights that can't be.
    #[error("weights of endpoint \"{name}\" sum to {sum} hundredths of a percent instead of 10000")]
    BadWeights {
        /// The endpoint.
        name: EndpointName,
        /// Their sum.
        sum: u64,
    },
    /// A rollout runs already.
    #[error("a rollout of version {version} is running on endpoint \"{name}\"")]
    RolloutRunning {
        /// The endpoint.
        name: EndpointName,
        /// The version that is rolled out.
        version: u64,
    },
    /// The rollout was finished or moved on by someone else.
    #[error("rollout \"{id}\" is not at the state that was expected")]
    RolloutMoved {
        /// The rollout.
        id: String,
    },
    /// The prediction log can't be written.
    #[error("can't write the prediction log")]
    Log(#[source] std::io::Error),
    /// A stored document or log does not read.
    #[error("stored {what} is damaged: {problem}")]
    Damaged {
        /// Which one.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The model refused the rows.
    #[error(transparent)]
    Model(#[from] everloop_runtime::Error),
    /// Reading or writing tables failed.
    #[error(transparent)]
    Tables(#[from] everloop_tables::Error),
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] everloop_objects::Error),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] everloop_db::Error),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] everloop_ledger::Error),
    /// A statistic is undefined.
    #[error(transparent)]
    Stats(#[from] everloop_stats::Error),
}

impl Error {
    pub(crate) fn bad(problem: impl Into<String>) -> Self {
        Self::BadRequest {
            problem: problem.into(),
            place: None,
        }
    }

    pub(crate) fn bad_at(problem: impl Into<String>, place: impl Into<String>) -> Self {
        Self::BadRequest {
            problem: problem.into(),
            place: Some(place.into()),
        }
    }
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::NoSuchEndpoint { .. } | Self::BadVersion { .. } => Code::NotFound,
            Self::NotReady { .. } => Code::Unavailable,
            Self::BadRequest { .. } | Self::BadWeights { .. } => Code::InvalidArgument,
            Self::TooManyRows { .. } => Code::ResourceExhausted,
            Self::RolloutRunning { .. } => Code::FailedPrecondition,
            Self::RolloutMoved { .. } => Code::Conflict,
            Self::Log(error) => Code::of_io(error),
            Self::Damaged { .. } => Code::DataLoss,
            Self::Model(error) => error.code(),
            Self::Tables(error) => error.code(),
            Self::Objects(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Ledger(error) => error.code(),
            Self::Stats(error) => error.code(),
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::BadRequest { place, .. } => place.clone(),
            Self::Model(error) => error.location(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchEndpoint { name, known } => {
                everloop_core::did_you_mean(name, known.iter().map(String::as_str))
                    .or_else(|| Some("deploy a model first: everloop deploy".to_owned()))
            }
            Self::NotReady { .. } => Some("deploy a version of its model first: everloop deploy".to_owned()),
            Self::TooManyRows { most, .. } => Some(format!("send at most {most} rows at a time")),
            Self::RolloutRunning { .. } => Some("wait for it, or roll it back first".to_owned()),
            Self::Log(error) => (Code::of_io(error) == Code::StorageFull)
                .then(|| "free some space; no answer is given that could not be logged".to_owned()),
            Self::Model(error) => error.hint(),
            Self::Tables(error) => error.hint(),
            Self::Objects(error) => error.hint(),
            Self::Db(error) => error.hint(),
            Self::Ledger(error) => error.hint(),
            Self::Stats(error) => error.hint(),
            _ => None,
        }
    }
}
