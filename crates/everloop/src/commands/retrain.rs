//! `everloop retrain`: once round the loop, now.

use clap::Args;
use everloop_controller::{Outcome, Retraining, State};
use everloop_server::api::Done;
use everloop_server::api::controller::{RetrainBody, RetrainingList};
use serde_json::json;

use crate::client::Client;
use crate::exit::Exit;
use crate::output::Output;

/// Go round the loop now: train, judge, release.
///
/// The data is checked, the pipeline runs, the new version stands before its gates and, when they let it through, is
/// rolled out. The command stays until everything that is due has been done; a rollout in steps goes on with a server.
/// Exits with 3 when the data or the version was refused.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop retrain --why 'new prices since Monday'")]
pub struct RetrainArgs {
    /// Why, for the ledger
    #[arg(long, default_value = "", hide_default_value = true)]
    why: String,
}

/// Starts a retraining and stays with it.
pub async fn run(args: RetrainArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let started: Retraining = client
        .post("/api/v1/retrain", &RetrainBody { why: args.why })
        .await?;
    see_through(started, client, output).await
}

/// Stays with a retraining until there is nothing to do for now, and tells how it stands.
pub async fn see_through(started: Retraining, client: &Client, output: Output) -> anyhow::Result<Exit> {
    output.note(&format!("retraining {} is under way", started.id));
    let nothing = json!({});
    tokio::select! {
        settled = client.post::<_, Done>("/api/v1/loop/settle", &nothing) => settled?,
        _ = tokio::signal::ctrl_c() => {
            output.note("the loop takes it up again where it is, with the next server or command");
            return Ok(Exit::Interrupted);
        }
    };
    let list: RetrainingList = client.get("/api/v1/retrainings?limit=1000").await?;
    let found = list
        .retrainings
        .into_iter()
        .find(|retraining| retraining.id == started.id);
    let now = found.unwrap_or(started);
    output.result(&now, show)?;
    Ok(exit(&now))
}

fn show(retraining: &Retraining) -> String {
    let version = retraining
        .version
        .map(|version| format!(", version {version}"))
        .unwrap_or_default();
    let words = retraining.words.as_deref().unwrap_or_default();
    let stands = match retraining.outcome {
        Some(outcome) => outcome.as_str(),
        None => retraining.state.as_str(),
    };
    format!("{stands}{version}: {words}")
        .trim_end_matches([' ', ':'])
        .to_owned()
}

/// How a command ends that saw a retraining through.
pub(crate) fn exit(retraining: &Retraining) -> Exit {
    match (retraining.state, retraining.outcome) {
        (State::Done, Some(Outcome::Refused | Outcome::RefusedData | Outcome::RolledBack)) => Exit::Refused,
        (State::Done, Some(Outcome::Failed)) => Exit::Failed,
        _ => Exit::Done,
    }
}
