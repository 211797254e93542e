//! Models of the real libraries, hostile files, the learner, and what Python makes of its files.
#![allow(clippy::unwrap_used, reason = "a test says by failing what does not hold")]

mod fixtures;
mod hostile;
mod learner;
mod python;
mod support;
