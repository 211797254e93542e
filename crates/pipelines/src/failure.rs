//! Why one stage failed.

use std::path::PathBuf;
use std::time::Duration;

use everloop_core::{Code, Coded};

use crate::error::io_code;

/// Why a stage failed. Its text says nothing of the stage's name; what is recorded does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A command ended with a code other than 0.
    #[error("the command ended with exit code {0}")]
    Exit(i32),
    /// A command was ended by a signal.
    #[error("the command was ended by signal {signal} ({name})")]
    Signal {
        /// Its number.
        signal: i32,
        /// Its name.
        name: &'static str,
    },
    /// The stage took too long.
    #[error("it was stopped after its timeout of {}", shown(*.0))]
    Timeout(Duration),
    /// Someone cancelled the run.
    #[error("it was cancelled")]
    Cancelled,
    /// The worker is shutting down; another attempt will follow.
    #[error("the worker shut down")]
    Stopped,
    /// The worker died while the stage ran.
    #[error("its worker died while it ran ({attempts} attempts)")]
    WorkerLost {
        /// Attempts made so far.
        attempts: u32,
    },
    /// What it reads is not there.
    #[error("dependency \"{0}\" is missing")]
    MissingDep(String),
    /// It did not write what it says it writes.
    #[error("output \"{0}\" was not written")]
    MissingOut(String),
    /// An out lies, through a link, outside the project's folder.
    #[error("output \"{0}\" leads out of the project's folder through a link")]
    OutOutside(String),
    /// A file of parameters can't be read.
    #[error("parameters in \"{file}\" can't be read: {problem}")]
    Params {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A parameter is not in its file.
    #[error("parameter \"{key}\" is not in {place}")]
    NoParam {
        /// Its name.
        key: String,
        /// The file, or the project file.
        place: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A metrics file can't be read.
    #[error("metrics in \"{file}\" can't be read: {problem}")]
    Metrics {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The stage asks for an engine that this worker can't reach.
    #[error("it runs on \"{0}\", which this worker can't reach")]
    Engine(&'static str),
    /// A dataset named by the stage is not in the project.
    #[error("no dataset is called \"{0}\"")]
    NoDataset(String),
    /// A metric that these rows or this model have no value for.
    #[error("metric \"{metric}\"")]
    Metric {
        /// Its name.
        metric: &'static str,
        /// Why.
        source: everloop_stats::Error,
    },
    /// The rows don't fit the model.
    #[error("{0}")]
    Rows(String),
    /// A command can't be started.
    #[error("the command can't be started")]
    Spawn(#[source] std::io::Error),
    /// No access for the stage's processes.
    #[error("no access to the server for the stage: {0}")]
    Access(String),
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
    /// A part of ours panicked.
    #[error("the stage's own code panicked: {0}")]
    Panicked(String),
    /// A query failed.
    #[error(transparent)]
    Tables(Box<everloop_tables::Error>),
    /// A model can't be trained, read or asked.
    #[error(transparent)]
    Runtime(Box<everloop_runtime::Error>),
    /// A dataset can't be read or versioned.
    #[error(transparent)]
    Datasets(Box<everloop_datasets::Error>),
    /// The object store failed.
    #[error(transparent)]
    Objects(Box<everloop_objects::Error>),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] everloop_db::Error),
}

macro_rules! from_boxed {
    ($($variant:ident: $error:ty,)*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::$variant(Box::new(error))
            }
        }
    )*};
}

// Boxed, for they are many times as large as the rest and nearly never there.
from_boxed! {
    Tables: everloop_tables::Error,
    Runtime: everloop_runtime::Error,
    Datasets: everloop_datasets::Error,
    Objects: everloop_objects::Error,
}

fn shown(span: Duration) -> String {
    if span.subsec_millis() == 0 {
        format!("{}s", span.as_secs())
    } else {
        format!("{}ms", span.as_millis())
    }
}

impl Failure {
    /// Whether another attempt could end otherwise: not when the project itself is wrong, and not when someone asked
    /// for the end.
    pub(crate) fn may_pass_next_time(&self) -> bool {
        match self {
            Self::Cancelled
            | Self::Stopped
            | Self::WorkerLost { .. }
            | Self::MissingDep(_)
            | Self::OutOutside(_)
            | Self::Params { .. }
            | Self::NoParam { .. }
            | Self::Engine(_)
            | Self::NoDataset(_) => false,
            Self::Exit(_)
            | Self::Signal { .. }
            | Self::Timeout(_)
            | Self::MissingOut(_)
            | Self::Metrics { .. }
            | Self::Metric { .. }
            | Self::Rows(_)
            | Self::Spawn(_)
            | Self::Access(_)
            | Self::Io { .. }
            | Self::Panicked(_)
            | Self::Tables(_)
            | Self::Runtime(_)
            | Self::Datasets(_)
            | Self::Objects(_)
            | Self::Db(_) => true,
        }
    }

    /// The text with those of its causes.
    pub(crate) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let more = error.to_string();
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            cause = error.source();
        }
        text
    }
}

impl Coded for Failure {
    fn code(&self) -> Code {
        match self {
            Self::Exit(_) | Self::Signal { .. } => Code::FailedPrecondition,
            Self::Timeout(_) => Code::DeadlineExceeded,
            Self::Cancelled => Code::Cancelled,
            Self::Stopped | Self::WorkerLost { .. } | Self::Access(_) => Code::Unavailable,
            Self::MissingDep(_) | Self::MissingOut(_) => Code::FailedPrecondition,
            Self::OutOutside(_)
            | Self::Params { .. }
            | Self::NoParam { .. }
            | Self::Metrics { .. }
            | Self::Metric { .. }
            | Self::Rows(_) => Code::InvalidArgument,
            Self::Engine(_) => Code::Unsupported,
            Self::NoDataset(_) => Code::NotFound,
            Self::Spawn(source) | Self::Io { source, .. } => io_code(source),
            Self::Panicked(_) => Code::Internal,
            Self::Tables(error) => error.code(),
            Self::Runtime(error) => error.code(),
            Self::Datasets(error) => error.code(),
            Self::Objects(error) => error.code(),
            Self::Db(error) => error.code(),
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::Tables(error) => error.location(),
            Self::Runtime(error) => error.location(),
            Self::Datasets(error) => error.location(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Exit(_) | Self::Signal { .. } => {
                Some("the last lines of the stage's log say what happened".to_owned())
            }
            Self::Timeout(_) => Some("give it more time with run: {timeout: ...}".to_owned()),
            Self::MissingDep(path) => Some(format!(
                "put \"{path}\" there, name the stage that writes it, or remove it from deps"
            )),
            Self::MissingOut(path) => Some(format!(
                "check that the command writes \"{path}\", or remove it from outs"
            )),
            Self::OutOutside(_) => Some("write to a folder of the project instead of a link".to_owned()),
            Self::NoParam { key, known, .. } => {
                everloop_core::did_you_mean(key, known.iter().map(String::as_str))
            }
            Self::Metrics { .. } => Some("write JSON, YAML or TOML with numbers in it".to_owned()),
            Self::Engine(_) => Some("write run: {on: local}, or start a worker for that engine".to_owned()),
            Self::NoDataset(_) => Some("name it under \"datasets\" in everloop.yaml".to_owned()),
            Self::Spawn(source) | Self::Io { source, .. } => Code::cure_of_io(source),
            Self::Tables(error) => error.hint(),
            Self::Runtime(error) => error.hint(),
            Self::Datasets(error) => error.hint(),
            Self::Objects(error) => error.hint(),
            Self::Db(error) => error.hint(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_tell_what_happened() {
        assert_eq!(
            Failure::MissingOut("model.onnx".to_owned()).to_string(),
            "output \"model.onnx\" was not written"
        );
        assert_eq!(
            Failure::Timeout(Duration::from_millis(1500)).to_string(),
            "it was stopped after its timeout of 1500ms"
        );
        let failure = Failure::Spawn(std::io::Error::other("no shell"));
        assert_eq!(failure.with_causes(), "the command can't be started: no shell");
    }
}
