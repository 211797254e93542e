//! What lets a stage's processes talk to the server that runs them.

use std::fmt;
use std::time::Duration;

use everloop_core::{PipelineRunId, ProjectName, RunId, StageName};
use futures::future::BoxFuture;

/// One attempt of a stage, as far as the server must know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageIdentity {
    /// Its project.
    pub project: ProjectName,
    /// Its pipeline run.
    pub run: PipelineRunId,
    /// The stage.
    pub stage: StageName,
    /// The tracked run that the access is for, and no other.
    pub tracked_run: RunId,
    /// The longest that the attempt may take, when it has a bound.
    pub timeout: Option<Duration>,
}

/// Where the server is, and a secret that opens it for one stage. Its debug text hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// The server's address: `http://127.0.0.1:5000`.
    pub url: String,
    /// The token.
    pub token: String,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("url", &self.url)
            .field("token", &"***")
            .finish()
    }
}

/// Gives stages access to the server while they run. The server implements it; without one, stages find no address in
/// their environment.
pub trait StageAccess: Send + Sync {
    /// A token that opens the stage's own run and nothing else. An error fails the attempt with its text.
    fn grant(&self, stage: StageIdentity) -> BoxFuture<'_, Result<Grant, String>>;

    /// The attempt is over: the token must open nothing any more.
    fn revoke(&self, stage: StageIdentity, grant: Grant) -> BoxFuture<'_, ()>;
}
