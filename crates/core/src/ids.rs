//! Ids are newtypes: a run's id can't be passed where a model's is asked for.

use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::Timestamp;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes an id that came from outside as it is; whether it names anything is for the store to say.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )*};
}

ids! {
    /// A tracked run: 32 hex digits, as in MLflow.
    RunId;
    /// An experiment: decimal digits, as in MLflow.
    ExperimentId;
    /// A logged model of MLflow 3: `m-` and 32 hex digits.
    ModelId;
    /// One execution of a pipeline.
    PipelineRunId;
    /// One answered prediction: time-ordered, so that the log's min/max figures prune by id.
    PredictionId;
    /// One recorded choice.
    DecisionId;
    /// One firing of a trigger.
    TriggerId;
    /// A key the caller chose so that a repeated request has one effect.
    IdempotencyKey;
}

/// Makes new ids. Cheap to clone; clones share the generator.
#[derive(Debug, Clone)]
pub struct Ids {
    source: Source,
    /// The last ordered id: those of one millisecond count on from it, so that they sort as they were made.
    last: Arc<Mutex<u128>>,
}

/// The milliseconds of a UUID of version 7 are its first 48 bits.
const MILLIS_SHIFT: u32 = 80;

#[derive(Debug, Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<rand_pcg::Pcg64>>),
}

impl Ids {
    /// Ids from the machine's randomness.
    #[must_use]
    pub fn system() -> Self {
        Self {
            source: Source::System,
            last: Arc::default(),
        }
    }

    /// The same ids for the same seed and order of calls: for tests and replays.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let generator = rand_pcg::Pcg64::seed_from_u64(seed);
        Self {
            source: Source::Seeded(Arc::new(Mutex::new(generator))),
            last: Arc::default(),
        }
    }

    /// 128 random bits as 32 hex digits.
    #[must_use]
    pub fn hex32(&self) -> String {
        format!("{:032x}", self.bits())
    }

    /// A UUID of version 7 as 32 hex digits: ordered by `at`, and within one millisecond by when it was made here.
    #[must_use]
    pub fn ordered(&self, at: Timestamp) -> String {
        let random = self.bits().to_be_bytes();
        let mut tail = [0_u8; 10];
        tail.copy_from_slice(&random[..10]);
        let millis = u64::try_from(at.millis()).unwrap_or(0);
        let fresh = uuid::Builder::from_unix_timestamp_millis(millis, &tail)
            .into_uuid()
            .as_u128();
        // A poisoned lock only means that another thread died between two draws.
        let mut last = self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_same_moment = fresh >> MILLIS_SHIFT == *last >> MILLIS_SHIFT;
        *last = if is_same_moment { *last + 1 } else { fresh };
        format!("{:032x}", *last)
    }

    /// A new run id.
    #[must_use]
    pub fn run(&self) -> RunId {
        RunId(self.hex32())
    }

    /// A new prediction id.
    #[must_use]
    pub fn prediction(&self, at: Timestamp) -> PredictionId {
        PredictionId(self.ordered(at))
    }

    /// A new decision id.
    #[must_use]
    pub fn decision(&self, at: Timestamp) -> DecisionId {
        DecisionId(self.ordered(at))
    }

    /// A new pipeline run id.
    #[must_use]
    pub fn pipeline_run(&self, at: Timestamp) -> PipelineRunId {
        PipelineRunId(self.ordered(at))
    }

    /// A new trigger firing id.
    #[must_use]
    pub fn trigger(&self, at: Timestamp) -> TriggerId {
        TriggerId(self.ordered(at))
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that draws the machine's randomness for ids"
    )]
    fn bits(&self) -> u128 {
        match &self.source {
            Source::System => rand::rng().random(),
            // A poisoned lock only means that another thread died between two draws.
            Source::Seeded(rng) => rng
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .random(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_ids_repeat_and_differ_from_each_other() {
        let (a, b) = (Ids::seeded(7), Ids::seeded(7));
        let first = a.run();
        assert_eq!(first, b.run());
        assert_ne!(first, a.run());
        assert_eq!(first.as_str().len(), 32);
    }

    #[test]
    fn ids_of_one_moment_sort_as_they_were_made() {
        let ids = Ids::system();
        let made: Vec<String> = (0..1_000).map(|_| ids.ordered(Timestamp(5))).collect();
        assert!(made.is_sorted() && made.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn ordered_ids_sort_by_time() {
        let ids = Ids::seeded(1);
        let early = ids.prediction(Timestamp(1_000));
        let late = ids.prediction(Timestamp(2_000));
        assert!(early < late);
    }
}
