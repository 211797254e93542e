//! Why the program's stores can't be opened.

use everloop_core::{Code, Coded};
use everloop_webhooks::UnknownAllowance;
use std::path::PathBuf;

/// Why the stores can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The home folder can't be made.
    #[error("can't make the folder \"{}\"", path.display())]
    Home {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database can't be opened.
    #[error(transparent)]
    Db(#[from] everloop_db::Error),
    /// The object store can't be opened.
    #[error(transparent)]
    Objects(#[from] everloop_objects::Error),
    /// The query engine can't be made.
    #[error(transparent)]
    Tables(#[from] everloop_tables::Error),
    /// The prediction log can't be opened.
    #[error(transparent)]
    Serving(#[from] everloop_serving::Error),
    /// What webhooks may reach is not what we know.
    #[error(transparent)]
    Webhooks(#[from] UnknownAllowance),
}

impl Coded for OpenError {
    fn code(&self) -> Code {
        match self {
            Self::Home { .. } => Code::FailedPrecondition,
            Self::Db(error) => error.code(),
            Self::Objects(error) => error.code(),
            Self::Tables(error) => error.code(),
            Self::Serving(error) => error.code(),
            Self::Webhooks(_) => Code::InvalidArgument,
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::Home { .. } | Self::Webhooks(_) => None,
            Self::Db(error) => error.location(),
            Self::Objects(error) => error.location(),
            Self::Tables(error) => error.location(),
            Self::Serving(error) => error.location(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Home { .. } => Some("choose another folder with --home".to_owned()),
            Self::Db(error) => error.hint(),
            Self::Objects(error) => error.hint(),
            Self::Tables(error) => error.hint(),
            Self::Serving(error) => error.hint(),
            Self::Webhooks(_) => Some("give http, private, or both with a comma between them".to_owned()),
        }
    }
}
