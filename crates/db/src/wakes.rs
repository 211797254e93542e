//! Wake-ups: a commit that changed something named by a channel wakes whoever waits for it, without polling.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::watch;

/// One counter per channel; each wake-up raises it. `None` once the database is closed.
#[derive(Debug)]
pub(crate) struct Wakes(Mutex<Option<Channels>>);

type Channels = HashMap<&'static str, watch::Sender<u64>>;

impl Default for Wakes {
    fn default() -> Self {
        Self(Mutex::new(Some(HashMap::new())))
    }
}

impl Wakes {
    /// The counter of `channel`; of a closed database one that ended.
    pub(crate) fn subscribe(&self, channel: &'static str) -> watch::Receiver<u64> {
        match &mut *self.0.lock() {
            Some(channels) => channels
                .entry(channel)
                .or_insert_with(|| watch::channel(0).0)
                .subscribe(),
            None => watch::channel(0).1,
        }
    }

    pub(crate) fn wake(&self, channel: &str) {
        if let Some(sender) = self.0.lock().as_ref().and_then(|channels| channels.get(channel)) {
            raise(sender);
        }
    }

    /// Another process changed something, we can't tell what.
    pub(crate) fn wake_all(&self) {
        self.0.lock().iter().flat_map(HashMap::values).for_each(raise);
    }

    pub(crate) fn anyone_waits(&self) -> bool {
        let channels = self.0.lock();
        let mut senders = channels.iter().flat_map(HashMap::values);
        senders.any(|sender| sender.receiver_count() > 0)
    }

    /// Tells all who wait that nothing will come any more.
    pub(crate) fn close(&self) {
        self.0.lock().take();
    }
}

fn raise(sender: &watch::Sender<u64>) {
    sender.send_modify(|count| *count += 1);
}
