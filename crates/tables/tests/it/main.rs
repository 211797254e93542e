//! Tables against real files and exact figures.

mod files;
mod formats;
mod hostile;
mod laws;
mod limits;
mod objects;
mod order;
mod profile;
mod read_only;
mod sql;
mod stored;
mod support;
mod writing;
