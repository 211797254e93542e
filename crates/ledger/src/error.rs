//! What can go wrong with the ledger.

use everloop_core::{Code, Coded, IdempotencyKey};

/// The result of a ledger call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A ledger call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] everloop_db::Error),
    /// An event's subject holds what no subject may.
    #[error("\"{subject}\" can't be an event's subject: {problem}")]
    InvalidSubject {
        /// The subject, shortened and escaped.
        subject: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An event's payload is too large; the bytes belong into an object, the event refers to it.
    #[error("payload of \"{kind}\" has {bytes} bytes, {limit} are allowed")]
    PayloadTooLarge {
        /// The event's kind.
        kind: &'static str,
        /// Its payload's length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// A stored row can't be read: someone changed it behind our back. `verify` says which is the first.
    #[error("ledger row {seq} can't be read: {problem}")]
    Unreadable {
        /// The row.
        seq: i64,
        /// What is wrong with it.
        problem: String,
    },
    /// The row that counts places is gone: someone changed it behind our back.
    #[error("the ledger's counter is gone")]
    NoCounter,
    /// The same idempotency key came with another request.
    #[error("idempotency key \"{key}\" was used for another request")]
    KeyReused {
        /// The key.
        key: IdempotencyKey,
    },
    /// A response can't be stored or read as JSON.
    #[error("the response stored for idempotency key \"{key}\" can't be used: {problem}")]
    Response {
        /// The key.
        key: IdempotencyKey,
        /// Why.
        problem: String,
    },
    /// The file of anchors can't be read or written.
    #[error("anchor file {path}: {problem}")]
    Anchors {
        /// The file.
        path: String,
        /// The line, from 1, when one line is at fault.
        line: Option<usize>,
        /// What is wrong.
        problem: String,
    },
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Db(error) => error.code(),
            Self::InvalidSubject { .. } | Self::PayloadTooLarge { .. } => Code::InvalidArgument,
            Self::Unreadable { .. } | Self::NoCounter => Code::DataLoss,
            Self::KeyReused { .. } => Code::Conflict,
            Self::Response { .. } => Code::Internal,
            Self::Anchors { line: Some(_), .. } => Code::DataLoss,
            Self::Anchors { line: None, .. } => Code::Unavailable,
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::Db(error) => error.location(),
            Self::Unreadable { seq, .. } => Some(format!("ledger row {seq}")),
            Self::Anchors {
                path,
                line: Some(line),
                ..
            } => Some(format!("{path}:{line}")),
            Self::InvalidSubject { .. }
            | Self::PayloadTooLarge { .. }
            | Self::NoCounter
            | Self::KeyReused { .. }
            | Self::Response { .. }
            | Self::Anchors { line: None, .. } => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Db(error) => error.hint(),
            Self::PayloadTooLarge { .. } => {
                Some("store the bytes as an object and refer to its hash".to_owned())
            }
            Self::Unreadable { .. } | Self::NoCounter => Some("run everloop admin verify".to_owned()),
            Self::KeyReused { .. } => Some("choose a new key for a new request".to_owned()),
            Self::InvalidSubject { .. } | Self::Response { .. } | Self::Anchors { .. } => None,
        }
    }
}
