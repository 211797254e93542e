//! The words every other crate speaks: ids, names, time, error codes, units and content hashes.
//!
//! Floor 0 of the house. Nothing here does IO. Library code never reads the clock or randomness itself; it is
//! handed a [`Clock`] and an [`Ids`].

mod actor;
mod artifact_path;
mod clock;
mod error;
mod frame;
mod hash;
mod ids;
mod names;
mod suggest;
mod units;

pub use actor::{Actor, By};
pub use artifact_path::{ArtifactPath, InvalidPath};
pub use clock::{Clock, Timestamp};
pub use error::{Code, Coded};
pub use frame::{Column, Frame, UnequalRows, Values};
pub use hash::{Hash, Hasher, InvalidHash};
pub use ids::{
    DecisionId, ExperimentId, IdempotencyKey, Ids, ModelId, PipelineRunId, PredictionId, RunId, TriggerId,
};
pub use names::{
    AliasName, ColumnName, DatasetName, EndpointName, InvalidName, ModelName, MonitorName, ProjectName,
    StageName,
};
pub use suggest::{did_you_mean, nearest};
pub use units::{ByteSize, InvalidUnit, format_duration, parse_duration};
