//! Requests and answers as bytes: pure, and never panicking, whatever the bytes are.

mod answer;
mod json;
pub mod mlflow;
pub mod oip;
#[cfg(test)]
mod oracle;
mod rows;
