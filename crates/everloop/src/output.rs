//! Results go to stdout, all else to stderr; a closed pipe ends quietly; colour only on a terminal.

use comfy_table::{ContentArrangement, Table, presets};
use everloop_core::{Code, Coded};
use everloop_server::api::Time;
use serde::Serialize;
use serde_json::Value;
use std::io::{self, IsTerminal, Write};

use crate::problem::Problem;

/// How this command shows things.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Whether results are printed as JSON.
    pub json: bool,
    /// Whether only results and errors are printed.
    pub quiet: bool,
}

impl Output {
    /// Prints a result: as JSON with `--json`, else as `human` writes it.
    ///
    /// # Errors
    /// When stdout fails; a pipe whose reader has left is one such failure, which `main` takes for a quiet end.
    pub fn result<T: Serialize>(self, value: &T, human: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        let text = if self.json {
            serde_json::to_string_pretty(value)?
        } else {
            human(value)
        };
        self.line(&text)
    }

    /// Prints one line of a result.
    ///
    /// # Errors
    /// As [`result`](Self::result).
    pub fn line(self, text: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }

    /// Tells the person something that is not a result.
    #[expect(
        clippy::print_stderr,
        reason = "the one place that talks to the person beside results"
    )]
    pub fn note(self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// Says what is about to be destroyed and waits for a yes; without a terminal `--yes` must have said so before.
    ///
    /// # Errors
    /// When there is no terminal, or the answer is not yes.
    pub fn confirm(self, what: &str) -> anyhow::Result<()> {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Problem::usage(format!("not done without a yes: {what}"))
                .hint("say it with --yes")
                .into());
        }
        let mut out = io::stderr().lock();
        write!(out, "{what}. Go on? [y/N] ")?;
        out.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Problem::new(Code::Cancelled, "nothing was done").into())
    }

    /// Whether progress bars may be drawn.
    #[must_use]
    pub fn is_interactive(self) -> bool {
        !self.json && !self.quiet && io::stderr().is_terminal()
    }
}

/// A table with a header, as wide as the terminal at most.
#[must_use]
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    // Cells are padded on both sides; the first column starts at the margin all the same.
    let text = table.to_string();
    let lines = text
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

/// A moment without its seconds, as tables show it.
#[must_use]
pub fn moment(at: &Time) -> String {
    let text = at.0.to_rfc3339();
    text.get(..16).unwrap_or(&text).replace('T', " ")
}

/// Something that may not be there.
#[must_use]
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A JSON value as a cell shows it: texts without their quotes, nothing as nothing.
#[must_use]
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// An error as people see it: what, where, how to mend it.
#[must_use]
pub fn describe(message: &str, location: Option<&str>, hint: Option<&str>) -> String {
    let mut text = format!("error: {message}");
    if let Some(location) = location {
        text.push_str(&format!("\n  at: {location}"));
    }
    if let Some(hint) = hint {
        text.push_str(&format!("\n  hint: {hint}"));
    }
    text
}

/// Any of our errors as people see it, with its causes.
#[must_use]
pub fn describe_coded(error: &dyn Coded) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !message.contains(&text) {
            message.push_str(&format!(": {text}"));
        }
        cause = next.source();
    }
    describe(&message, error.location().as_deref(), error.hint().as_deref())
}
