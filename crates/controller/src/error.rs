//! What can go wrong on the way round.

use everloop_core::{Code, Coded, ModelName, Timestamp};
use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a step can't be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The project file is not there or does not read.
    #[error("{words}")]
    Project {
        /// What is wrong with it, with its places.
        words: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The project names no model.
    #[error("project \"{project}\" names no model")]
    NoModel {
        /// The project.
        project: String,
    },
    /// The model has no such version, or none before it.
    #[error("model \"{model}\" has no {wanted}")]
    NoVersion {
        /// The model.
        model: ModelName,
        /// What was asked for.
        wanted: String,
    },
    /// A retraining is under way.
    #[error("retraining \"{id}\" is under way ({state})")]
    Busy {
        /// The retraining.
        id: String,
        /// Where it stands.
        state: &'static str,
    },
    /// Objects are being collected, or copied while nothing may be collected.
    #[error("objects are being collected or backed up, until {until} unless that goes on")]
    Collecting {
        /// When it ends at the latest, if its process died.
        until: Timestamp,
    },
    /// The rows that gates judge on can't be used.
    #[error("can't judge on \"{source_name}\": {problem}")]
    TestRows {
        /// The source of rows.
        source_name: String,
        /// What is wrong with them.
        problem: String,
    },
    /// What was told of a repository is no push.
    #[error("that is no push: {problem}")]
    Push {
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing of this name.
    #[error("nothing is called \"{subject}\"")]
    Unknown {
        /// What was asked about.
        subject: String,
    },
    /// A stored row does not read.
    #[error("stored {what} is damaged: {problem}")]
    Damaged {
        /// Which one.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A file can't be read.
    #[error("can't read \"{}\"", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An out that is not kept as an object was changed after the run that wrote it.
    #[error("\"{}\" was changed since the pipeline wrote it", path.display())]
    OutChanged {
        /// The out.
        path: PathBuf,
    },
    /// A model can't be loaded or asked.
    #[error(transparent)]
    Runtime(#[from] everloop_runtime::Error),
    /// Data failed.
    #[error(transparent)]
    Datasets(#[from] everloop_datasets::Error),
    /// A pipeline failed.
    #[error(transparent)]
    Pipelines(#[from] everloop_pipelines::Error),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] everloop_registry::Error),
    /// Tracking failed.
    #[error(transparent)]
    Tracking(#[from] everloop_tracking::Error),
    /// Serving failed.
    #[error(transparent)]
    Serving(#[from] everloop_serving::Error),
    /// Monitoring failed.
    #[error(transparent)]
    Monitoring(#[from] everloop_monitoring::Error),
    /// A check could not be run.
    #[error(transparent)]
    Checks(#[from] everloop_checks::Error),
    /// Reading tables failed.
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
}

const TEST_ROWS: &str = "name rows with known labels as \"test\" and their truth as \"target\" of the model";
const OUT_CHANGED: &str = "run again, or let the stage keep it (without \"cache: false\")";
const SUBJECTS: &str = "name a model, an endpoint, a version as model@3, or a prediction id";

macro_rules! inner {
    ($error:expr, $method:ident, $($own:pat => $answer:expr),+ $(,)?) => {
        match $error {
            $($own => $answer,)+
            Error::Runtime(error) => error.$method(),
            Error::Datasets(error) => error.$method(),
            Error::Pipelines(error) => error.$method(),
            Error::Registry(error) => error.$method(),
            Error::Tracking(error) => error.$method(),
            Error::Serving(error) => error.$method(),
            Error::Monitoring(error) => error.$method(),
            Error::Checks(error) => error.$method(),
            Error::Tables(error) => error.$method(),
            Error::Objects(error) => error.$method(),
            Error::Db(error) => error.$method(),
            Error::Ledger(error) => error.$method(),
        }
    };
}

impl Coded for Error {
    fn code(&self) -> Code {
        inner!(self, code,
            Error::Project { .. } | Error::TestRows { .. } | Error::Push { .. } => Code::InvalidArgument,
            Error::NoModel { .. } | Error::Busy { .. } | Error::OutChanged { .. } => Code::FailedPrecondition,
            Error::Collecting { .. } => Code::Conflict,
            Error::NoVersion { .. } | Error::Unknown { .. } => Code::NotFound,
            Error::Damaged { .. } => Code::DataLoss,
            Error::Io { source, .. } => Code::of_io(source),
        )
    }

    fn location(&self) -> Option<String> {
        inner!(self, location,
            Error::Project { path, .. } => Some(path.display().to_string()),
            Error::NoModel { .. }
            | Error::Busy { .. }
            | Error::Collecting { .. }
            | Error::TestRows { .. }
            | Error::Push { .. }
            | Error::NoVersion { .. }
            | Error::Unknown { .. }
            | Error::Damaged { .. }
            | Error::OutChanged { .. }
            | Error::Io { .. } => None,
        )
    }

    fn hint(&self) -> Option<String> {
        inner!(self, hint,
            Error::Project { .. } => Some("\"everloop init\" writes one to start from".to_owned()),
            Error::NoModel { .. } => Some("add a \"model\" section to everloop.yaml".to_owned()),
            Error::NoVersion { .. } => Some("\"everloop model show\" lists the versions".to_owned()),
            Error::Busy { .. } => Some("wait for it, or cancel its pipeline run".to_owned()),
            Error::Collecting { .. } => Some("try again when it is over".to_owned()),
            Error::TestRows { .. } => Some(TEST_ROWS.to_owned()),
            Error::Unknown { .. } => Some(SUBJECTS.to_owned()),
            Error::OutChanged { .. } => Some(OUT_CHANGED.to_owned()),
            Error::Push { .. } => Some("name a branch and the full ids of its commits".to_owned()),
            Error::Io { source, .. } => Code::cure_of_io(source),
            Error::Damaged { .. } => None,
        )
    }
}
