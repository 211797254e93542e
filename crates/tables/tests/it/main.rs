//! Tables against real files and exact figures.

mod sql;
mod support;
