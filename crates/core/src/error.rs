//! One table of error codes for the whole house.
//!
//! Each crate's `Error` maps its variants to a [`Code`] once, by a total `match`; the server maps codes to HTTP,
//! MLflow and exit statuses by one table per protocol.

use serde::{Deserialize, Serialize};

/// What kind of thing went wrong, in the terms of a caller who wants to react.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request itself is wrong; repeating it will not help.
    InvalidArgument,
    /// Nobody known asks.
    Unauthenticated,
    /// The one who asks may not.
    PermissionDenied,
    /// The thing named is not there (or not visible to the one who asks).
    NotFound,
    /// The thing to create is there already.
    AlreadyExists,
    /// Someone else changed it first; read again and retry.
    Conflict,
    /// The state of things forbids it now; the message says what must hold first.
    FailedPrecondition,
    /// A check or gate said no.
    Refused,
    /// A limit (size, count, rate, queue) is reached.
    ResourceExhausted,
    /// The disk or store is full; nothing was half written.
    StorageFull,
    /// Took longer than its limit.
    DeadlineExceeded,
    /// Someone asked for it to stop.
    Cancelled,
    /// A part this depends on does not answer now; retrying may help.
    Unavailable,
    /// Known, but not offered here.
    Unsupported,
    /// Stored data does not match its hash, chain or schema.
    DataLoss,
    /// A bug of ours or a failure without a better name.
    Internal,
}

impl Code {
    /// What an error of the system means for who wanted to write or read: [`StorageFull`](Self::StorageFull) when the
    /// disk, a quota or a limit on file sizes (`ulimit -f`) refuses more bytes; else nothing better than
    /// [`Internal`](Self::Internal).
    #[must_use]
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::StorageFull,
            _ => Self::Internal,
        }
    }

    /// How to mend an error of the system, where we know it: a disk that refuses more bytes wants some freed.
    #[must_use]
    pub fn cure_of_io(error: &std::io::Error) -> Option<String> {
        (Self::of_io(error) == Self::StorageFull)
            .then(|| "free some space on the disk and try again; nothing was half written".to_owned())
    }

    /// The stable text of this code, as shown in every error body.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Conflict => "conflict",
            Self::FailedPrecondition => "failed_precondition",
            Self::Refused => "refused",
            Self::ResourceExhausted => "resource_exhausted",
            Self::StorageFull => "storage_full",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Cancelled => "cancelled",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::DataLoss => "data_loss",
            Self::Internal => "internal",
        }
    }
}

/// An error that knows its [`Code`], and where it can, its place and its cure.
///
/// The display text says what failed (a short fragment, values quoted); `location` says where (file, line, column,
/// row), `hint` says how to mend it.
pub trait Coded: std::error::Error {
    /// What a caller may react to.
    fn code(&self) -> Code;

    /// Where: `everloop.yaml:12:5`, `row 17, column "dest"`.
    fn location(&self) -> Option<String> {
        None
    }

    /// How to mend it, as one sentence in the imperative.
    fn hint(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    #[test]
    fn whatever_refuses_more_bytes_is_a_full_store() {
        for kind in [
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::FileTooLarge,
        ] {
            assert_eq!(Code::of_io(&Error::from(kind)), Code::StorageFull, "{kind}");
            assert!(Code::cure_of_io(&Error::from(kind)).is_some(), "{kind}");
        }
        let other = Error::from(ErrorKind::NotFound);
        assert_eq!(
            (Code::of_io(&other), Code::cure_of_io(&other)),
            (Code::Internal, None)
        );
    }
}
