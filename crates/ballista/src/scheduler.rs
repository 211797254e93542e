//! The scheduler of a cluster, on a runtime of its own.

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::extension::{
    SessionConfigExt, ballista_aggregate_functions, ballista_scalar_functions, ballista_window_functions,
};
use ballista_core::optimizer::ballista_default_optimizer_rules;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use ballista_scheduler::scheduler_server::SchedulerServer;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use everloop_tables::{Error, Result, Tables, profile_function};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Takes plans, cuts them into stages and hands those to workers. Dropping it stops it.
///
/// It listens without authentication: bind it to loopback or a network that only the cluster can reach.
#[derive(Debug)]
pub struct Scheduler {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Scheduler {
    /// Starts a scheduler that listens on `listen` (port 0 takes a free one) and plans with the settings and stores of
    /// `tables`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(listen: SocketAddr, tables: &Tables) -> Result<Self> {
        let runtime = runtime("scheduler", 2)?;
        let tables = tables.clone();
        let bound = runtime.spawn(async move { bind(listen, tables).await });
        let (listener, server) = bound.await.map_err(|error| failed("scheduler", error))??;
        let address = listener
            .local_addr()
            .map_err(|error| failed("scheduler", error))?;
        // The runtime owns the task: dropping the scheduler ends it.
        runtime.spawn(async move {
            if let Err(error) = start_grpc_service_with_listener(listener, server).await {
                tracing::error!(%error, "the Ballista scheduler stopped");
            }
        });
        Ok(Self {
            address,
            runtime: Some(runtime),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL for [`BallistaEngine::new`](crate::BallistaEngine::new).
    #[must_use]
    pub fn url(&self) -> String {
        format!("ballista://{}", self.address)
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn bind(
    listen: SocketAddr,
    tables: Tables,
) -> Result<(TcpListener, SchedulerServer<LogicalPlanNode, PhysicalPlanNode>)> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| failed("scheduler", error))?;
    let address = listener
        .local_addr()
        .map_err(|error| failed("scheduler", error))?;
    let sessions = tables.clone();
    let cluster = BallistaCluster::new_memory(
        address.to_string(),
        Arc::new(move |config| Ok(session_state(&sessions, config))),
        Arc::new(move || session_config(&tables)),
    );
    let config = SchedulerConfig {
        external_host: address.ip().to_string(),
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        // Workers ask for tasks, so the scheduler need not reach them.
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        ..SchedulerConfig::default()
    };
    let server = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config))
        .await
        .map_err(|error| failed("scheduler", error))?;
    Ok((listener, server))
}

/// What planning on the scheduler and running on a worker start from.
pub(crate) fn session_config(tables: &Tables) -> SessionConfig {
    tables.session_config().upgrade_for_ballista()
}

/// A session that knows the stores of `tables` and Everloop's functions.
pub(crate) fn session_state(tables: &Tables, config: SessionConfig) -> SessionState {
    let mut aggregates = ballista_aggregate_functions();
    aggregates.push(Arc::new(profile_function()));
    SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(tables.runtime_env())
        .with_optimizer_rules(ballista_default_optimizer_rules())
        .with_scalar_functions(ballista_scalar_functions())
        .with_aggregate_functions(aggregates)
        .with_window_functions(ballista_window_functions())
        .build()
}

/// A runtime with stacks that planning fits in.
pub(crate) fn runtime(name: &str, threads: usize) -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_stack_size(8 << 20)
        .thread_name(format!("ballista-{name}"))
        .enable_all()
        .build()
        .map_err(|source| Error::Threads { source })
}

pub(crate) fn failed(part: &str, error: impl ToString) -> Error {
    Error::Engine {
        engine: format!("ballista {part}"),
        detail: error.to_string(),
    }
}
