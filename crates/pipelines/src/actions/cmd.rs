//! `cmd`: commands of the user's own, in a shell each, until one fails.

use std::collections::BTreeMap;

use everloop_project::Commands;
use tokio::time::Instant;

use super::Work;
use crate::access::{Grant, StageIdentity};
use crate::attempt::Attempt;
use crate::logs::LogFile;
use crate::process::{self, Limits, Line, RUN_VARIABLE, STAGE_VARIABLE};
use crate::{Failure, files};

pub(crate) async fn run(work: &Work<'_>, commands: &Commands, log: &mut LogFile) -> Result<(), Failure> {
    let attempt = work.attempt;
    let identity = attempt.identity(work.stage);
    let access = attempt.options.access.clone();
    let grant = match &access {
        Some(access) => Some(access.grant(identity.clone()).await.map_err(Failure::Access)?),
        None => None,
    };
    let ended = lines(work, commands, grant.as_ref(), log).await;
    if let (Some(access), Some(grant)) = (access, grant) {
        access.revoke(identity, grant).await;
    }
    ended
}

async fn lines(
    work: &Work<'_>,
    commands: &Commands,
    grant: Option<&Grant>,
    log: &mut LogFile,
) -> Result<(), Failure> {
    let attempt = work.attempt;
    let folder = work.path(work.stage.wdir.as_ref().map_or(".", |wdir| wdir.as_str()));
    if !folder.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(files::io("enter the folder", &folder, source));
    }
    let env = environment(work, grant);
    let timeout = work.stage.run.timeout.map(|span| span.get());
    let limits = Limits {
        deadline: timeout.map(|span| (Instant::now() + span, span)),
        cancel: &attempt.cancel,
        stop: &attempt.stop,
        grace: attempt.options.grace,
    };
    for text in &commands.0 {
        let line = Line {
            text,
            folder: &folder,
            env: &env,
            memory: work.stage.run.memory.map(|memory| memory.0),
        };
        process::run(&line, &limits, log).await?;
    }
    Ok(())
}

/// All variables that the stage's processes see: those of the worker, those the stage declares, then ours.
fn environment(work: &Work<'_>, grant: Option<&Grant>) -> BTreeMap<String, String> {
    let attempt: &Attempt = work.attempt;
    let mut env: BTreeMap<String, String> = (*attempt.options.env).clone();
    for (name, value) in &work.stage.run.env {
        if let Some(value) = value {
            env.insert(name.clone(), value.clone());
        }
    }
    let ours = [
        (RUN_VARIABLE, attempt.run.to_string()),
        (STAGE_VARIABLE, attempt.name.to_string()),
        ("EVERLOOP_PROJECT", attempt.decider.name.to_string()),
        ("MLFLOW_RUN_ID", attempt.tracked_run.to_string()),
    ];
    env.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    if !work.params.is_empty() {
        let params = serde_json::to_string(work.params).expect("params are plain values");
        env.insert("EVERLOOP_PARAMS".to_owned(), params);
    }
    if let Some(grant) = grant {
        let access = [
            ("EVERLOOP_URL", &grant.url),
            ("EVERLOOP_TOKEN", &grant.token),
            ("MLFLOW_TRACKING_URI", &grant.url),
            ("MLFLOW_TRACKING_TOKEN", &grant.token),
        ];
        env.extend(access.map(|(name, value)| (name.to_owned(), value.clone())));
    }
    env
}

impl Attempt {
    fn identity(&self, stage: &everloop_project::Stage) -> StageIdentity {
        StageIdentity {
            project: self.decider.name.clone(),
            run: self.run.clone(),
            stage: self.name.clone(),
            tracked_run: self.tracked_run.clone(),
            timeout: stage.run.timeout.map(|span| span.get()),
        }
    }
}
