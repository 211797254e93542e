//! What stages of pipelines get from this server: some variables, and a token that opens their own run.

use everloop_access::{NewToken, Role, Secret, TokenScope, Tokens};
use everloop_core::{Actor, RunId};
use everloop_pipelines::{Grant, StageAccess, StageIdentity, WorkerOptions};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::App;

/// A stage without a time limit gets a token for this long; one with a limit for its limit and [`SPARE`].
const UNLIMITED: Duration = Duration::from_secs(7 * 86_400);
const SPARE: Duration = Duration::from_secs(600);

/// Variables that programs need to run at all. Everything else may be a secret of the server: a stage declares what it
/// wants of it.
const HANDED_ON: [&str; 18] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "SYSTEMROOT",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
];

/// How this program works on pipeline runs.
pub(crate) fn worker_options(app: &App) -> WorkerOptions {
    let options = app.options();
    let env: BTreeMap<String, String> = options
        .environment
        .iter()
        .filter(|(name, _)| HANDED_ON.contains(&name.as_str()) || name.starts_with("LC_"))
        .cloned()
        .collect();
    let name = format!("server-{}", std::process::id());
    let mut worker = WorkerOptions::new(name, env);
    worker.lease = options.lease;
    if let Some(slots) = options.stages {
        worker.slots = slots.max(1);
    }
    worker.access = app.url().map(|url| {
        let access: Arc<dyn StageAccess> = Arc::new(StageTokens {
            tokens: app.tokens().clone(),
            url: url.to_owned(),
            given: Mutex::default(),
        });
        access
    });
    worker
}

/// Makes a token for each attempt of a stage and revokes it afterwards.
struct StageTokens {
    tokens: Tokens,
    url: String,
    /// The ids of tokens in use, by the run they open.
    given: Mutex<HashMap<RunId, String>>,
}

impl StageTokens {
    async fn make(&self, stage: StageIdentity) -> Result<Grant, String> {
        let new = NewToken {
            label: label(&stage),
            role: Role::Stage,
            scope: TokenScope::Run {
                project: stage.project,
                run: stage.tracked_run.clone(),
            },
            lifetime: Some(stage.timeout.map_or(UNLIMITED, |limit| limit + SPARE)),
        };
        let made = self.tokens.create(&actor(), new).await;
        let (token, secret): (_, Secret) = made.map_err(|error| error.to_string())?;
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.insert(stage.tracked_run, token.id);
        Ok(Grant {
            url: self.url.clone(),
            token: secret.reveal().to_owned(),
        })
    }

    async fn end(&self, stage: StageIdentity) {
        let id = {
            let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            given.remove(&stage.tracked_run)
        };
        let Some(id) = id else { return };
        if let Err(error) = self.tokens.revoke(&actor(), &id).await {
            // It ends by itself, later.
            tracing::warn!(%error, token.id = id, "a stage's token was not revoked");
        }
    }
}

impl StageAccess for StageTokens {
    fn grant(&self, stage: StageIdentity) -> BoxFuture<'_, Result<Grant, String>> {
        self.make(stage).boxed()
    }

    fn revoke(&self, stage: StageIdentity, _: Grant) -> BoxFuture<'_, ()> {
        self.end(stage).boxed()
    }
}

fn actor() -> Actor {
    Actor::system("pipelines")
}

/// Who the token's changes are told to be of; a label holds 128 characters at most.
fn label(stage: &StageIdentity) -> String {
    let name: String = stage.stage.as_str().chars().take(60).collect();
    format!("stage {name} of {}", stage.run)
}
