//! Logs go to stderr, as text or JSON.

use everloop_core::Code;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Origin};
use crate::context::variable;
use crate::problem::Problem;

/// Who will read the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Whoever runs a server.
    Operator,
    /// Someone at a terminal, who wants results and trouble only.
    Person,
}

/// Starts logging as the settings say.
///
/// # Errors
/// When a setting is wrong.
pub fn start(config: &Config, reader: Reader) -> anyhow::Result<()> {
    let wanted = config.text("log").unwrap_or_default();
    let filter = match (reader, config.origin("log")) {
        (Reader::Person, Origin::Default) => "error,everloop=warn",
        _ => wanted,
    };
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Problem::usage(format!("setting \"log\" is \"{wanted}\": {error}")))?;
    let colour = io::stderr().is_terminal() && variable("NO_COLOR").is_none();
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour);
    let started = match config.text("log_format") {
        Some("json") => base.json().try_init(),
        Some("text") | None => base.try_init(),
        Some(other) => {
            return Err(Problem::usage(format!(
                "setting \"log_format\" is \"{other}\": expected text or json"
            ))
            .into());
        }
    };
    started.map_err(|error| Problem::new(Code::Internal, format!("can't start logging: {error}")).into())
}
