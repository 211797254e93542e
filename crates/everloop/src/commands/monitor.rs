//! `everloop monitor`: what the windows of an endpoint showed.

use clap::{Args, Subcommand};
use everloop_server::api::monitors::{AlertList, WindowBody, WindowList};

use crate::client::{Client, segment, with_query};
use crate::exit::Exit;
use crate::output::{Output, cell, moment, or_dash, table};

/// Monitoring: drift, performance and quality of what endpoints answer.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  everloop monitor list\n  everloop monitor show flight-delay --part drift"
)]
pub enum MonitorCommand {
    List(ListArgs),
    Show(ShowArgs),
}

/// List the alerts, newest first.
///
/// An alert is a breach that enough windows agree on; it is open until a window is good again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop monitor list")]
pub struct ListArgs {
    /// Show at most so many
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
}

/// Show the windows of an endpoint, newest first.
///
/// With --json each has its report: the tests, their figures and what was compared.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop monitor show flight-delay\n  everloop monitor show flight-delay --part performance --json"
)]
pub struct ShowArgs {
    /// Name of the endpoint
    endpoint: String,
    /// drift, performance or quality [default: all]
    #[arg(long)]
    part: Option<String>,
    /// Show at most so many
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
}

/// Shows alerts or windows.
pub async fn run(command: &MonitorCommand, client: &Client, output: Output) -> anyhow::Result<Exit> {
    match command {
        MonitorCommand::List(args) => list(args, client, output).await,
        MonitorCommand::Show(args) => show(args, client, output).await,
    }
}

async fn list(args: &ListArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let path = with_query("/api/v1/alerts", &[("limit", Some(args.limit.to_string()))]);
    let list: AlertList = client.get(&path).await?;
    output.result(&list.alerts, |alerts| {
        let rows = alerts.iter().map(|alert| {
            let ended = or_dash(alert.resolved_at.as_ref().map(moment));
            vec![
                alert.state.clone(),
                alert.kind.clone(),
                moment(&alert.opened_at),
                ended,
                alert.message.clone(),
            ]
        });
        table(&["state", "kind", "opened", "ended", "what"], rows)
    })?;
    Ok(Exit::Done)
}

async fn show(args: &ShowArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let path = format!("/api/v1/monitors/{}/windows", segment(&args.endpoint));
    let fields = [
        ("part", args.part.clone()),
        ("limit", Some(args.limit.to_string())),
    ];
    let list: WindowList = client.get(&with_query(&path, &fields)).await?;
    output.result(&list.windows, |windows| {
        table(
            &["from", "to", "part", "rows", "verdict", "about"],
            windows.iter().map(row),
        )
    })?;
    Ok(Exit::Done)
}

fn row(window: &WindowBody) -> Vec<String> {
    let verdict = match (window.confirmed, window.breached) {
        (true, _) => "confirmed breach",
        (false, true) => "breach",
        (false, false) => "good",
    };
    vec![
        moment(&window.start),
        moment(&window.end),
        window.part.clone(),
        window.rows.to_string(),
        verdict.to_owned(),
        cell(&window.report["words"]),
    ]
}
