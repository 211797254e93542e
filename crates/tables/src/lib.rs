//! Tables on objects: query and profile. The only crate that knows DataFusion.
//!
//! [`Tables`] owns the memory, threads and spill space that queries may use. A [`Session`] is a set of named
//! [`Source`]s that SQL can read (and only read). A [`Profile`] is a mergeable summary of a table, computed in one pass.
//! Where plans run is behind [`Engine`]: in this process by default, on a Ballista cluster with `everloop-ballista`.
//!
//! What is asynchronous here answers a boxed future: the code of an `async fn` is compiled anew in each crate that awaits
//! it, and behind these few calls lies the whole planner.
//!
//! Arrow's types are the common tongue of tables and appear in public signatures; reach them through [`arrow`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod arrow_file;
mod complexity;
mod cpu;
mod engine;
mod error;
mod frame;
mod listing;
mod numbered;
mod options;
mod ordered;
mod profile;
mod query;
mod records;
mod resolve;
mod session;
mod source;
mod tables;
mod writing;

pub use answer::{Answer, RowStream};
pub use datafusion::arrow;
pub use engine::{Engine, LocalEngine};
pub use error::{Error, Place, Result};
pub use frame::{from_frame, to_frame};
pub use options::TablesOptions;
pub use profile::{
    Bin, CategoryShares, ColumnProfile, Kind, Profile, ProfileBuilder, ProfileOptions, TextLengths, TopValue,
    profile_function,
};
pub use session::Session;
pub use source::{CsvFormat, Format, ObjectFile, Source};
pub use tables::Tables;
pub use writing::Written;
