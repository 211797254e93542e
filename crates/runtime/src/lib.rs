//! Models: load, predict, and train the built-in learner.
//!
//! A [`Model`] is read from [`ModelFiles`] (an MLflow model directory, or a lone model file): XGBoost JSON and UBJSON,
//! LightGBM text, ONNX graphs. Nothing is ever unpickled, every file is checked against [`Limits`], and all predictions
//! run in this process. [`train`] grows gradient-boosted trees and saves them as an MLflow directory whose ONNX file
//! Python loads to the same predictions.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod files;
mod limits;
mod model;
mod prediction;
mod signature;
mod task;
mod train;

pub use error::{Error, Result};
pub use files::ModelFiles;
pub use limits::Limits;
pub use model::{Answer, Importance, Model, Row};
pub use prediction::{PREDICTION, Prediction, probability_column};
pub use signature::{Field, Kind, Signature};
pub use task::{Label, Task};
pub use train::{ClassWeights, EarlyStopping, Progress, Summary, TaskKind, TrainOptions, Trained, train};
