//! What can go wrong with pipelines as such; what goes wrong in one stage is a [`Failure`](crate::Failure).

use std::path::PathBuf;

use everloop_core::{Code, Coded, PipelineRunId, ProjectName, StageName};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a pipeline can't be planned, run or shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to run.
    #[error("project \"{0}\" has no stages")]
    NoStages(ProjectName),
    /// No stage has this name.
    #[error("no stage is called \"{stage}\"")]
    NoSuchStage {
        /// The name asked for.
        stage: StageName,
        /// The names there are.
        known: Vec<StageName>,
    },
    /// No run has this id.
    #[error("no pipeline run \"{0}\"")]
    NoSuchRun(PipelineRunId),
    /// An override of a parameter that no stage reads.
    #[error("no stage to run reads the parameter \"{param}\"")]
    UnknownParam {
        /// The parameter.
        param: String,
        /// Those that are read.
        known: Vec<String>,
    },
    /// The stages of the project wait for each other.
    #[error("stages wait for each other: {0}")]
    Cycle(everloop_project::Cycle),
    /// Another worker took the workspace over.
    #[error("another worker took over pipeline run \"{0}\"")]
    TakenOver(PipelineRunId),
    /// The run has ended; an end is final.
    #[error("pipeline run \"{run}\" has ended ({state})")]
    Ended {
        /// The run.
        run: PipelineRunId,
        /// How.
        state: &'static str,
    },
    /// The workspace is not a folder.
    #[error("the workspace \"{}\" is not a folder", path.display())]
    NoWorkspace {
        /// The path.
        path: PathBuf,
    },
    /// The workspace's path can't be stored.
    #[error("the workspace \"{}\" has a path that is not text", path.display())]
    WorkspaceName {
        /// The path.
        path: PathBuf,
    },
    /// A file can't be read or written.
    #[error("can't {action} \"{}\"", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A stored document does not read.
    #[error("stored {what} is damaged: {problem}")]
    Damaged {
        /// Which document.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A part of ours panicked.
    #[error("a task of the worker panicked: {0}")]
    Panicked(String),
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] everloop_objects::Error),
    /// Tracking failed.
    #[error(transparent)]
    Tracking(#[from] everloop_tracking::Error),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] everloop_ledger::Error),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] everloop_db::Error),
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::NoStages(_) => Code::FailedPrecondition,
            Self::NoSuchStage { .. } | Self::NoSuchRun(_) => Code::NotFound,
            Self::UnknownParam { .. } | Self::Cycle(_) | Self::WorkspaceName { .. } => Code::InvalidArgument,
            Self::TakenOver(_) => Code::Conflict,
            Self::Ended { .. } | Self::NoWorkspace { .. } => Code::FailedPrecondition,
            Self::Io { source, .. } => io_code(source),
            Self::Damaged { .. } => Code::DataLoss,
            Self::Panicked(_) => Code::Internal,
            Self::Objects(error) => error.code(),
            Self::Tracking(error) => error.code(),
            Self::Ledger(error) => error.code(),
            Self::Db(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoStages(_) => Some("name one under \"stages\" in everloop.yaml".to_owned()),
            Self::NoSuchStage { stage, known } => {
                everloop_core::did_you_mean(stage.as_str(), known.iter().map(StageName::as_str))
            }
            Self::UnknownParam { param, known } => {
                everloop_core::did_you_mean(param, known.iter().map(String::as_str))
                    .or_else(|| Some("name it under \"params\" of the stage that reads it".to_owned()))
            }
            Self::Cycle(cycle) => cycle.hint(),
            Self::Io { source, .. } => Code::cure_of_io(source),
            Self::Objects(error) => error.hint(),
            Self::Tracking(error) => error.hint(),
            Self::Ledger(error) => error.hint(),
            Self::Db(error) => error.hint(),
            _ => None,
        }
    }
}

/// What kind of trouble with a file it is.
pub(crate) fn io_code(error: &std::io::Error) -> Code {
    match error.kind() {
        std::io::ErrorKind::NotFound => Code::NotFound,
        std::io::ErrorKind::PermissionDenied => Code::PermissionDenied,
        _ => Code::of_io(error),
    }
}
