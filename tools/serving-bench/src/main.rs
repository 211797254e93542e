//! What an answer costs:
//!
//! ```sh
//! cargo build --release && cargo run --release -p everloop-serving-bench
//! ```
//!
//! Starts the real program with a model that the built-in learner made of the flights, prediction log on, and beside it
//! an axum server that sends each body back: as bytes, and parsed to types and written again. Both are driven in turns
//! over keep-alive connections on loopback, each round with so many requests, so that whatever else the machine does
//! meets them alike. Server CPU is what the system counts for the process, from before a round until the process is
//! quiet again: storing the log as Parquet is in it. Latency is what the caller sees.
//!
//! Options, after `--`: `--requests N` a round (20000), `--rounds N` (5), `--connections N,N` (1,16), `--only CASE`,
//! `--program PATH` (the `everloop` beside this one). A package of its own, so that measuring builds nothing of the
//! product anew.

#![allow(clippy::print_stdout, reason = "what was measured is for people to read")]

mod load;
mod requests;
mod servers;

use load::{Round, drive};
use requests::{Case, cases};
use servers::{Echo, Project, Server};
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the command line asks for.
struct Options {
    requests: usize,
    rounds: usize,
    connections: Vec<usize>,
    only: Option<String>,
    program: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().map(String::as_str) == Some(servers::ECHO) {
        return servers::run_echo();
    }
    let options = Options::parse(&args)?;
    anyhow::ensure!(
        options.program.exists(),
        "\"{}\" is not there; build it first: cargo build --release",
        options.program.display()
    );
    println!(
        "{} rounds of {} requests (fewer of many rows), in turns; server CPU from the system's own count\n",
        options.rounds, options.requests
    );
    println!(
        "{:<10} {:>5} {:<12} {:>9} {:>9} {:>9} {:>10} {:>8}",
        "request", "conns", "server", "cpu us", "p50 us", "p99 us", "answers/s", "p50/echo"
    );
    let echo = Echo::start()?;
    for project in [Project::FLIGHTS, Project::TEXTS] {
        let home = tempfile::tempdir()?;
        let server = project.start(&options.program, home.path())?;
        for case in cases(&server, &project)? {
            if options.only.as_ref().is_none_or(|only| case.name == *only) {
                for connections in &options.connections {
                    compare(&case, *connections, &options, &server, &echo)?;
                }
            }
        }
    }
    Ok(())
}

impl Options {
    fn parse(args: &[String]) -> anyhow::Result<Self> {
        let mut options = Self {
            requests: 20_000,
            rounds: 5,
            connections: vec![1, 16],
            only: None,
            program: std::env::current_exe()?.with_file_name("everloop"),
        };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let value = args
                .next()
                .ok_or_else(|| anyhow::anyhow!("\"{name}\" needs a value"))?;
            match name.as_str() {
                "--requests" => options.requests = value.parse()?,
                "--rounds" => options.rounds = value.parse()?,
                "--connections" => {
                    options.connections = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
                "--only" => options.only = Some(value.clone()),
                "--program" => options.program = PathBuf::from(value),
                _ => anyhow::bail!("there is no option \"{name}\""),
            }
        }
        Ok(options)
    }
}

/// Rounds of the same requests against each server in turn, and a line for each.
fn compare(
    case: &Case,
    connections: usize,
    options: &Options,
    server: &Server,
    echo: &Echo,
) -> anyhow::Result<()> {
    let targets = [
        ("everloop", &server.process, case.path.as_str()),
        ("echo bytes", &echo.process, servers::ECHO_BYTES),
        ("echo typed", &echo.process, servers::ECHO_TYPED),
    ];
    let requests = (options.requests / case.rows.min(20)).max(connections);
    let mut rounds: [Vec<Round>; 3] = Default::default();
    for round in 0..=options.rounds {
        for ((_, process, path), rounds) in targets.iter().zip(&mut rounds) {
            let done = drive(process, path, &case.bodies, connections, requests)?;
            // The first warms up caches, buffers and branch predictors.
            if round > 0 {
                rounds.push(done);
            }
        }
    }
    // What lies in the open segment is stored now, so that its cost is counted too.
    let sealing = server.seal()?;
    if let Some(last) = rounds[0].last_mut() {
        last.cpu += sealing;
    }
    let echo_p50 = Round::of_all(&rounds[1]).p50_us;
    for ((name, ..), rounds) in targets.iter().zip(&rounds) {
        let all = Round::of_all(rounds);
        println!(
            "{:<10} {:>5} {:<12} {:>9.1} {:>9.1} {:>9.1} {:>10.0} {:>8.2}",
            case.name,
            connections,
            name,
            all.cpu_us,
            all.p50_us,
            all.p99_us,
            all.answers_per_second,
            all.p50_us / echo_p50
        );
    }
    Ok(())
}
