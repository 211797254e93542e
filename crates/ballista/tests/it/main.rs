//! The same questions to the local engine and to a cluster on loopback.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line it unwrapped on"
)]

mod answers;
mod refusals;
