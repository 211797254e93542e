//! Trains on one CSV file, judges on another, and saves the MLflow directory: for comparing the learner with others.
//!
//! ```text
//! cargo run --release -p everloop-runtime --example train_csv -- train.csv test.csv TARGET OUT_DIR [KEY=VALUE...]
//! ```
//! Cells are plain (no quotes); a column whose cells all parse is numbers, empty cells are missing. Options are those of
//! `TrainOptions`, as JSON values (`iterations=200 early_stopping={"rounds":20}`).
#![expect(clippy::print_stdout, reason = "a command line tool")]

use everloop_core::{Column, Frame, Values};
use everloop_runtime::{TrainOptions, train};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [train_path, test_path, target, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: train_csv TRAIN TEST TARGET OUT_DIR [KEY=VALUE...]".into());
    };
    let options = options(target, rest)?;
    let (rows, test) = (read(train_path)?, read(test_path)?);
    let start = Instant::now();
    let trained = train(&rows, None, &options, &mut |_| {})?;
    let seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let prediction = trained.model.predict(&test)?;
    let predicting = start.elapsed().as_secs_f64();
    let target = test.get(target).ok_or("no target in the test rows")?.to_numbers();
    let scores = prediction.main_score();
    println!("{:?}", trained.summary);
    println!(
        "trained in {seconds:.2} s, predicted {} rows in {predicting:.3} s",
        test.rows()
    );
    println!(
        "test log loss {:.5}, AUC {:.5}",
        log_loss(&target, &scores),
        auc(&target, &scores)
    );
    for one in trained.importance().iter().take(8) {
        println!(
            "  {:16} {:10.1} {:6}",
            one.feature,
            one.gain.unwrap_or(0.0),
            one.splits
        );
    }
    trained.to_files(Some(&test))?.to_dir(Path::new(out))?;
    Ok(())
}

fn options(target: &str, pairs: &[String]) -> Result<TrainOptions, Box<dyn Error>> {
    let mut all = serde_json::json!({"target": target});
    for pair in pairs {
        let (key, value) = pair.split_once('=').ok_or("options are KEY=VALUE")?;
        all[key] = serde_json::from_str(value)?;
    }
    Ok(serde_json::from_value(all)?)
}

fn read(path: &str) -> Result<Frame, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().ok_or("an empty file")?.split(',').collect();
    let mut cells: Vec<Vec<Option<&str>>> = vec![Vec::new(); names.len()];
    for line in lines {
        for (column, cell) in cells.iter_mut().zip(line.split(',')) {
            column.push(Some(cell).filter(|cell| !cell.is_empty()));
        }
    }
    let columns = names.iter().zip(cells).map(|(name, cells)| Column {
        name: (*name).to_owned(),
        values: values(&cells),
    });
    Ok(Frame::new(columns.collect())?)
}

fn values(cells: &[Option<&str>]) -> Values {
    let numbers: Result<Vec<f64>, _> = cells
        .iter()
        .map(|cell| cell.map_or(Ok(f64::NAN), str::parse))
        .collect();
    match numbers {
        Ok(numbers) => Values::Float(numbers),
        Err(_) => Values::Text(cells.iter().map(|cell| cell.map(str::to_owned)).collect()),
    }
}

fn log_loss(target: &[f64], scores: &[f64]) -> f64 {
    let one =
        |(target, score): (&f64, &f64)| -(if *target > 0.5 { *score } else { 1.0 - score }).max(1e-15).ln();
    target.iter().zip(scores).map(one).sum::<f64>() / target.len() as f64
}

/// The probability that a positive row scores above a negative one; ties count half.
fn auc(target: &[f64], scores: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut ranks, mut below) = (0.0, 0.0);
    for equal in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let rank = below + (equal.len() as f64 + 1.0) / 2.0;
        ranks += rank * equal.iter().filter(|row| target[**row] > 0.5).count() as f64;
        below += equal.len() as f64;
    }
    let positive = target.iter().filter(|value| **value > 0.5).count() as f64;
    (ranks - positive * (positive + 1.0) / 2.0) / (positive * (scores.len() as f64 - positive))
}
