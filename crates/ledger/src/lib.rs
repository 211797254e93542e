//! What happened and why: one hash-chained row per change, in the change's own transaction.
