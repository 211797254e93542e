//! The crate against real databases, folders and files.
#![allow(clippy::unwrap_used, missing_docs)]

mod versions;
mod watching;
