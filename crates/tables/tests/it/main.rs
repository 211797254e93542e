//! Tables against real files and exact figures.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line it unwrapped on"
)]

mod files;
mod formats;
mod hostile;
mod laws;
mod limits;
mod mixed;
mod objects;
mod order;
mod profile;
mod read_only;
mod s3;
mod sql;
mod stored;
mod support;
mod writing;
