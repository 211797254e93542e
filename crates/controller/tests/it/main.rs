//! The laws of the loop, over real stores and real pipelines.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod house;
mod pushes;
mod releases;
mod replay;
mod triggers;
