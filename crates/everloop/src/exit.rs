//! How the program ends. Scripts lean on the difference between 1 and 3.

use everloop_core::Code;
use std::process::ExitCode;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// A check or gate said no.
    Refused = 3,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Code> for Exit {
    fn from(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::Unsupported => Self::Usage,
            Code::Refused => Self::Refused,
            Code::Cancelled => Self::Interrupted,
            Code::Unauthenticated
            | Code::PermissionDenied
            | Code::NotFound
            | Code::AlreadyExists
            | Code::Conflict
            | Code::FailedPrecondition
            | Code::ResourceExhausted
            | Code::StorageFull
            | Code::DeadlineExceeded
            | Code::Unavailable
            | Code::DataLoss
            | Code::Internal => Self::Failed,
        }
    }
}
