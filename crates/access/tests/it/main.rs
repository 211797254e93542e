//! The crate against real databases.
#![allow(clippy::unwrap_used, missing_docs)]

mod tokens;
