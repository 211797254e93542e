//! The store seen from outside, on a folder always and on S3 when `EVERLOOP_TEST_S3` names a bucket.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line it unwrapped on"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "peers and the orders of parents to children come by the environment; kills come at random instants"
)]

mod cleaning;
mod contract;
mod crash;
mod damage;
mod full;
mod memory;
mod properties;
mod query;
mod stores;

/// The program's allocator, so that figures of memory are the program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
