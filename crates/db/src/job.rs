//! A transaction's closure on its way to a database thread and its outcome on the way back.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{Error, Result, Tx};

/// What the database threads see of a closure: they run it, learn whether to keep its changes, and answer later.
pub(crate) trait Job: Send {
    /// Runs the closure; true when its changes are to be kept. May be called again after a rollback.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;

    /// Replaces the outcome, because the changes could not be kept.
    fn fail(&mut self, error: Error);

    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// Sends the outcome to whoever waits.
    fn answer(self: Box<Self>);
}

/// A closure with its caller's reply channel and its place in the queue.
pub(crate) struct Call<T, E, F> {
    f: F,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
    place: OwnedSemaphorePermit,
}

impl<T, E, F> Call<T, E, F> {
    pub(crate) fn new(f: F, place: OwnedSemaphorePermit) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (reply, answer) = oneshot::channel();
        let call = Self {
            f,
            outcome: None,
            reply,
            place,
        };
        (call, answer)
    }
}

impl<T, E, F> Job for Call<T, E, F>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let outcome = run(&mut self.f, tx);
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn fail(&mut self, error: Error) {
        self.outcome = Some(Err(E::from(error)));
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn answer(self: Box<Self>) {
        // Who has the answer no longer stands in the queue.
        drop(self.place);
        let outcome = self.outcome.unwrap_or_else(|| Err(E::from(Error::Closed)));
        // Nobody listening any more is the caller's choice.
        let _ = self.reply.send(outcome);
    }
}

/// Runs a transaction's closure. A panic in it is that one request's error; a statement's failure that it passed over
/// in silence is not forgotten.
pub(crate) fn run<T, E, F>(f: &mut F, tx: &mut Tx<'_>) -> Result<T, E>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E>,
    E: From<Error>,
{
    match catch_unwind(AssertUnwindSafe(|| f(tx))) {
        Err(panic) => Err(E::from(Error::Panicked {
            message: panic_message(&*panic),
        })),
        Ok(Err(error)) => Err(error),
        Ok(Ok(value)) => match tx.failure() {
            Some(error) => Err(E::from(error.clone())),
            None => Ok(value),
        },
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
