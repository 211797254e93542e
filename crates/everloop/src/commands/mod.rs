//! The commands: nouns, then verbs, one file each.

mod admin;
mod backup;
mod check;
mod cluster;
mod config;
mod dag;
mod data;
mod decisions;
mod deploy;
mod feedback;
mod gc;
mod init;
mod log;
mod model;
mod monitor;
mod predict;
mod push;
mod retrain;
mod run;
mod schema;
mod server;
mod sql;
mod status;
mod why;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

use crate::context::{Context, Needs};
use crate::demo::{self, DemoArgs};
use crate::engine;
use crate::exit::Exit;
use crate::logging::{self, Reader};
use crate::output::Output;

/// Keeps machine-learning models good in production.
///
/// One program for the whole loop: data, pipelines, models, serving, monitoring, and what starts it again. Commands ask
/// the server that EVERLOOP_URL names; without it they work on the stores of the project in this folder.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 a check or gate said no, 130 interrupted.
#[derive(Debug, Parser)]
#[command(
    name = "everloop",
    version,
    max_term_width = 100,
    after_help = "Example:\n  everloop demo\n  everloop init --from-template flights && everloop run && everloop status"
)]
pub struct Cli {
    /// Print results as JSON
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    quiet: bool,
    /// Folder of the embedded database, objects and settings [default: .everloop in the project]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    home: Option<PathBuf>,
    /// Where queries, profiles and checks of data run: local, or ballista://HOST:PORT [default: local]
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    engine: Option<String>,
    #[command(subcommand)]
    command: Command,
}

impl Cli {
    /// How results are shown.
    #[must_use]
    pub fn output(&self) -> Output {
        Output {
            json: self.json,
            quiet: self.quiet,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(DemoArgs),
    Init(init::InitArgs),
    Server(server::ServerArgs),
    Run(run::RunArgs),
    Status(status::StatusArgs),
    Dag(dag::DagArgs),
    Log(log::LogArgs),
    #[command(subcommand)]
    Data(data::DataCommand),
    #[command(subcommand)]
    Check(check::CheckCommand),
    Sql(sql::SqlArgs),
    #[command(subcommand)]
    Model(model::ModelCommand),
    Deploy(deploy::DeployArgs),
    Predict(predict::PredictArgs),
    Feedback(feedback::FeedbackArgs),
    #[command(subcommand)]
    Monitor(monitor::MonitorCommand),
    Retrain(retrain::RetrainArgs),
    Decisions(decisions::DecisionsArgs),
    Why(why::WhyArgs),
    Schema(schema::SchemaArgs),
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    #[command(subcommand)]
    Admin(admin::AdminCommand),
}

/// Does what the command line says.
///
/// # Errors
/// What the command says; `problem::verdict` turns it into words and an exit code.
pub async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let output = cli.output();
    let mut flags = match &cli.command {
        Command::Server(args) => args.settings(),
        _ => Vec::new(),
    };
    flags.extend(cli.engine.map(|engine| ("engine", engine)));
    let context = Context::load(cli.home, &flags, output)?;
    let reader = match &cli.command {
        Command::Server(_) => Reader::Operator,
        _ => Reader::Person,
    };
    logging::start(&context.config, reader)?;
    match cli.command {
        Command::Demo(args) => demo::run(args, output, engine::engine(&context.config)?).await,
        Command::Init(args) => init::run(&args, output),
        Command::Server(args) => server::run(&args, &context).await,
        Command::Schema(args) => schema::run(&args, output),
        Command::Config(command) => config::run(&command, &context),
        Command::Cluster(command) => cluster::run(&command, &context).await,
        Command::Admin(command) => admin::run(&command, &context).await,
        other => ask(other, &context).await,
    }
}

/// The commands that ask a server, or this process in its place.
async fn ask(command: Command, context: &Context) -> anyhow::Result<Exit> {
    let output = context.output;
    context
        .ask(needs(&command), async |client| match command {
            Command::Run(args) => run::run(args, &context.root, client, output).await,
            Command::Status(args) => status::run(&args, client, output).await,
            Command::Dag(args) => dag::run(&args, client, output).await,
            Command::Log(args) => log::run(args, client, output).await,
            Command::Data(command) => data::run(command, client, output).await,
            Command::Check(command) => check::run(command, client, output).await,
            Command::Sql(args) => sql::run(&args, client, output).await,
            Command::Model(command) => model::run(command, client, output).await,
            Command::Deploy(args) => deploy::run(&args, client, output).await,
            Command::Predict(args) => predict::run(&args, client, output).await,
            Command::Feedback(args) => feedback::run(&args, client, output).await,
            Command::Monitor(command) => monitor::run(&command, client, output).await,
            Command::Retrain(args) => retrain::run(args, client, output).await,
            Command::Decisions(args) => decisions::run(&args, client, output).await,
            Command::Why(args) => why::run(&args, client, output).await,
            Command::Demo(_)
            | Command::Init(_)
            | Command::Server(_)
            | Command::Schema(_)
            | Command::Cluster(_)
            | Command::Config(_)
            | Command::Admin(_) => Ok(Exit::Done),
        })
        .await
}

/// Whether a command's work goes on after its answer, so that the loops must run beside it.
fn needs(command: &Command) -> Needs {
    match command {
        Command::Run(_) | Command::Retrain(_) => Needs::Loops,
        Command::Predict(_) | Command::Feedback(_) => Needs::Loops,
        Command::Model(command) if command.moves_the_loop() => Needs::Loops,
        _ => Needs::Stores,
    }
}
