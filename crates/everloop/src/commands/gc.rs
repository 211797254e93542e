//! `everloop admin gc`: gives back the space of what nothing refers to.

use clap::Args;
use everloop_server::api::objects::{CollectObjects, CollectionBody};

use crate::client::Client;
use crate::exit::Exit;
use crate::output::Output;

/// Give back the space of objects that nothing refers to.
///
/// Looks through every reference of every project of the database: versions of data, outs and logs of pipelines,
/// artifacts, models, the prediction log. Deletes the objects that none of them names and what crashes left behind, once
/// they are older than --grace. It may run beside a server and beside writers. The store must be this database's alone:
/// what another database refers to looks like nothing here.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop admin gc --dry-run\n  everloop admin gc --grace 48h --yes")]
pub struct GcArgs {
    /// Only tell what would go
    #[arg(long)]
    dry_run: bool,
    /// Keep what is younger; must be longer than the longest upload takes
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    grace: String,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

/// Collects.
pub async fn run(args: &GcArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let ask = async |dry_run: bool| {
        let body = CollectObjects {
            dry_run,
            grace: Some(args.grace.clone()),
        };
        client
            .post::<_, CollectionBody>("/api/v1/objects/collection", &body)
            .await
    };
    if !args.dry_run && !args.yes {
        output.confirm(&told(&ask(true).await?))?;
    }
    let done = ask(args.dry_run).await?;
    output.result(&done, told)?;
    if done.missing_objects > 0 {
        output.note(&format!(
            "warning: {} objects that something refers to are not in the store; restore them from a backup",
            done.missing_objects
        ));
    }
    Ok(Exit::Done)
}

fn told(done: &CollectionBody) -> String {
    let verb = if done.dry_run { "would be freed" } else { "freed" };
    format!(
        "{} objects and {} leftovers {verb}: {} bytes; {} objects are in use, {} too young to go",
        done.freed_objects,
        done.swept_files,
        done.freed_bytes + done.swept_bytes,
        done.live_objects,
        done.young_objects
    )
}
