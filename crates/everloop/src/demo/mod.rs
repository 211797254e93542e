//! `everloop demo`: real flights, month by month, through the real program.
//!
//! The demo plays the world outside: it drops files of flights into a folder, asks a server on loopback for
//! predictions, and sends the true delays a day later. Everything else is the loop's own doing. Time is the flights'
//! own: the clock is moved to each day as it is played.

mod data;
mod faults;
mod narrate;
mod play;
mod table;
mod world;

use clap::{Args, ValueEnum};
use everloop_tables::Engine;
use std::path::PathBuf;
use std::sync::Arc;

use crate::exit::Exit;
use crate::output::Output;
use world::World;

/// Watch the loop run on real flights.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop demo --exit\n  everloop demo --scenario faults --exit")]
pub struct DemoArgs {
    /// End when the last month was played, instead of keeping the server up.
    #[arg(long)]
    exit: bool,
    /// What is played.
    #[arg(long, value_enum, default_value_t = Scenario::Flights)]
    scenario: Scenario,
    /// Which years of flights, in order.
    #[arg(long, value_delimiter = ',', default_value = "2013")]
    years: Vec<i32>,
    /// Play the stream of a year only up to this month.
    #[arg(long, value_parser = clap::value_parser!(u32).range(4..=12), default_value_t = 12)]
    until: u32,
    /// Send every n-th flight only, for a quick look. The model still learns from all of them.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000), default_value_t = 1)]
    every: u32,
    /// Folder of the demo's project and stores; a temporary one when not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Metadata database: sqlite:PATH or postgres://...
    #[arg(long)]
    db: Option<String>,
    /// Object store: a folder, s3://..., gs://... or az://...
    #[arg(long)]
    store: Option<String>,
    /// Address that the demo's server binds.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: std::net::SocketAddr,
}

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// The flights as they were.
    Flights,
    /// The same stream with faults: nulls, changed units, a bad challenger released on purpose.
    Faults,
}

/// Plays a scenario.
///
/// # Errors
/// When the stores can't be opened or the server does not answer.
pub async fn run(args: DemoArgs, output: Output, engine: Option<Arc<dyn Engine>>) -> anyhow::Result<Exit> {
    anyhow::ensure!(
        args.listen.ip().is_loopback(),
        "the demo's server binds loopback only"
    );
    let world = World::open(&args, engine).await?;
    output.note(&format!("Project: {}", world.root().display()));
    output.note(&format!("Server:  {}", world.url()));
    let narration = narrate::start(&world, output);
    let report = match args.scenario {
        Scenario::Flights => play::flights(&world, &args, output, &narration).await,
        Scenario::Faults => faults::play(&world, &args, output, &narration).await,
    };
    let events = narration.stop().await;
    let report = match report {
        Ok(report) => report.with_events(&events),
        Err(error) => {
            world.close().await;
            return Err(error);
        }
    };
    output.result(&report, table::Report::to_text)?;
    if output.json {
        report
            .unheld()
            .for_each(|what| output.note(&format!("NOT HELD: {what}")));
    }
    if !args.exit {
        output.note(&format!("\nThe server stays up at {} until Ctrl-C.", world.url()));
        output.note(&format!(
            "Try: EVERLOOP_URL={} everloop why flight-delay",
            world.url()
        ));
        tokio::signal::ctrl_c().await?;
    }
    let verdict = report.exit();
    world.close().await;
    Ok(verdict)
}
