//! What can go wrong in tracking.

use everloop_core::{Code, Coded, InvalidPath, RunId};

use crate::{KeyKind, runs::RunStatus};

/// The result of a tracking call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A tracking call failed; nothing of its transaction was kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not an experiment's id.
    #[error("\"{0}\" is not an experiment id")]
    InvalidExperimentId(String),
    /// The text is not a run's id.
    #[error("\"{0}\" is not a run id")]
    InvalidRunId(String),
    /// No experiment has this id.
    #[error("experiment \"{0}\" is not there")]
    NoExperiment(String),
    /// No experiment has this name.
    #[error("experiment named \"{0}\" is not there")]
    NoExperimentNamed(String),
    /// The name or id is taken, perhaps by a deleted experiment.
    #[error("experiment \"{what}\" exists already{}", if *.deleted { " (deleted)" } else { "" })]
    ExperimentExists {
        /// The name or id.
        what: String,
        /// Whether the one that has it is deleted.
        deleted: bool,
    },
    /// The experiment is deleted, so it takes no changes.
    #[error("experiment \"{0}\" is deleted")]
    ExperimentDeleted(String),
    /// The experiment to restore is not deleted.
    #[error("experiment \"{0}\" is not deleted")]
    ExperimentNotDeleted(String),
    /// No run has this id.
    #[error("run \"{0}\" is not there")]
    NoRun(RunId),
    /// A run with this id exists already.
    #[error("run \"{0}\" exists already")]
    RunExists(RunId),
    /// The run is deleted, so it takes no changes.
    #[error("run \"{0}\" is deleted")]
    RunDeleted(RunId),
    /// The run to restore is not deleted.
    #[error("run \"{0}\" is not deleted")]
    RunNotDeleted(RunId),
    /// The run has ended already, in another way than asked for.
    #[error("run \"{run}\" has ended already as {found}")]
    RunEnded {
        /// The run.
        run: RunId,
        /// How it ended.
        found: RunStatus,
    },
    /// The status does not end a run.
    #[error("a run can't end as {0}")]
    NotAnEnd(RunStatus),
    /// The run's name and its tag `mlflow.runName` differ.
    #[error("run name \"{name}\" and tag mlflow.runName \"{tag}\" differ")]
    TwoRunNames {
        /// The name.
        name: String,
        /// The tag's value.
        tag: String,
    },
    /// A key can't be used as a name.
    #[error("\"{key}\" can't name a {}: {problem}", .kind.as_str())]
    InvalidKey {
        /// What it was to name.
        kind: KeyKind,
        /// The key, cut to 80 characters.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A text can't be used.
    #[error("{what} \"{found}\" can't be used: {problem}")]
    InvalidText {
        /// What the text is.
        what: &'static str,
        /// The text, cut to 80 characters.
        found: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A text is too long.
    #[error("{what} has {found} characters, at most {limit} are taken")]
    TooLong {
        /// What the text is.
        what: &'static str,
        /// How many characters are taken.
        limit: usize,
        /// How many came.
        found: usize,
    },
    /// Too many things in one call.
    #[error("more than {limit} {what} in one call")]
    TooMany {
        /// What.
        what: &'static str,
        /// How many are taken.
        limit: usize,
    },
    /// A metric's time is before 1970.
    #[error("metric \"{key}\" has the negative timestamp {found}")]
    NegativeTimestamp {
        /// The metric.
        key: String,
        /// Milliseconds.
        found: i64,
    },
    /// A param was logged before with another value.
    #[error("param \"{key}\" of run \"{run}\" is \"{logged}\" already and can't become \"{given}\"")]
    ParamChanged {
        /// The run.
        run: RunId,
        /// The param.
        key: String,
        /// Its value, cut to 80 characters.
        logged: String,
        /// The value that was refused, cut to 80 characters.
        given: String,
    },
    /// A param stands twice in one batch.
    #[error("param \"{0}\" stands twice in one batch")]
    DuplicateParam(String),
    /// No such tag.
    #[error("{of} has no tag \"{key}\"")]
    NoTag {
        /// Whose tag: `run "..."` or `experiment "..."`.
        of: String,
        /// The tag.
        key: String,
    },
    /// A text can't be an artifact's path.
    #[error(transparent)]
    InvalidPath(#[from] InvalidPath),
    /// No artifact is there.
    #[error("run \"{run}\" has no artifact \"{path}\"")]
    NoArtifact {
        /// The run.
        run: RunId,
        /// The path.
        path: String,
    },
    /// A folder stands where a file is asked for or to be written.
    #[error("artifact \"{path}\" of run \"{run}\" is a folder")]
    ArtifactIsFolder {
        /// The run.
        run: RunId,
        /// The path.
        path: String,
    },
    /// A file stands where a folder is to be.
    #[error("artifact \"{path}\" of run \"{run}\" is a file")]
    ArtifactIsFile {
        /// The run.
        run: RunId,
        /// The path.
        path: String,
    },
    /// Something stored can't be read back.
    #[error("stored {what} can't be read: {problem}")]
    Damaged {
        /// What.
        what: String,
        /// Why.
        problem: String,
    },
    /// The database failed.
    #[error(transparent)]
    Db(#[from] everloop_db::Error),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] everloop_ledger::Error),
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] everloop_objects::Error),
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::InvalidExperimentId(_) | Self::InvalidRunId(_) => Code::InvalidArgument,
            Self::InvalidKey { .. } | Self::InvalidText { .. } | Self::InvalidPath(_) => {
                Code::InvalidArgument
            }
            Self::TooLong { .. } | Self::TooMany { .. } => Code::InvalidArgument,
            Self::NegativeTimestamp { .. } | Self::DuplicateParam(_) => Code::InvalidArgument,
            Self::NotAnEnd(_) | Self::TwoRunNames { .. } => Code::InvalidArgument,
            Self::ParamChanged { .. } => Code::FailedPrecondition,
            Self::NoExperiment(_) | Self::NoExperimentNamed(_) | Self::NoRun(_) => Code::NotFound,
            Self::NoTag { .. } | Self::NoArtifact { .. } => Code::NotFound,
            Self::ExperimentExists { .. } | Self::RunExists(_) => Code::AlreadyExists,
            Self::ExperimentDeleted(_) | Self::ExperimentNotDeleted(_) => Code::FailedPrecondition,
            Self::RunDeleted(_) | Self::RunNotDeleted(_) | Self::RunEnded { .. } => Code::FailedPrecondition,
            Self::ArtifactIsFolder { .. } | Self::ArtifactIsFile { .. } => Code::FailedPrecondition,
            Self::Damaged { .. } => Code::DataLoss,
            Self::Db(error) => error.code(),
            Self::Ledger(error) => error.code(),
            Self::Objects(error) => error.code(),
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::Db(error) => error.location(),
            Self::Ledger(error) => error.location(),
            Self::Objects(error) => error.location(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::InvalidExperimentId(_) => {
                "use the decimal id that creating it returned, such as \"0\" or \"12\""
            }
            Self::InvalidRunId(_) => {
                "use letters, digits, \"_\" and \"-\", at most 256, starting with a letter or digit"
            }
            Self::ExperimentExists { deleted: true, .. } => "restore it, or take another name",
            Self::ExperimentExists { deleted: false, .. } => "take another name",
            Self::ExperimentDeleted(_) => "restore the experiment first",
            Self::RunDeleted(_) => "restore the run first",
            Self::NotAnEnd(_) => "end it as FINISHED, FAILED or KILLED",
            Self::TwoRunNames { .. } => "give one of them, or the same text twice",
            Self::ParamChanged { .. } => "log it under another name, or in another run",
            Self::TooMany { .. } => "split the call",
            Self::NegativeTimestamp { .. } => "give milliseconds since 1970",
            Self::InvalidPath(_) => "give a relative path of plain names, such as model/MLmodel",
            Self::ArtifactIsFolder { .. } => "name a file inside it, or delete the folder first",
            Self::ArtifactIsFile { .. } => "take another folder, or delete the file first",
            Self::Damaged { .. } => "check the store (everloop admin verify), then restore a backup",
            Self::Db(error) => return error.hint(),
            Self::Ledger(error) => return error.hint(),
            Self::Objects(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
