//! `everloop config`: the settings and where they came from.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::config::Origin;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{or_dash, table};

/// Settings: defaults, config.toml in the home folder, variables, flags; later wins.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  everloop config show")]
pub enum ConfigCommand {
    Show(ShowArgs),
}

/// Show every setting, its value and where that came from.
///
/// Passwords in addresses are masked.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop config show\n  EVERLOOP_MEMORY=8GiB everloop config show --json"
)]
pub struct ShowArgs {}

/// A setting as it holds now.
#[derive(Debug, Serialize)]
struct Shown {
    key: &'static str,
    value: Option<String>,
    origin: Origin,
    variable: &'static str,
    doc: &'static str,
}

/// Shows the settings.
pub fn run(command: &ConfigCommand, context: &Context) -> anyhow::Result<Exit> {
    let ConfigCommand::Show(_) = command;
    let settings: Vec<Shown> = context
        .config
        .iter()
        .map(|(setting, value, origin)| Shown {
            key: setting.key,
            value: Some(value).filter(|value| !value.is_empty()),
            origin: origin.clone(),
            variable: setting.variable,
            doc: setting.doc,
        })
        .collect();
    context
        .output
        .note(&format!("home folder: {}", context.config.home().display()));
    context.output.result(&settings, |settings| {
        let rows = settings.iter().map(|setting| {
            vec![
                setting.key.to_owned(),
                or_dash(setting.value.as_ref()),
                setting.origin.to_string(),
                setting.variable.to_owned(),
                setting.doc.to_owned(),
            ]
        });
        table(&["setting", "value", "from", "variable", "what it does"], rows)
    })?;
    Ok(Exit::Done)
}
