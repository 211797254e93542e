//! Models: load, predict, and train the built-in learner.
//!
//! A [`Model`] is read from [`ModelFiles`] (an MLflow model directory, or a lone model file): XGBoost JSON and UBJSON,
//! LightGBM text, ONNX graphs. Nothing is ever unpickled, every file is checked against [`Limits`], and all predictions
//! run in this process. [`train`] grows gradient-boosted trees and saves them as an MLflow directory whose ONNX file
//! Python loads to the same predictions.
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
