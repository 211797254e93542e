//! What can go wrong in the registry.

use everloop_core::{AliasName, Code, Coded, ModelName};

use crate::VersionNumber;
use crate::versions::State;

/// The result of a registry call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A registry call failed; nothing of its transaction was kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No model has this name.
    #[error("model \"{0}\" is not there")]
    NoModel(ModelName),
    /// The name is taken.
    #[error("model \"{0}\" exists already")]
    ModelExists(ModelName),
    /// The model still has an alias.
    #[error("model \"{model}\" can't be deleted: alias \"{alias}\" points at version {version}")]
    ModelInUse {
        /// The model.
        model: ModelName,
        /// One of its aliases.
        alias: AliasName,
        /// Where that points.
        version: VersionNumber,
    },
    /// The model has no such version.
    #[error("model \"{model}\" has no version {version}")]
    NoVersion {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
    },
    /// An alias points at the version.
    #[error("version {version} of model \"{model}\" can't be deleted: alias \"{alias}\" points at it")]
    VersionInUse {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
        /// One of the aliases.
        alias: AliasName,
    },
    /// The version is in a state in which this can't be done.
    #[error("version {version} of model \"{model}\" is {}", .found.as_str())]
    VersionState {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionNumber,
        /// Its state.
        found: State,
    },
    /// The model has no such alias.
    #[error("model \"{model}\" has no alias \"{alias}\"")]
    NoAlias {
        /// The model.
        model: ModelName,
        /// The alias.
        alias: AliasName,
    },
    /// The name means something else already.
    #[error("\"{0}\" can't be an alias: it names a version by itself")]
    ReservedAlias(AliasName),
    /// Someone moved the alias first.
    #[error(
        "alias \"{alias}\" of model \"{model}\" points at {}, not at {} as expected",
        place(.found), place(.expected)
    )]
    AliasMoved {
        /// The model.
        model: ModelName,
        /// The alias.
        alias: AliasName,
        /// Where it was expected to point.
        expected: Option<VersionNumber>,
        /// Where it points.
        found: Option<VersionNumber>,
    },
    /// No such tag.
    #[error("{of} has no tag \"{key}\"")]
    NoTag {
        /// Whose tag.
        of: String,
        /// The tag.
        key: String,
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
    /// A text or document is too long.
    #[error("{what} has a length of {found}, at most {limit} is taken")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// How much is taken.
        limit: usize,
        /// How much came.
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
    /// A path stands twice among a version's files.
    #[error("file \"{0}\" stands twice in one version")]
    DuplicateFile(String),
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
}

fn place(version: &Option<VersionNumber>) -> String {
    version.map_or_else(|| "nothing".to_owned(), |version| format!("version {version}"))
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::NoModel(_) | Self::NoVersion { .. } | Self::NoAlias { .. } | Self::NoTag { .. } => {
                Code::NotFound
            }
            Self::ModelExists(_) => Code::AlreadyExists,
            Self::ModelInUse { .. } | Self::VersionInUse { .. } => Code::FailedPrecondition,
            Self::VersionState { .. } => Code::FailedPrecondition,
            Self::AliasMoved { .. } => Code::Conflict,
            Self::ReservedAlias(_) | Self::InvalidText { .. } => Code::InvalidArgument,
            Self::TooLong { .. } | Self::TooMany { .. } | Self::DuplicateFile(_) => Code::InvalidArgument,
            Self::Damaged { .. } => Code::DataLoss,
            Self::Db(error) => error.code(),
            Self::Ledger(error) => error.code(),
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::Db(error) => error.location(),
            Self::Ledger(error) => error.location(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::ModelExists(_) => "take another name, or make a version of the model that is there",
            Self::ModelInUse { .. } => "remove the model's aliases first",
            Self::VersionInUse { .. } => "move or remove the alias first",
            Self::VersionState {
                found: State::Pending,
                ..
            } => "wait until the version is ready",
            Self::VersionState {
                found: State::Failed, ..
            } => "take another version; this one could not be loaded",
            Self::VersionState {
                found: State::Ready, ..
            } => "a ready version does not change; make a new one",
            Self::ReservedAlias(_) => "take a name that is neither \"latest\" nor \"v\" and a number",
            Self::AliasMoved { .. } => "look where it points now, then decide again",
            Self::TooMany { .. } => "pack the files",
            Self::Damaged { .. } => "check the store (everloop admin verify), then restore a backup",
            Self::Db(error) => return error.hint(),
            Self::Ledger(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
