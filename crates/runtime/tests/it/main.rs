//! Models of the real libraries, hostile files, the learner, and what Python makes of its files.

mod fixtures;
mod hostile;
mod learner;
mod python;
mod support;
