//! The project file as its users meet it.
#![allow(clippy::unwrap_used)]

mod documents;
mod errors;
mod grammar;
mod hostile;
mod pipeline;
mod roundtrip;
mod schemas;
mod suites;

use everloop_project::{Invalid, Project};
use std::path::Path;

/// Reads a file whose paths are all there.
fn parse(text: &str) -> Result<Project, Invalid> {
    Project::parse("everloop.yaml", text.as_bytes(), &|_| true)
}

/// Reads a file beside which only `files` are there, and tells what is wrong as a user sees it.
fn problems(text: &str, files: &[&str]) -> String {
    let exists = |path: &Path| files.iter().any(|file| Path::new(file) == path);
    match Project::parse("everloop.yaml", text.as_bytes(), &exists) {
        Ok(_) => "(no problem)".to_owned(),
        Err(invalid) => invalid.render(),
    }
}
