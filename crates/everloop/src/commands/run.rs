//! `everloop run`: the project's stages, those that need it.

use clap::Args;
use everloop_server::api::Done;
use everloop_server::api::pipelines::{PipelineRunDetail, PlanBody, StageBody, StartPipelineRun};
use futures::StreamExt;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::client::{Client, segment, with_query};
use crate::commands::push;
use crate::exit::Exit;
use crate::output::{Output, table};
use crate::problem::Problem;

/// Lines of a failed stage's log that are shown.
const LAST_LINES: usize = 20;

/// Run the stages whose inputs changed.
///
/// A stage runs after those that write what it reads, and only when something changed: its command, its inputs, its
/// params. Otherwise its outputs are taken from the cache. Prints a line for each stage as it ends. Ctrl-C cancels the
/// run with everything it started.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop run\n  everloop run train --param train.learning_rate=0.05\n  everloop run --dry-run\n  everloop run --on-push --branch main"
)]
pub struct RunArgs {
    /// Stages to get done, with all they wait for [default: all]
    stages: Vec<String>,
    /// A parameter that differs from the files, by its dotted name
    #[arg(long = "param", value_name = "NAME=VALUE", conflicts_with = "dry_run")]
    params: Vec<String>,
    /// Run stages even though nothing changed
    #[arg(long)]
    force: bool,
    /// After a failure go on with what does not wait for it
    #[arg(long, conflicts_with = "dry_run")]
    keep_going: bool,
    /// Only say what would run, and why
    #[arg(long)]
    dry_run: bool,
    /// Why, for the ledger
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
    /// Tell of the commits that arrived on the branch, as a git hook or CI job; its triggers decide what starts
    #[arg(long, conflicts_with_all = ["stages", "params", "force", "keep_going", "dry_run", "reason"])]
    on_push: bool,
    /// The branch that was pushed [default: the one that is checked out]
    #[arg(long, value_name = "NAME", requires = "on_push")]
    branch: Option<String>,
    /// Stay until what the push started has ended, also with a server
    #[arg(long, requires = "on_push")]
    wait: bool,
}

/// Starts a run and stays with it.
pub async fn run(args: RunArgs, root: &Path, client: &Client, output: Output) -> anyhow::Result<Exit> {
    if args.on_push {
        return push::run(args.branch, args.wait, root, client, output).await;
    }
    if args.dry_run {
        return plan(&args, client, output).await;
    }
    let body = StartPipelineRun {
        stages: args.stages,
        params: args
            .params
            .iter()
            .map(|text| parameter(text))
            .collect::<Result<_, _>>()?,
        force: args.force,
        keep_going: args.keep_going,
        reason: args.reason,
    };
    let started: PipelineRunDetail = client.post("/api/v1/pipeline-runs", &body).await?;
    let id = started.run.id;
    let ended = tokio::select! {
        ended = follow(client, &id, output) => ended?,
        _ = tokio::signal::ctrl_c() => {
            cancel(client, &id, output).await?;
            return Ok(Exit::Interrupted);
        }
    };
    if output.json {
        output.result(&ended, |_| String::new())?;
    }
    let succeeded = ended.run.state == "succeeded";
    if !succeeded {
        explain(client, &ended, output).await;
    }
    Ok(if succeeded { Exit::Done } else { Exit::Failed })
}

async fn plan(args: &RunArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let stages = (!args.stages.is_empty()).then(|| args.stages.join(","));
    let force = args.force.then(|| "true".to_owned());
    let path = with_query("/api/v1/plan", &[("stages", stages), ("force", force)]);
    let plan: PlanBody = client.get(&path).await?;
    let would_fail = plan.stages.iter().any(|stage| stage.verdict == "fails");
    output.result(&plan, |plan| {
        let rows = plan
            .stages
            .iter()
            .map(|stage| vec![stage.stage.clone(), stage.verdict.clone(), stage.why.join("; ")]);
        table(&["stage", "would", "why"], rows)
    })?;
    Ok(if would_fail { Exit::Failed } else { Exit::Done })
}

/// `train.depth=6`; the value as JSON where it is JSON, else as text.
fn parameter(text: &str) -> Result<(String, Value), Problem> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            Ok((name.to_owned(), value))
        }
        _ => Err(Problem::usage(format!("\"{text}\" is not a parameter"))
            .hint("give NAME=VALUE, such as train.depth=6")),
    }
}

/// Shows stages as they end, until the run has ended.
async fn follow(client: &Client, id: &str, output: Output) -> anyhow::Result<PipelineRunDetail> {
    let path = format!("/api/v1/pipeline-runs/{}/wait?timeout=500ms", segment(id));
    let mut shown: HashMap<String, String> = HashMap::new();
    loop {
        let now: PipelineRunDetail = client.get(&path).await?;
        for stage in &now.stages {
            let is_news =
                shown.insert(stage.stage.clone(), stage.state.clone()).as_ref() != Some(&stage.state);
            if is_news && !output.json {
                tell(stage, output)?;
            }
        }
        if matches!(now.run.state.as_str(), "succeeded" | "failed" | "cancelled") {
            return Ok(now);
        }
    }
}

/// A line for a stage that has ended; a note for one that begins.
fn tell(stage: &StageBody, output: Output) -> anyhow::Result<()> {
    let why = stage.reason.as_deref().unwrap_or_default();
    match stage.state.as_str() {
        "pending" => Ok(()),
        "running" => {
            output.note(&format!("{:<16} runs: {why}", stage.stage));
            Ok(())
        }
        state => {
            let time = match (state, stage.elapsed_ms) {
                ("succeeded" | "failed", Some(elapsed)) => seconds(elapsed),
                _ => String::new(),
            };
            output.line(format!("{:<16} {state:<10} {time:>9}  {why}", stage.stage).trim_end())
        }
    }
}

fn seconds(elapsed_ms: u64) -> String {
    format!("{}.{}s", elapsed_ms / 1000, elapsed_ms % 1000 / 100)
}

async fn cancel(client: &Client, id: &str, output: Output) -> anyhow::Result<()> {
    output.note("cancelling the run");
    let path = format!("/api/v1/pipeline-runs/{}", segment(id));
    client
        .post::<_, Done>(&format!("{path}/cancel"), &BTreeMap::<String, String>::new())
        .await?;
    client
        .get::<PipelineRunDetail>(&format!("{path}/wait?timeout=20s"))
        .await?;
    Ok(())
}

/// What went wrong, with the end of each failed stage's log.
async fn explain(client: &Client, ended: &PipelineRunDetail, output: Output) {
    for stage in ended.stages.iter().filter(|stage| stage.state == "failed") {
        let error = stage.error.as_deref().unwrap_or("it failed");
        output.note(&crate::output::describe(error, None, stage.hint.as_deref()));
        if stage.log_bytes > 0
            && let Ok(log) = log_of(client, &ended.run.id, &stage.stage).await
        {
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(LAST_LINES);
            output.note(&format!(
                "  log of {}:\n    {}",
                stage.stage,
                lines[from..].join("\n    ")
            ));
        }
    }
    if let Some(error) = &ended.run.error
        && ended.stages.iter().all(|stage| stage.state != "failed")
    {
        output.note(&crate::output::describe(error, None, None));
    }
}

async fn log_of(client: &Client, run: &str, stage: &str) -> anyhow::Result<String> {
    let path = format!(
        "/api/v1/pipeline-runs/{}/stages/{}/log",
        segment(run),
        segment(stage)
    );
    let mut stream = client.stream(&path).await?;
    let mut log = Vec::new();
    while let Some(part) = stream.next().await {
        log.extend_from_slice(&part?);
    }
    Ok(String::from_utf8_lossy(&log).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_are_json_where_they_are_json() {
        for (text, value) in [
            ("a=1", json!(1)),
            ("a=1.5", json!(1.5)),
            ("a=true", json!(true)),
            ("a=x y", json!("x y")),
            ("a=", json!("")),
            ("a=b=c", json!("b=c")),
        ] {
            assert_eq!(parameter(text).unwrap(), ("a".to_owned(), value), "{text}");
        }
        assert!(parameter("=1").is_err() && parameter("a").is_err());
    }
}
