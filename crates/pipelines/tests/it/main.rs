//! The crate against real databases, objects, folders and processes.
#![allow(clippy::unwrap_used, missing_docs)]

mod house;

mod builtin;
mod cache;
mod crash;
mod ends;
mod flow;
mod plan;
mod tracking;
