//! `everloop why`: the chain from an answer back to the data it was learned from.

use clap::Args;
use everloop_controller::Why;

use crate::client::{Client, segment};
use crate::exit::Exit;
use crate::output::Output;

/// Explain a model, a version, an endpoint or a prediction.
///
/// Prints the chain: prediction, route, model version, the decisions that released it with their evidence, the run that
/// made it, data versions, code commit, params and environment. With --json each link has all that is known of it.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop why flight-delay\n  everloop why flight-delay@4\n  everloop why 0190c1f2a4b87c3e9d5f60718293a4b5"
)]
pub struct WhyArgs {
    /// A model, MODEL@VERSION, an endpoint, or a prediction's id
    subject: String,
}

/// Asks and shows.
pub async fn run(args: &WhyArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let why: Why = client
        .get(&format!("/api/v1/why/{}", segment(&args.subject)))
        .await?;
    output.result(&why, |why| {
        let links = why
            .chain
            .iter()
            .map(|link| format!("{:<10} {}\n{:<10} {}", link.kind, link.name, "", link.words));
        links.collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Done)
}
