//! Models: load, predict, and train the built-in learner.
//!
//! A [`Model`] is read from [`ModelFiles`] (an MLflow model directory, or a lone model file): XGBoost JSON and UBJSON,
//! LightGBM text, ONNX graphs. Nothing is ever unpickled, every file is checked against [`Limits`], and all predictions
//! run in this process. [`train`] grows gradient-boosted trees and saves them as an MLflow directory whose ONNX file
//! Python loads to the same predictions.
//!
//! ```
//! use everloop_core::{Column, Frame, Values};
//! use everloop_runtime::{Limits, Model, TrainOptions, train};
//!
//! let column = |name: &str, values| Column { name: name.to_owned(), values };
//! let port = |row: u32| Some(if row % 3 == 0 { "EWR" } else { "JFK" }.to_owned());
//! let rows = Frame::new(vec![
//!     column("hour", Values::Float((0..600).map(|row| f64::from(row % 24)).collect())),
//!     column("origin", Values::Text((0..600).map(port).collect())),
//!     column("late", Values::Bool((0..600).map(|row| Some(row % 24 > 15 && row % 3 == 0)).collect())),
//! ])?;
//! let trained = train(&rows, None, &TrainOptions::new("late"), &mut |_| {})?;
//!
//! // What is saved is what is served.
//! let files = trained.to_files(Some(&rows))?;
//! let model = Model::load(&files, &Limits::default())?;
//!
//! // Many rows at once, or one after another without building a frame.
//! let probabilities = model.predict(&rows)?.main_score();
//! let mut row = model.row();
//! row.set_number(0, 18.0)?;
//! row.set_text(1, "EWR")?;
//! assert_eq!(row.predict()?.scores[1], probabilities[18]);
//! assert!(probabilities[18] > 0.9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod columns;
mod error;
mod files;
mod format;
mod lightgbm;
mod limits;
mod math;
mod mlmodel;
mod model;
mod onnx;
mod prediction;
mod row;
mod signature;
mod task;
mod train;
mod trees;
mod xgboost;

pub use error::{Error, Result};
pub use files::ModelFiles;
pub use limits::Limits;
pub use model::{Importance, Model};
pub use prediction::{PREDICTION, Prediction, probability_column};
pub use row::{Answer, Row};
pub use signature::{Field, Kind, Signature};
pub use task::{Label, Task};
pub use train::{ClassWeights, EarlyStopping, Progress, Summary, TaskKind, TrainOptions, Trained, train};
