//! The loop: triggers, gates, rollouts, retraining, decisions.
//!
//! A trigger starts a pipeline run, tells the webhooks, or starts a *retraining*: a row with a state machine that goes from queued over training, judging and rolling
//! out to done. [`Controller::tick`] takes every step that is due and writes it with its decision in one transaction;
//! what it needs it reads again from the stores, so any process may take the next step, and a killed one loses none.
//! Nothing is promoted, refused or taken back without a [`Decision`] that holds the numbers it rests on.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod advance;
mod collecting;
mod controller;
mod decisions;
mod error;
mod firing;
mod made;
mod manual;
mod project;
mod pushes;
mod registering;
mod releases;
mod retrainings;
mod runs;
mod schema;
mod scoring;
mod triggers;
mod watching;
mod why;

pub use collecting::{Collection, release_copied};
pub use controller::{Controller, Parts};
pub use decisions::{Decision, decisions, find as find_decision};
pub use error::{Error, Result};
pub use manual::Release;
pub use project::ProjectFile;
pub use pushes::{Push, SeenPush, pushes, record_push};
pub use retrainings::{Outcome, Retraining, State, list as retrainings};
pub use schema::MIGRATIONS;
pub use why::{Link, Why};
