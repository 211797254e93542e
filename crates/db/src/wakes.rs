//! Wake-ups: a commit that changed something named by a channel wakes whoever waits for it, without polling.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::watch;

/// One counter per channel; each wake-up raises it.
#[derive(Debug, Default)]
pub(crate) struct Wakes(Mutex<HashMap<&'static str, watch::Sender<u64>>>);

impl Wakes {
    pub(crate) fn subscribe(&self, channel: &'static str) -> watch::Receiver<u64> {
        self.0
            .lock()
            .entry(channel)
            .or_insert_with(|| watch::channel(0).0)
            .subscribe()
    }

    pub(crate) fn wake(&self, channel: &str) {
        if let Some(sender) = self.0.lock().get(channel) {
            sender.send_modify(|count| *count += 1);
        }
    }

    /// Another process changed something, we can't tell what.
    pub(crate) fn wake_all(&self) {
        for sender in self.0.lock().values() {
            sender.send_modify(|count| *count += 1);
        }
    }

    pub(crate) fn anyone_waits(&self) -> bool {
        self.0.lock().values().any(|sender| sender.receiver_count() > 0)
    }
}
