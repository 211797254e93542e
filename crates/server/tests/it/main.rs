//! The whole surface, asked in process: the router that a socket would lead to, on real stores.
#![allow(clippy::unwrap_used, missing_docs)]

mod answers;
mod collecting;
mod controller;
mod coverage;
mod git;
mod house;
mod malformed;
mod openapi;
mod pipelines;
mod predictions;
mod resources;
mod watching;
mod webhooks;
mod windows;
