//! Profiles a Parquet file and, for comparison, asks DataFusion for the same figures in one hand-written aggregate query.
//!
//! `cargo run --release -p everloop-unify -p everloop-tables --example profile_bench -- FILE.parquet [RUNS] [THREADS]`
//! prints medians of wall and CPU time and the peak of resident memory, one line per way.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use anyhow::{Context, Result};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use everloop_tables::{Source, Tables, TablesOptions};
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments
        .next()
        .context("usage: profile_bench FILE.parquet [RUNS] [THREADS]")?;
    let runs: usize = arguments.next().map_or(Ok(5), |runs| runs.parse())?;
    let threads: usize = arguments.next().map_or(Ok(2), |threads| threads.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_stack_size(8 << 20)
        .enable_all()
        .build()?;
    runtime.block_on(compare(&file, runs, threads))
}

async fn compare(file: &str, runs: usize, threads: usize) -> Result<()> {
    let mut figures = Vec::new();
    for name in ["profile", "sql, median", "sql, 5 quantiles"] {
        let mut samples = Vec::new();
        reset_peak();
        for _ in 0..runs {
            let start = (Instant::now(), cpu_time()?);
            match name {
                "profile" => profile(file, threads).await?,
                "sql, median" => sql(file, threads, &[0.5]).await?,
                _ => sql(file, threads, &[0.05, 0.25, 0.5, 0.75, 0.95]).await?,
            }
            samples.push((start.0.elapsed(), cpu_time()? - start.1));
        }
        let peak = peak_memory()?;
        let wall = median(samples.iter().map(|sample| sample.0).collect());
        let cpu = median(samples.iter().map(|sample| sample.1).collect());
        println!(
            "{name:>18}: wall {wall:.2?}, cpu {cpu:.2?}, peak memory {} MiB",
            peak >> 20
        );
        figures.push(wall.as_secs_f64());
    }
    println!(
        "profile / sql: {:.2} (median), {:.2} (5 quantiles)",
        figures[0] / figures[1],
        figures[0] / figures[2]
    );
    Ok(())
}

async fn profile(file: &str, threads: usize) -> Result<()> {
    let tables = Tables::new(TablesOptions {
        threads,
        ..TablesOptions::default()
    })?;
    let profile = tables.profile(Source::paths([file])).await?;
    anyhow::ensure!(profile.rows() > 0, "no rows");
    Ok(())
}

async fn sql(file: &str, threads: usize, quantiles: &[f64]) -> Result<()> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads));
    context
        .register_parquet("t", file, ParquetReadOptions::default())
        .await?;
    let table = context.table("t").await?;
    let text = query(table.schema().as_arrow(), quantiles);
    let batches = context.sql(&text).await?.collect().await?;
    anyhow::ensure!(batches.len() == 1, "one row");
    Ok(())
}

/// The figures of a profile as SQL.
fn query(schema: &Schema, quantiles: &[f64]) -> String {
    let mut parts = vec!["count(*)".to_owned()];
    for field in schema.fields() {
        let column = format!("\"{}\"", field.name());
        parts.push(format!("count({column})"));
        match field.data_type() {
            // DataFusion counts no distinct reals; leaving them out makes the query lighter than the profile.
            real if real.is_floating() => {}
            DataType::Dictionary(_, _) => parts.push(format!("approx_distinct(cast({column} as varchar))")),
            _ => parts.push(format!("approx_distinct({column})")),
        }
        match field.data_type() {
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(_, _) => {
                let length = format!("character_length({column})");
                parts.push(format!("min({length}), max({length}), avg({length})"));
            }
            other => {
                let number = match other {
                    DataType::Timestamp(_, _) => format!("cast({column} as bigint)"),
                    _ => column.clone(),
                };
                parts.push(format!(
                    "min({column}), max({column}), avg({number}), stddev({number})"
                ));
                for q in quantiles {
                    parts.push(format!("approx_percentile_cont({number}, {q})"));
                }
            }
        }
    }
    // Each figure gets a name: two columns may have figures that print alike.
    let named: Vec<String> = parts
        .iter()
        .flat_map(|part| {
            part.split(", ")
                .scan(String::new(), |open, piece| Some(join(open, piece)))
        })
        .flatten()
        .enumerate()
        .map(|(index, figure)| format!("{figure} as f{index}"))
        .collect();
    format!("select {} from t", named.join(", "))
}

/// Puts together what a comma inside parentheses cut.
fn join(open: &mut String, piece: &str) -> Option<String> {
    if !open.is_empty() {
        open.push_str(", ");
    }
    open.push_str(piece);
    if open.matches('(').count() == open.matches(')').count() {
        return Some(std::mem::take(open));
    }
    None
}

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// User and system time of this process.
fn cpu_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// The most memory that was resident since [`reset_peak`].
fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .context("no VmHWM")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kib << 10)
}

fn reset_peak() {
    // Not allowed everywhere; then the peak is that of all ways so far.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
