//! Everloop: one program that keeps machine-learning models good in production.
//!
//! The command line: `commands` has a file per command, `client` asks a server or this process itself, `config` holds
//! the settings, `exit` the exit codes, `output` what people see.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod client;
mod commands;
mod config;
mod context;
mod demo;
mod engine;
mod exit;
mod logging;
mod output;
mod problem;

use clap::Parser;
use std::process::ExitCode;
use std::time::Duration;

use commands::Cli;
use exit::Exit;
use output::Output;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Deep queries and models recurse; threads get the stack that a main thread has.
const STACK: usize = 8 << 20;
/// How long work that can't be interrupted may keep an ended program alive.
const LAST_WORK: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    // Fails only when there is a provider already, which is then the one to use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help) => return tell(&help),
    };
    let output = cli.output();
    match start(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let (exit, text) = problem::verdict(&error);
            if let Some(text) = text {
                // Errors are told even to the quiet.
                Output {
                    quiet: false,
                    ..output
                }
                .note(&text);
            }
            exit.into()
        }
    }
}

/// Help and version are results; a mistake in the arguments is not.
fn tell(help: &clap::Error) -> ExitCode {
    // Nobody reads it: there is nothing to do about that.
    let _ = help.print();
    if help.use_stderr() {
        Exit::Usage.into()
    } else {
        Exit::Done.into()
    }
}

fn start(cli: Cli) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .build()?;
    let outcome = runtime.block_on(commands::run(cli));
    runtime.shutdown_timeout(LAST_WORK);
    outcome
}
