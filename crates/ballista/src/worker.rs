//! A worker of a cluster, on a runtime of its own.

use crate::scheduler::{failed, runtime, session_config, session_state};
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use everloop_tables::{Result, Tables};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// How long a worker may take to answer after its start.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const START_POLL: Duration = Duration::from_millis(20);

/// How a worker takes part in a cluster.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Where the scheduler listens.
    pub scheduler: SocketAddr,
    /// The address other workers and clients fetch answers from.
    pub bind: IpAddr,
    /// The name they reach it by; `bind` when `None`.
    pub advertise: Option<String>,
    /// The port; a free one when 0.
    pub port: u16,
    /// Tasks at once. At least one.
    pub threads: usize,
    /// Folder for the data that tasks hand on. Emptied by no one but its owner.
    pub work_dir: PathBuf,
}

impl WorkerOptions {
    /// A worker on loopback with `threads` tasks at once that keeps its data in `work_dir`.
    #[must_use]
    pub fn loopback(scheduler: SocketAddr, threads: usize, work_dir: PathBuf) -> Self {
        Self {
            scheduler,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            advertise: None,
            port: 0,
            threads,
            work_dir,
        }
    }
}

/// Runs tasks of a cluster. Dropping it stops it; its tasks are given to others.
#[derive(Debug)]
pub struct Worker {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Worker {
    /// Starts a worker that reads the stores of `tables`, and waits until it answers.
    ///
    /// # Errors
    /// When the scheduler does not answer or the address cannot be bound.
    pub async fn start(options: WorkerOptions, tables: &Tables) -> Result<Self> {
        let threads = options.threads.max(1);
        std::fs::create_dir_all(&options.work_dir).map_err(|error| failed("worker", error))?;
        let port = match options.port {
            0 => free_port(options.bind)?,
            port => port,
        };
        let address = SocketAddr::new(options.bind, port);
        let config = Arc::new(process_config(&options, port, threads, tables));
        let runtime = runtime("worker", threads)?;
        let mut process = runtime.spawn(async move { start_executor_process(config).await });
        tokio::select! {
            ended = &mut process => {
                let detail = match ended {
                    Ok(Ok(())) => "it ended at once".to_owned(),
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => error.to_string(),
                };
                runtime.shutdown_background();
                return Err(failed("worker", detail));
            }
            reached = reach(address) => {
                if let Err(error) = reached {
                    runtime.shutdown_background();
                    return Err(error);
                }
            }
        }
        Ok(Self {
            address,
            runtime: Some(runtime),
        })
    }

    /// Where answers are fetched from.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The library takes a port, not a listener, so a free one is found by taking it for a moment.
fn free_port(bind: IpAddr) -> Result<u16> {
    TcpListener::bind((bind, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| failed("worker", error))
}

async fn reach(address: SocketAddr) -> Result<()> {
    let answers = async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(START_POLL).await;
        }
    };
    tokio::time::timeout(START_TIMEOUT, answers)
        .await
        .map_err(|_| failed("worker", format!("it did not answer in {START_TIMEOUT:?}")))
}

fn process_config(
    options: &WorkerOptions,
    port: u16,
    threads: usize,
    tables: &Tables,
) -> ExecutorProcessConfig {
    let state = session_state(tables, session_config(tables));
    let env = tables.runtime_env();
    let settings = tables.clone();
    ExecutorProcessConfig {
        bind_host: options.bind.to_string(),
        external_host: Some(
            options
                .advertise
                .clone()
                .unwrap_or_else(|| options.bind.to_string()),
        ),
        port,
        scheduler_host: options.scheduler.ip().to_string(),
        scheduler_port: options.scheduler.port(),
        vcores: threads,
        // The worker asks for tasks, so the scheduler need not reach it.
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(options.work_dir.display().to_string()),
        memory_pool_size: Some(tables.memory_limit().0),
        override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&state))),
        override_runtime_producer: Some(Arc::new(move |_| Ok(Arc::clone(&env)))),
        override_config_producer: Some(Arc::new(move || session_config(&settings))),
        ..ExecutorProcessConfig::default()
    }
}
