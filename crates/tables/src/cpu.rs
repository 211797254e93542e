//! The threads that queries compute on.
//!
//! Queries get a runtime of their own: a long sort must not delay the requests of the server that asked for it, and
//! planning recurses deeply enough to need bigger stacks than the default. A panic in a query ends as an error of
//! that query.

use crate::error::{Error, Result};
use std::any::Any;
use std::future::Future;
use tokio::runtime::{Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// The deepest statement that `complexity` lets pass needs a tenth of this in debug builds. Only what is used costs
/// memory.
const STACK_BYTES: usize = 64 << 20;

/// A runtime for queries. Dropping it ends what still runs on it.
#[derive(Debug)]
pub(crate) struct Cpu {
    /// `None` only while dropping.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Cpu {
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_stack_size(STACK_BYTES)
            .thread_name("tables")
            .enable_all()
            .build()
            .map_err(|source| Error::Threads { source })?;
        let handle = runtime.handle().clone();
        Ok(Self {
            runtime: Some(runtime),
            handle,
        })
    }

    /// Runs `work` here; dropping the returned future ends it.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        match self.spawn(work).await {
            Ok(done) => done,
            Err(failed) => Err(failure(failed)),
        }
    }

    /// Starts `work` here; dropping the handle ends it.
    pub(crate) fn spawn<T, F>(&self, work: F) -> AbortOnDropHandle<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        AbortOnDropHandle::new(self.handle.spawn(work))
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        // A plain drop would block, which async code may not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a task that did not finish amounts to.
pub(crate) fn failure(failed: tokio::task::JoinError) -> Error {
    match failed.try_into_panic() {
        Ok(panic) => Error::Panicked {
            what: panic_text(panic.as_ref()),
        },
        Err(_) => Error::Stopped,
    }
}

/// The message a panic was raised with, cut to a readable length.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_own_query() {
        let cpu = Cpu::new(1).unwrap();
        let failed = cpu.run::<(), _>(async { panic!("index out of range") }).await;
        assert!(matches!(failed, Err(Error::Panicked { what }) if what == "index out of range"));
        assert_eq!(cpu.run(async { Ok(7) }).await.unwrap(), 7);
    }
}
