//! Kills the real server at random instants under load, or fills its disk, and checks that nothing that it
//! acknowledged was lost and that nothing happened twice.
//!
//! ```text
//! cargo build --release && cargo run --release -p everloop --example crash -- --kills 200 --seed 1
//! cargo run -p everloop --example crash -- --disk-full
//! ```
//!
//! `load` asks the server for everything at once and writes what it answered into the `journal`; `server` starts and
//! kills it; after each restart `look` compares samples, and at the end `audit` compares everything, behind the
//! server's back. The seed repeats the requests and the instants, as far as the machine keeps time.
#![allow(clippy::print_stdout, missing_docs)]

mod args;
mod audit;
mod client;
mod disk;
mod journal;
mod kills;
mod laws;
mod load;
mod look;
mod random;
mod rows;
mod server;
mod shared;
mod workspace;

use clap::Parser;
use std::process::ExitCode;

use args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match args.disk_full {
        true => disk::run(&args).await,
        false => kills::run(&args).await,
    };
    match outcome {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            for line in wrong.iter().take(50) {
                println!("WRONG: {line}");
            }
            println!("{} things are wrong", wrong.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("the harness itself failed: {error:#}");
            ExitCode::from(2)
        }
    }
}
