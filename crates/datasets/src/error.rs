//! What can go wrong with data.

use everloop_core::{Code, Coded, DatasetName, Timestamp};
use std::path::PathBuf;

use crate::VersionRef;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a dataset can't be read, versioned or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No dataset has this name.
    #[error("no dataset is called \"{name}\"")]
    NoSuchDataset {
        /// The name asked for.
        name: DatasetName,
        /// The names there are.
        known: Vec<String>,
    },
    /// The dataset has no such version.
    #[error("dataset \"{name}\" has no version {wanted}")]
    NoSuchVersion {
        /// The dataset.
        name: DatasetName,
        /// What was asked for.
        wanted: String,
    },
    /// The version was deleted.
    #[error("{version} was deleted at {at}")]
    Deleted {
        /// The version.
        version: VersionRef,
        /// When.
        at: Timestamp,
    },
    /// The newest version is what everything reads.
    #[error("{name}@{number} is the newest version and is not deleted")]
    NewestVersion {
        /// The dataset.
        name: DatasetName,
        /// The version.
        number: u64,
    },
    /// No file matches the dataset's paths.
    #[error("dataset \"{name}\": no file matches {}", quoted(paths))]
    NoFiles {
        /// The dataset.
        name: DatasetName,
        /// Its paths.
        paths: Vec<String>,
        /// The folder they are read from.
        root: PathBuf,
    },
    /// A glob that is none.
    #[error("dataset \"{name}\": \"{pattern}\" is not a valid glob: {problem}")]
    BadGlob {
        /// The dataset.
        name: DatasetName,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A path that leads out of the project's folder.
    #[error("dataset \"{name}\": path \"{path}\" leads out of the project's folder")]
    Outside {
        /// The dataset.
        name: DatasetName,
        /// The path.
        path: String,
    },
    /// A file changed while it was read.
    #[error("file \"{}\" changed while it was being read", path.display())]
    ChangedWhileRead {
        /// The file.
        path: PathBuf,
    },
    /// A file on disk differs and would be lost.
    #[error("\"{}\" differs from the version and would be overwritten", path.display())]
    WouldOverwrite {
        /// The file.
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
    /// The folder can't be watched.
    #[error("can't watch \"{}\" for new files", path.display())]
    Watch {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: notify::Error,
    },
    /// A stored document does not read.
    #[error("stored {what} is damaged: {problem}")]
    Damaged {
        /// Which document.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file does not hold a table.
    #[error("file \"{path}\" of dataset \"{name}\"")]
    Unreadable {
        /// The dataset.
        name: DatasetName,
        /// The file.
        path: String,
        /// What is wrong with it.
        source: everloop_tables::Error,
    },
    /// A query or profile failed.
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

fn quoted(paths: &[String]) -> String {
    paths
        .iter()
        .map(|path| format!("\"{path}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::NoSuchDataset { .. } | Self::NoSuchVersion { .. } => Code::NotFound,
            Self::NoFiles { .. }
            | Self::WouldOverwrite { .. }
            | Self::Deleted { .. }
            | Self::NewestVersion { .. } => Code::FailedPrecondition,
            Self::BadGlob { .. } | Self::Outside { .. } => Code::InvalidArgument,
            Self::ChangedWhileRead { .. } => Code::Conflict,
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => Code::NotFound,
                _ => Code::of_io(source),
            },
            Self::Watch { .. } => Code::Unavailable,
            Self::Damaged { .. } => Code::DataLoss,
            Self::Unreadable { source, .. } | Self::Tables(source) => source.code(),
            Self::Objects(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Ledger(error) => error.code(),
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::NoFiles { root, .. } => Some(root.display().to_string()),
            Self::Unreadable { source, .. } | Self::Tables(source) => source.location(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchDataset { name, known } => {
                everloop_core::did_you_mean(name.as_str(), known.iter().map(String::as_str))
                    .or_else(|| Some("name one under \"datasets\" in everloop.yaml".to_owned()))
            }
            Self::NoSuchVersion { .. } | Self::Deleted { .. } => {
                Some("\"everloop data log\" lists the versions".to_owned())
            }
            Self::NewestVersion { .. } => {
                Some("take a snapshot of other files first; then this one can go".to_owned())
            }
            Self::NoFiles { .. } => {
                Some("check the path in everloop.yaml, or put the first file there".to_owned())
            }
            Self::WouldOverwrite { .. } => Some("check out into another folder, or pass --force".to_owned()),
            Self::ChangedWhileRead { .. } => {
                Some("write to a temporary name and rename it when the file is complete".to_owned())
            }
            Self::Unreadable { source, .. } | Self::Tables(source) => source.hint(),
            Self::Io { source, .. } => Code::cure_of_io(source),
            Self::Objects(error) => error.hint(),
            Self::Db(error) => error.hint(),
            Self::Ledger(error) => error.hint(),
            _ => None,
        }
    }
}
