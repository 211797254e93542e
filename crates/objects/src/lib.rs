//! Immutable bytes named by their BLAKE3 hash, in a folder or an object store.
//!
//! [`Objects`] puts and gets objects by their [`Hash`](everloop_core::Hash). What a put answered is durable, what a get
//! hands out was checked against the hash, and what nothing refers to is the collector's
//! ([`collect`](Objects::collect)). Objects up to 1 MiB are stored whole and, when put together, in shared packs; larger
//! ones are cut into chunks by their content, so that versions of a file share what they have in common.
//!
//! Every change is published in the same order: bytes durable first, then the one small file that points at them. So a
//! crash at any instant leaves leftovers ([`sweep`](Objects::sweep)), never half an object.
//!
//! Chunks are not compressed: most of what is stored (Parquet, models, images, archives) is compressed already, and a
//! stored file stays what its name says, checkable with `b3sum`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod as_store;
mod backend;
mod blocking;
mod clean;
mod cut;
mod error;
mod get;
mod grace;
mod key;
mod objects;
mod pack;
mod pieces;
mod put;
mod recipe;
mod url;

pub use as_store::ObjectsAsStore;
pub use clean::{CleanOptions, Collected, LiveSet, Swept};
pub use error::{Error, Result};
pub use objects::Objects;
pub use put::{LARGEST_WHOLE, Stored};
pub use url::{Options, StoreUrl};
