//! `everloop decisions`: what was decided, on which numbers.

use clap::Args;
use everloop_server::api::controller::DecisionList;

use crate::client::{Client, with_query};
use crate::exit::Exit;
use crate::output::{Output, moment, table};

/// List what was decided, newest first.
///
/// By the loop or by people: triggers, gates, promotions, rollbacks. With --json each has the numbers it rests on.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop decisions\n  everloop decisions --subject model:flight-delay@4 --json"
)]
pub struct DecisionsArgs {
    /// About exactly this, such as model:flight-delay@4
    #[arg(long)]
    subject: Option<String>,
    /// Show at most so many
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
}

/// Asks and shows.
pub async fn run(args: &DecisionsArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let fields = [
        ("subject", args.subject.clone()),
        ("limit", Some(args.limit.to_string())),
    ];
    let list: DecisionList = client.get(&with_query("/api/v1/decisions", &fields)).await?;
    output.result(&list.decisions, |decisions| {
        let rows = decisions.iter().map(|decision| {
            vec![
                moment(&decision.at),
                decision.kind.clone(),
                decision.subject.clone(),
                decision.outcome.clone(),
                decision.words.clone(),
            ]
        });
        table(&["when", "what", "about", "outcome", "why"], rows)
    })?;
    Ok(Exit::Done)
}
