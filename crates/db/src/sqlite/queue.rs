//! The bounded way into the database threads.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::job::{Call, Job};
use crate::{Error, Result, Tx};

/// Longer than this nobody waits for a place in the queue: the answer is that the queue is full.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a database thread receives.
pub(crate) enum Message {
    /// Run this.
    Run(Box<dyn Job>),
    /// Look again whether anyone waits for wake-ups.
    Nudge,
}

/// The callers' end of the queue.
pub(crate) struct Queue {
    /// Taken away when the database closes, which ends the threads.
    sender: RwLock<Option<Sender<Message>>>,
    places: Arc<Semaphore>,
    capacity: usize,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> (Self, Receiver<Message>) {
        // The places bound the channel; a nudge needs none.
        let (sender, receiver) = crossbeam_channel::unbounded();
        let queue = Self {
            sender: RwLock::new(Some(sender)),
            places: Arc::new(Semaphore::new(capacity)),
            capacity,
        };
        (queue, receiver)
    }

    /// Queues `f` and waits for its outcome.
    pub(crate) async fn call<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (call, answer) = Call::new(f, self.place().await?);
        self.send(Message::Run(Box::new(call)))?;
        // The thread drops the call without an answer only when it ends.
        answer.await.unwrap_or_else(|_| Err(E::from(Error::Closed)))
    }

    pub(crate) fn nudge(&self) {
        // A closed database has nobody to nudge.
        let _ = self.send(Message::Nudge);
    }

    pub(crate) fn depth(&self) -> usize {
        self.capacity - self.places.available_permits()
    }

    pub(crate) fn close(&self) {
        self.sender.write().take();
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(LONGEST_WAIT, place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(Error::QueueFull {
                waiting: self.capacity,
            }),
        }
    }

    fn send(&self, message: Message) -> Result<()> {
        match &*self.sender.read() {
            Some(sender) => sender.send(message).map_err(|_| Error::Closed),
            None => Err(Error::Closed),
        }
    }
}
