//! Requests and answers as bytes: pure, and never panicking, whatever the bytes are.

pub mod mlflow;
pub mod oip;
mod rows;
