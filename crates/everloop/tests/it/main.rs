//! The program as its users meet it: the real binary, in a folder of its own.
#![allow(clippy::unwrap_used, missing_docs)]

mod backup;
mod engine;
mod errors;
mod help;
mod program;
mod project;
mod push;
mod server;
mod space;
mod tls;
