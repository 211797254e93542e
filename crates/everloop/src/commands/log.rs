//! `everloop log`: the ledger.

use clap::Args;
use everloop_server::api::ledger::{LedgerEvent, LedgerPage};
use futures::StreamExt;

use crate::client::{Client, with_query};
use crate::exit::Exit;
use crate::output::{Output, moment};

/// Show what happened, oldest first.
///
/// Every change is a row of the ledger: who, what, when, and a hash over the row before. With --follow new rows are
/// shown as they are written, with --json one JSON object a line.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop log --kind alias.\n  everloop log --follow --json")]
pub struct LogArgs {
    /// Kinds that start with this text, such as "alias."
    #[arg(long)]
    kind: Option<String>,
    /// About exactly this, such as dataset:flights@3
    #[arg(long, conflicts_with = "follow")]
    subject: Option<String>,
    /// Show at most so many of the newest rows
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
    /// Go on with new rows as they are written
    #[arg(long, short)]
    follow: bool,
}

/// Shows the newest rows, and with `--follow` what comes.
pub async fn run(args: LogArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let fields = [
        ("kind", args.kind.clone()),
        ("subject", args.subject),
        ("limit", Some(args.limit.to_string())),
    ];
    let mut page: LedgerPage = client.get(&with_query("/api/v1/ledger", &fields)).await?;
    page.events.reverse();
    if !args.follow {
        output.result(&page.events, |events| {
            events.iter().map(line).collect::<Vec<_>>().join("\n")
        })?;
        return Ok(Exit::Done);
    }
    let last = page.events.last().map_or(0, |event| event.seq);
    for event in &page.events {
        show(event, output)?;
    }
    follow(client, last, args.kind, output).await
}

async fn follow(client: &Client, after: i64, kind: Option<String>, output: Output) -> anyhow::Result<Exit> {
    let fields = [("after", Some(after.to_string())), ("kind", kind)];
    let mut stream = client.stream(&with_query("/api/v1/events", &fields)).await?;
    let mut rest = Vec::new();
    while let Some(part) = stream.next().await {
        rest.extend_from_slice(&part?);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            // Besides data, events have an id and a name, and there are comments that keep the connection open.
            if let Some(data) = line.strip_prefix(b"data: ") {
                show(&serde_json::from_slice(data)?, output)?;
            }
        }
    }
    Ok(Exit::Done)
}

fn show(event: &LedgerEvent, output: Output) -> anyhow::Result<()> {
    match output.json {
        true => output.line(&serde_json::to_string(event)?),
        false => output.line(&line(event)),
    }
}

fn line(event: &LedgerEvent) -> String {
    format!(
        "{:>6}  {}  {:<22} {:<36} {}",
        event.seq,
        moment(&event.at),
        event.kind,
        event.subject,
        event.actor
    )
}
