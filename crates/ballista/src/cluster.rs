//! A whole cluster on this machine's loopback.

use crate::{BallistaEngine, Scheduler, Worker, WorkerOptions};
use everloop_tables::{Result, Tables};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// A scheduler and workers in this process. Dropping it stops them.
#[derive(Debug)]
pub struct Cluster {
    // Workers go first, so that they do not look for a scheduler that is gone.
    workers: Vec<Worker>,
    scheduler: Scheduler,
}

impl Cluster {
    /// Starts a scheduler and `workers` workers of `threads` tasks each on free ports of loopback. They read the
    /// stores of `tables` and keep the data they hand on below `work_dir`.
    ///
    /// # Errors
    /// When a part cannot start.
    pub async fn start(tables: &Tables, workers: usize, threads: usize, work_dir: &Path) -> Result<Self> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let scheduler = Scheduler::start(loopback, tables).await?;
        let mut started = Vec::new();
        for index in 0..workers {
            let folder = work_dir.join(format!("worker-{index}"));
            let options = WorkerOptions::loopback(scheduler.address(), threads, folder);
            started.push(Worker::start(options, tables).await?);
        }
        Ok(Self {
            workers: started,
            scheduler,
        })
    }

    /// The URL that [`BallistaEngine::new`] takes.
    #[must_use]
    pub fn url(&self) -> String {
        self.scheduler.url()
    }

    /// An engine that runs plans on this cluster.
    ///
    /// # Errors
    /// Never for an address of loopback.
    pub fn engine(&self) -> Result<BallistaEngine> {
        BallistaEngine::new(&self.url())
    }

    /// Number of workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }
}
