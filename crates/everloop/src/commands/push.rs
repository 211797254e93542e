//! `everloop run --on-push`: what a git hook or a CI job calls when commits have arrived.

use everloop_controller::Retraining;
use everloop_server::api::Done;
use everloop_server::api::controller::{DecisionBody, DecisionList, RetrainingList};
use everloop_server::api::git::{PushBody, PushList, PushSeen};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;
use tokio::process::Command;

use crate::client::{Client, with_query};
use crate::commands::retrain;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

/// Commits that are told of at most.
const MOST_COMMITS: &str = "--max-count=100";

/// What was seen, and what it started.
#[derive(Debug, Serialize)]
struct Seen {
    branch: String,
    commit: String,
    seq: i64,
    new: bool,
    /// What the triggers decided, and how what they started ended.
    decisions: Vec<DecisionBody>,
}

/// Tells of the branch's new commits, which fires the triggers that wait for them.
///
/// Without a server this process is the loop, so it stays until everything that was started has ended.
pub async fn run(
    branch: Option<String>,
    wait: bool,
    root: &Path,
    client: &Client,
    output: Output,
) -> anyhow::Result<Exit> {
    let (branch, commit) = head(root, branch).await?;
    // A push that nobody can answer to, because the file is wrong, is told once it is mended.
    client.get::<Value>("/api/v1/project").await?;
    let fields = [("branch", Some(branch.clone())), ("limit", Some("1".to_owned()))];
    let last: PushList = client.get(&with_query("/api/v1/git/pushes", &fields)).await?;
    let before = last.pushes.first().map(|push| push.commit.as_str());
    let body = PushBody {
        commits: commits_since(root, before, &commit).await,
        branch: branch.clone(),
        commit: commit.clone(),
    };
    let told: PushSeen = client.post("/api/v1/git/pushes", &body).await?;
    let mut seen = Seen {
        branch,
        commit,
        seq: told.seq,
        new: told.new,
        decisions: Vec::new(),
    };
    let mut exit = Exit::Done;
    if told.new && (wait || matches!(client, Client::Local { .. })) {
        let nothing = json!({});
        tokio::select! {
            settled = client.post::<_, Done>("/api/v1/loop/settle", &nothing) => settled?,
            _ = tokio::signal::ctrl_c() => {
                output.note("the loop takes it up again where it is, with the next server or command");
                return Ok(Exit::Interrupted);
            }
        };
        (seen.decisions, exit) = consequences(told.seq, client).await?;
    }
    output.result(&seen, show)?;
    Ok(exit)
}

/// What came of the event at `seq`.
async fn consequences(seq: i64, client: &Client) -> anyhow::Result<(Vec<DecisionBody>, Exit)> {
    let is_of = |reason: &Value| reason["seq"] == seq;
    let list: DecisionList = client.get("/api/v1/decisions?limit=1000").await?;
    let mut decisions: Vec<DecisionBody> = list
        .decisions
        .into_iter()
        .filter(|decision| is_of(&decision.evidence) || is_of(&decision.evidence["reason"]))
        .collect();
    decisions.reverse();
    let list: RetrainingList = client.get("/api/v1/retrainings?limit=1000").await?;
    let retraining: Option<Retraining> = list.retrainings.into_iter().find(|one| is_of(&one.reason));
    let ran_badly = decisions
        .iter()
        .any(|decision| decision.kind == "run" && decision.outcome != "succeeded");
    let exit = match retraining {
        _ if ran_badly => Exit::Failed,
        Some(retraining) => retrain::exit(&retraining),
        None => Exit::Done,
    };
    Ok((decisions, exit))
}

fn show(seen: &Seen) -> String {
    let short = &seen.commit[..12.min(seen.commit.len())];
    let mut lines = vec![match seen.new {
        true => format!("{} is at {short}: event {}", seen.branch, seen.seq),
        false => format!("{} was seen at {short} already: event {}", seen.branch, seen.seq),
    }];
    lines.extend(seen.decisions.iter().map(|decision| decision.words.clone()));
    lines.join("\n")
}

/// The branch and its commit.
async fn head(root: &Path, branch: Option<String>) -> Result<(String, String), Problem> {
    let Some(commit) = git(root, &["rev-parse", "--verify", "HEAD"]).await else {
        return Err(Problem::usage("there is no commit here to tell of")
            .at(root.display().to_string())
            .hint("run it inside the project's git repository, with git on the path"));
    };
    let branch = match branch {
        Some(branch) => branch,
        None => git(root, &["symbolic-ref", "--short", "-q", "HEAD"])
            .await
            .ok_or_else(|| {
                Problem::usage("the repository is at a commit, not on a branch")
                    .hint("name the branch that was pushed with --branch, as CI jobs must")
            })?,
    };
    Ok((branch, commit))
}

/// The commits after `before`, newest first; only the last one when `before` is not known here.
async fn commits_since(root: &Path, before: Option<&str>, commit: &str) -> Vec<String> {
    let Some(before) = before else {
        return vec![commit.to_owned()];
    };
    let range = format!("{before}..{commit}");
    let list = git(root, &["rev-list", MOST_COMMITS, &range, "--"]).await;
    let commits = list.map(|text| text.lines().map(ToOwned::to_owned).collect());
    commits
        .filter(|commits: &Vec<String>| !commits.is_empty())
        .unwrap_or_else(|| vec![commit.to_owned()])
}

/// What git prints when it does well; none when it does not.
async fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let answer = Command::new("git")
        .args(arguments)
        .current_dir(root)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let text = String::from_utf8(answer.stdout).ok()?.trim().to_owned();
    (answer.status.success() && !text.is_empty()).then_some(text)
}
