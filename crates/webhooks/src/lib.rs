//! Messages to other systems: outbox, signatures, safe egress.
//!
//! The ledger is the outbox: a consumer with a cursor turns events that a [`Hook`] wants into rows, in the cursor's own
//! transaction, and each row is sent until its receiver says yes or its budget is spent. A message is therefore sent *at
//! least once*, always under the same id. Messages of one hook start in the ledger's order; one that fails does not hold
//! back those behind it, and every message carries its place (`sequence`) for receivers that mind.
//!
//! Attempts are transport, not history: they are rows here and no ledger events. What a person must know (a message was
//! given up, someone asked for it again) is an event, of the kinds `webhook.*`, which are never sent to webhooks.
//!
//! How a message looks and is signed is a [`Dialect`]: a value, so that another dialect is another constant.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
mod dialect;
mod egress;
mod error;
mod hook;
mod outbox;
mod retry;
pub mod signature;
mod store;

pub use dialect::{Dialect, Envelope, Message, STANDARD};
pub use egress::{Allow, Egress, UnknownAllowance};
pub use error::{Error, Result};
pub use hook::{Hook, Key, NOTIFY, hooks_of, topic_of};
pub use outbox::{Attempts, Outbox};
pub use retry::{LEAST_WAIT, MOST_ATTEMPTS, wait_after};
pub use store::{Counts, Delivery, DeliveryState, MIGRATIONS, counts, deliveries, retry};
