//! Runs and stages as they stand.

use std::fmt;

use everloop_core::{Hash, PipelineRunId, ProjectName, RunId, StageName, Timestamp};

use crate::OutManifest;

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* } ends { $($end:ident),* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }

        impl $name {
            /// Its word in tables, events and bodies.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The state of that word.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Whether nothing follows.
            #[must_use]
            pub fn is_end(self) -> bool {
                matches!(self, $(Self::$end)|*)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

states! {
    /// Where a pipeline run stands.
    RunState {
        /// No worker has it yet.
        Pending = "pending",
        /// A worker has, or had, it.
        Running = "running",
        /// All its stages are done.
        Succeeded = "succeeded",
        /// A stage failed.
        Failed = "failed",
        /// Someone cancelled it.
        Cancelled = "cancelled",
    } ends { Succeeded, Failed, Cancelled }
}

states! {
    /// Where a stage of a run stands.
    StageState {
        /// It waits for other stages, a free slot, or its next attempt.
        Pending = "pending",
        /// It runs.
        Running = "running",
        /// It ran and wrote its outs.
        Succeeded = "succeeded",
        /// It did not run, because its inputs were seen before; its outs are in place.
        Cached = "cached",
        /// It failed.
        Failed = "failed",
        /// It never ran, because a stage before it failed.
        Skipped = "skipped",
        /// It was cancelled, before it ran or while it did.
        Cancelled = "cancelled",
    } ends { Succeeded, Cached, Failed, Skipped, Cancelled }
}

impl StageState {
    /// Whether stages after it may run.
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Cached)
    }
}

/// A pipeline run with its stages.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineRun {
    /// The run.
    pub summary: RunSummary,
    /// Its stages, each after those it waits for.
    pub stages: Vec<StageRun>,
}

impl PipelineRun {
    /// One of its stages.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<&StageRun> {
        self.stages.iter().find(|stage| stage.stage.as_str() == name)
    }
}

/// A pipeline run without its stages.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSummary {
    /// Its id.
    pub id: PipelineRunId,
    /// Its project.
    pub project: ProjectName,
    /// Where it stands.
    pub state: RunState,
    /// Who asked for it.
    pub actor: String,
    /// Why it was started, as the one who asked said.
    pub reason: serde_json::Value,
    /// The hash of the project document it was started from.
    pub definition: Hash,
    /// The folder it works in.
    pub workspace: String,
    /// The tracked run that those of its stages are nested in; none while nothing ran.
    pub tracked_run: Option<RunId>,
    /// What went wrong first.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When a worker first took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A stage of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StageRun {
    /// The stage.
    pub stage: StageName,
    /// `cmd`, `sql`, `train` or `evaluate`.
    pub kind: String,
    /// Where it stands.
    pub state: StageState,
    /// Attempts started.
    pub attempt: u32,
    /// Why it ran, or why it did not.
    pub reason: Option<String>,
    /// The hash of its inputs.
    pub key: Option<Hash>,
    /// The tracked run of its last attempt; of the run that wrote its outs when it is cached.
    pub tracked_run: Option<RunId>,
    /// What it wrote.
    pub outs: Vec<OutManifest>,
    /// The log of its last attempt, as an object; none when there was no output.
    pub log: Option<Hash>,
    /// Length of the log in bytes.
    pub log_size: u64,
    /// What its last command ended with.
    pub exit_code: Option<i32>,
    /// The signal that ended its last command.
    pub exit_signal: Option<i32>,
    /// What went wrong in its last attempt, with the stage's name.
    pub error: Option<String>,
    /// What kind of trouble it was.
    pub error_code: Option<String>,
    /// How to mend it.
    pub hint: Option<String>,
    /// When its last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How long the last attempt took on the clock on the wall, in milliseconds.
    pub elapsed_ms: Option<u64>,
}
