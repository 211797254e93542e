//! What can go wrong in the store, and what each thing means to a caller.

use everloop_core::{Code, Coded, Hash};
use std::io;
use std::path::Path;

/// What objects answer with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text does not name a store.
    #[error("\"{url}\" is not the address of a store: {problem}")]
    InvalidUrl {
        /// The address without its query and credentials.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An option that the provider does not have.
    #[error("unknown store option \"{key}\" for \"{scheme}\"")]
    UnknownOption {
        /// The option as given.
        key: String,
        /// The scheme of the address.
        scheme: String,
    },
    /// The folder or bucket was written by a newer Everloop.
    #[error("the store at \"{url}\" has format {found}, this program knows {known}")]
    NewerFormat {
        /// Where.
        url: String,
        /// The format on the store.
        found: String,
        /// The newest format that this program can read.
        known: u32,
    },
    /// Someone asked by name for an object that is not there.
    #[error("object {hash} is not in the store")]
    NotFound {
        /// The object.
        hash: Hash,
    },
    /// The bytes are not what their sender declared. Nothing was stored under either name.
    #[error("the bytes hash to {found}, but {declared} was declared")]
    HashMismatch {
        /// What was promised.
        declared: Hash,
        /// What came.
        found: Hash,
    },
    /// The range does not lie inside the object.
    #[error("range {start}..{end} does not lie in object {hash} of {size} bytes")]
    InvalidRange {
        /// The object.
        hash: Hash,
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
        /// Size of the object in bytes.
        size: u64,
    },
    /// The stored bytes of an object do not match its hash.
    #[error("object {hash} is damaged: {problem}")]
    Corrupt {
        /// The object.
        hash: Hash,
        /// What does not match.
        problem: String,
    },
    /// A file of the store that is no object (a pack's index) can't be read.
    #[error("\"{file}\" in the store is damaged: {problem}")]
    CorruptFile {
        /// The file's name inside the store.
        file: String,
        /// What does not match.
        problem: String,
    },
    /// The disk, quota or bucket is full. Nothing half written is visible.
    #[error("no space is left to write \"{place}\"")]
    StorageFull {
        /// What was being written.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier flush to disk failed, so nothing more is written: what the disk holds is uncertain.
    #[error("the store stopped writing because an earlier flush to disk failed")]
    Stopped,
    /// The disk answered with an error.
    #[error("could not {action} \"{place}\"")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes to store could not be read to their end. Nothing was stored.
    #[error("the bytes to store could not be read to their end")]
    Source(#[source] io::Error),
    /// The object store (S3, GCS, Azure) answered with an error.
    #[error("could not {action} \"{place}\" in the object store")]
    Remote {
        /// What was tried.
        action: &'static str,
        /// On which object.
        place: String,
        /// What it said.
        source: object_store::Error,
    },
    /// The program is shutting down.
    #[error("the store is shutting down")]
    ShutDown,
}

impl Error {
    /// Names an error of the disk: full, or anything else.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let place = path.display().to_string();
        if is_full(&source) {
            Self::StorageFull { place, source }
        } else {
            Self::Io {
                action,
                place,
                source,
            }
        }
    }

    /// Names an error of an object store: full, or anything else.
    pub(crate) fn remote(
        action: &'static str,
        place: impl Into<String>,
        source: object_store::Error,
    ) -> Self {
        let place = place.into();
        if says_full(&source) {
            let source = io::Error::new(io::ErrorKind::StorageFull, source);
            Self::StorageFull { place, source }
        } else {
            Self::Remote {
                action,
                place,
                source,
            }
        }
    }
}

/// Whether the disk, a quota or a limit on file sizes (`ulimit -f`) refuses more bytes.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Whether a bucket refuses more bytes. S3's own never fills; MinIO, Ceph and others answer 507 or these codes, which
/// `object_store` passes on as text only.
fn says_full(error: &object_store::Error) -> bool {
    let object_store::Error::Generic { source, .. } = error else {
        return false;
    };
    let text = source.to_string();
    ["status code: 507", "QuotaExceeded", "XMinioStorageFull"]
        .iter()
        .any(|sign| text.contains(sign))
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::InvalidUrl { .. }
            | Self::UnknownOption { .. }
            | Self::HashMismatch { .. }
            | Self::InvalidRange { .. }
            | Self::Source(_) => Code::InvalidArgument,
            Self::NewerFormat { .. } => Code::FailedPrecondition,
            Self::NotFound { .. } => Code::NotFound,
            Self::Corrupt { .. } | Self::CorruptFile { .. } => Code::DataLoss,
            Self::StorageFull { .. } => Code::StorageFull,
            Self::Stopped => Code::Unavailable,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => Code::PermissionDenied,
                // A file of the caller's; one of the store's own is never just "not found".
                io::ErrorKind::NotFound => Code::NotFound,
                _ => Code::Internal,
            },
            Self::Remote { source, .. } => remote_code(source),
            Self::ShutDown => Code::Cancelled,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::InvalidUrl { .. } => {
                "give a folder, or an address such as s3://bucket/prefix, gs://bucket/prefix, az://container/prefix"
            }
            Self::UnknownOption { .. } => {
                "use the names that object_store knows, such as endpoint, region, allow_http"
            }
            Self::NewerFormat { .. } => "use the version of Everloop that wrote it, or a newer one",
            Self::HashMismatch { .. } => "send the bytes again; they changed on their way",
            Self::Source(_) => "send the bytes again from their start",
            Self::Corrupt { .. } => "restore the object from a backup or put the same bytes again",
            Self::CorruptFile { .. } => "restore the file from a backup",
            Self::StorageFull { .. } => {
                "free space or raise the quota, then try again; nothing was half written"
            }
            Self::Stopped => "check the disk, then start Everloop again",
            Self::Remote { source, .. } => match remote_code(source) {
                Code::PermissionDenied | Code::Unauthenticated => {
                    "check the credentials and the bucket's policy"
                }
                Code::NotFound => "check that the bucket exists",
                _ => "check the endpoint and the network, then try again",
            },
            Self::NotFound { .. } | Self::InvalidRange { .. } | Self::Io { .. } | Self::ShutDown => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}

fn remote_code(error: &object_store::Error) -> Code {
    match error {
        object_store::Error::NotFound { .. } => Code::NotFound,
        object_store::Error::PermissionDenied { .. } => Code::PermissionDenied,
        object_store::Error::Unauthenticated { .. } => Code::Unauthenticated,
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
            Code::Unsupported
        }
        // The enum may grow; an answer we don't know is treated as an outage, which callers may retry.
        _ => Code::Unavailable,
    }
}
