//! Models of the real libraries, hostile files, and the learner.

mod fixtures;
mod support;
