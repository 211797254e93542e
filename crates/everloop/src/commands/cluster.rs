//! `everloop cluster`: the parts of a Ballista cluster that reads the project's objects.

use clap::{Args, Subcommand};
use std::net::{IpAddr, SocketAddr};

use crate::context::Context;
use crate::exit::Exit;

/// A Ballista cluster for queries, profiles and checks of data.
///
/// One scheduler and any number of workers. Whoever is started with --engine ballista://HOST:PORT sends its plans there
/// instead of running them itself. Workers read the object store that --home or EVERLOOP_STORE names, so it must be the
/// server's. Needs a build with the feature "ballista".
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  everloop cluster scheduler\n  everloop cluster worker 127.0.0.1:50050\n  everloop sql --engine ballista://127.0.0.1:50050 'SELECT count(*) FROM flights'"
)]
pub enum ClusterCommand {
    Scheduler(SchedulerArgs),
    Worker(WorkerArgs),
}

/// Take plans and hand them out to workers.
///
/// It listens without passwords: anyone who reaches it may run queries over the object store. Prints one line with its
/// address when it answers.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop cluster scheduler --listen 10.0.0.7:50050 --insecure")]
pub struct SchedulerArgs {
    /// Address to bind; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50050")]
    listen: SocketAddr,
    /// Listen beyond loopback, on a network that only the cluster reaches
    #[arg(long)]
    insecure: bool,
}

/// Run the tasks of a scheduler.
///
/// It asks the scheduler for tasks; answers are fetched from it. Prints one line with its address when it answers.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop cluster worker 10.0.0.7:50050 --bind 10.0.0.8 --insecure")]
pub struct WorkerArgs {
    /// Where the scheduler listens
    scheduler: SocketAddr,
    /// Address that others fetch answers from
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    bind: IpAddr,
    /// Name that others reach it by [default: the address]
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// Port; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Listen beyond loopback, on a network that only the cluster reaches
    #[arg(long)]
    insecure: bool,
}

/// Runs a part until told to stop.
#[cfg(not(feature = "ballista"))]
pub async fn run(_command: &ClusterCommand, _context: &Context) -> anyhow::Result<Exit> {
    Err(crate::engine::left_out("there is no cluster to run").into())
}

/// Runs a part until told to stop.
#[cfg(feature = "ballista")]
pub async fn run(command: &ClusterCommand, context: &Context) -> anyhow::Result<Exit> {
    parts::run(command, context).await
}

#[cfg(feature = "ballista")]
mod parts {
    use super::{ClusterCommand, SchedulerArgs, WorkerArgs};
    use crate::commands::server::Signals;
    use crate::context::Context;
    use crate::exit::Exit;
    use crate::problem::Problem;
    use everloop_ballista::{Scheduler, Worker, WorkerOptions};
    use everloop_core::{Clock, Code};
    use everloop_objects::{Objects, Options, StoreUrl};
    use everloop_server::Mode;
    use everloop_tables::{Tables, TablesOptions};
    use std::net::IpAddr;

    pub(super) async fn run(command: &ClusterCommand, context: &Context) -> anyhow::Result<Exit> {
        match command {
            ClusterCommand::Scheduler(args) => schedule(args, context).await,
            ClusterCommand::Worker(args) => work(args, context).await,
        }
    }

    async fn schedule(args: &SchedulerArgs, context: &Context) -> anyhow::Result<Exit> {
        check_reach(args.listen.ip(), args.insecure)?;
        let scheduler = Scheduler::start(args.listen, &tables(context).await?.0).await?;
        let mut signals = Signals::listen()?;
        let line = format!("everloop scheduler listening on {}", scheduler.url());
        context.output.line(&line)?;
        signals.next().await;
        Ok(Exit::Done)
    }

    async fn work(args: &WorkerArgs, context: &Context) -> anyhow::Result<Exit> {
        check_reach(args.bind, args.insecure)?;
        let (tables, threads) = tables(context).await?;
        // Dropped with everything in it when the worker ends.
        let folder = tempfile::Builder::new().prefix("everloop-worker-").tempdir()?;
        let options = WorkerOptions {
            scheduler: args.scheduler,
            bind: args.bind,
            advertise: args.advertise.clone(),
            port: args.port,
            threads,
            work_dir: folder.path().to_owned(),
        };
        let worker = Worker::start(options, &tables).await?;
        let mut signals = Signals::listen()?;
        let line = format!("everloop worker listening on {}", worker.address());
        context.output.line(&line)?;
        signals.next().await;
        Ok(Exit::Done)
    }

    /// Queries over the object store that the settings name, and the threads they may use.
    async fn tables(context: &Context) -> anyhow::Result<(Tables, usize)> {
        let login = crate::context::login();
        let options = context.app_options(Mode::Local { login }, Clock::system())?;
        let store = options
            .store
            .unwrap_or_else(|| StoreUrl::folder(options.home.join("objects")));
        let store_options = Options::new(options.ids).with_env(options.environment);
        let objects = Objects::open(&store, &store_options).await?;
        let mut limits = TablesOptions {
            memory_limit: options.memory,
            ..TablesOptions::default()
        };
        if let Some(threads) = options.threads {
            limits.threads = threads;
        }
        let threads = limits.threads;
        Ok((Tables::new(limits)?.with_objects(objects), threads))
    }

    fn check_reach(address: IpAddr, insecure: bool) -> Result<(), Problem> {
        if address.is_loopback() || insecure {
            return Ok(());
        }
        Err(Problem::new(
            Code::InvalidArgument,
            format!("{address} is reached by other machines, and Ballista asks nobody who they are"),
        )
        .hint("keep it on a network that only the cluster reaches, and say so with --insecure"))
    }
}
