//! `everloop check`: suites over data, gates over models.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use everloop_server::api::checks::{CheckBody, CheckData};
use everloop_server::api::models::{GateList, ModelVersionBody};
use serde_json::Value;
use std::path::PathBuf;

use super::model::VersionRef;
use crate::client::Client;
use crate::exit::Exit;
use crate::output::{Output, cell, moment, table};

/// Checks: does the data hold what it should, and what did the gates say of a model?
///
/// Exits with 3 when a check or gate says no.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  everloop check data flights\n  everloop check model flight-delay")]
pub enum CheckCommand {
    Data(DataArgs),
    Model(ModelArgs),
}

/// Run a suite of checks over a version of a dataset.
///
/// The suite is the one that the project file names for the dataset, or a file. The report is kept. Exits with 3 when a
/// check of severity error fails.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop check data flights\n  everloop check data flights --version 3 --suite checks/strict.yaml"
)]
pub struct DataArgs {
    /// Name of the dataset
    dataset: String,
    /// Number of the version [default: the newest]
    #[arg(long)]
    version: Option<u64>,
    /// File with the checks [default: the dataset's own]
    #[arg(long, value_name = "FILE")]
    suite: Option<PathBuf>,
}

/// Show what the gates said of a model's version.
///
/// Exits with 3 when the last word of a gate is no.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop check model flight-delay\n  everloop check model flight-delay@4"
)]
pub struct ModelArgs {
    /// The model, as NAME or NAME@VERSION; the newest version when none is given
    #[arg(value_name = "MODEL[@VERSION]")]
    model: VersionRef,
}

/// Runs or shows checks.
pub async fn run(command: CheckCommand, client: &Client, output: Output) -> anyhow::Result<Exit> {
    match command {
        CheckCommand::Data(args) => data(args, client, output).await,
        CheckCommand::Model(args) => model(&args, client, output).await,
    }
}

async fn data(args: DataArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path).with_context(|| format!("can't read \"{}\"", path.display()))
    };
    let suite = args.suite.map(read).transpose()?;
    let body = CheckData {
        dataset: args.dataset,
        version: args.version,
        suite,
    };
    let checked: CheckBody = client.post("/api/v1/checks/data", &body).await?;
    output.result(&checked, show)?;
    Ok(if checked.passed { Exit::Done } else { Exit::Refused })
}

fn show(checked: &CheckBody) -> String {
    let results = checked.report["results"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let rows = results.iter().map(|result| {
        vec![
            cell(&result["outcome"]),
            cell(&result["severity"]),
            one_line(&result["name"]),
            one_line(&result["observed"]),
            match &result["problem"] {
                Value::Null => one_line(&result["expected"]),
                problem => one_line(problem),
            },
        ]
    });
    let verdict = if checked.passed { "passed" } else { "did not pass" };
    let checks = table(&["outcome", "severity", "check", "found", "expected"], rows);
    format!("{checks}\n\n{} {verdict}", checked.subject)
}

/// Checks in SQL are named by their text.
fn one_line(value: &Value) -> String {
    cell(value).split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn model(args: &ModelArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let version: ModelVersionBody = client.get(&args.model.path()).await?;
    let said: GateList = client.get(&format!("{}/gates", args.model.path())).await?;
    // A gate may be asked again: its last word counts.
    let is_refused = said.gates.iter().enumerate().any(|(place, gate)| {
        let is_last = !said.gates[place + 1..]
            .iter()
            .any(|later| later.gate == gate.gate);
        is_last && matches!(gate.outcome.as_str(), "failed" | "broken")
    });
    output.result(&said, |said| {
        if said.gates.is_empty() && said.approvals.is_empty() {
            return format!(
                "no gate was asked about {}@{} yet",
                version.model, version.version
            );
        }
        let gates = said.gates.iter().map(|gate| {
            vec![
                gate.outcome.clone(),
                gate.gate.clone(),
                moment(&gate.at),
                cell(&gate.evidence),
            ]
        });
        let people = said.approvals.iter().map(|word| {
            vec![
                word.verdict.clone(),
                word.actor.clone(),
                moment(&word.at),
                word.comment.clone(),
            ]
        });
        let head = format!("{}@{}", version.model, version.version);
        format!(
            "{head}\n\n{}",
            table(&["outcome", "gate", "when", "evidence"], gates.chain(people))
        )
    })?;
    Ok(if is_refused { Exit::Refused } else { Exit::Done })
}
