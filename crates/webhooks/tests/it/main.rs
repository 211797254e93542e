//! What the crate promises, against a real receiver on loopback.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod outbox;
