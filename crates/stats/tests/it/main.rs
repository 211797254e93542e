//! One binary: figures against recorded tools, laws as properties, and long-run error rates by simulation.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line it unwrapped on"
)]

mod drift;
mod fairness;
mod fdr;
mod fixture;
mod intervals;
mod laws;
mod metrics;
mod paired;
mod sequential;
