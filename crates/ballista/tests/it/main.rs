//! The same questions to the local engine and to a cluster on loopback.

mod answers;
mod refusals;
