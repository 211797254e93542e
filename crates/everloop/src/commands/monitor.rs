//! `everloop monitor`: what the windows of an endpoint showed, and who was told.

use clap::{Args, Subcommand};
use everloop_server::api::monitors::{AlertList, WindowBody, WindowList};
use everloop_server::api::webhooks::{DeliveryList, Retried, RetryBody, WebhookList};

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
    /// List the webhooks that are told of what happens.
    ///
    /// They are the `notify` section of the project file; --json has how many messages wait, arrived and were given up.
    #[command(after_help = "Example:\n  everloop monitor webhooks")]
    Webhooks,
    Deliveries(DeliveriesArgs),
    Retry(RetryArgs),
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

/// List the messages to webhooks, newest first.
///
/// A message is sent until its receiver says yes: ten times in about three hours, then it is dead and waits for a
/// person. Receivers tell repeated messages by their id.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop monitor deliveries --state dead")]
pub struct DeliveriesArgs {
    /// pending, delivered, dead or cancelled [default: all]
    #[arg(long)]
    state: Option<String>,
    /// Show at most so many
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
}

/// Send messages again that were given up.
///
/// They start over with a full budget. A running server sends them at once; without one they wait for the next.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop monitor retry --all\n  everloop monitor retry msg_5f2b7c19aa01d3e8f764_9c1185a5c5e9"
)]
pub struct RetryArgs {
    /// Id of the message
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    delivery: Option<String>,
    /// All that were given up
    #[arg(long)]
    all: bool,
}

/// Shows alerts, windows and messages, or sends messages again.
pub async fn run(command: &MonitorCommand, client: &Client, output: Output) -> anyhow::Result<Exit> {
    match command {
        MonitorCommand::List(args) => list(args, client, output).await,
        MonitorCommand::Show(args) => show(args, client, output).await,
        MonitorCommand::Webhooks => webhooks(client, output).await,
        MonitorCommand::Deliveries(args) => deliveries(args, client, output).await,
        MonitorCommand::Retry(args) => retry(args, client, output).await,
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

async fn webhooks(client: &Client, output: Output) -> anyhow::Result<Exit> {
    let list: WebhookList = client.get("/api/v1/webhooks").await?;
    output.result(&list.webhooks, |webhooks| {
        let rows = webhooks.iter().map(|hook| {
            vec![
                hook.id.clone(),
                hook.target.clone(),
                hook.events.join(" "),
                hook.signature.clone(),
                hook.pending.to_string(),
                hook.delivered.to_string(),
                hook.dead.to_string(),
            ]
        });
        let head = [
            "webhook",
            "to",
            "events",
            "signature",
            "pending",
            "delivered",
            "dead",
        ];
        table(&head, rows)
    })?;
    Ok(Exit::Done)
}

async fn deliveries(args: &DeliveriesArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let fields = [
        ("state", args.state.clone()),
        ("limit", Some(args.limit.to_string())),
    ];
    let list: DeliveryList = client
        .get(&with_query("/api/v1/webhooks/deliveries", &fields))
        .await?;
    output.result(&list.deliveries, |deliveries| {
        let rows = deliveries.iter().map(|delivery| {
            vec![
                delivery.id.clone(),
                delivery.event.clone(),
                delivery.target.clone(),
                delivery.state.clone(),
                delivery.attempts.to_string(),
                or_dash(delivery.next_at.as_ref().map(moment)),
                delivery.last_problem.clone().unwrap_or_default(),
            ]
        });
        table(&["id", "event", "to", "state", "tried", "next", "problem"], rows)
    })?;
    Ok(Exit::Done)
}

async fn retry(args: &RetryArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let body = RetryBody {
        delivery: args.delivery.clone(),
    };
    let retried: Retried = client.post("/api/v1/webhooks/retry", &body).await?;
    output.result(&retried, |retried| {
        format!("{} to be sent again", retried.deliveries)
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
