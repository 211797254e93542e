//! Costs of training and predicting: `cargo bench -p everloop-runtime`.
//!
//! The table is made up: 16 numbers (some missing) and 4 texts of 3 to 100 categories, as wide as the demo's flights.

use divan::Bencher;
use divan::counter::ItemsCount;
use everloop_core::{Column, Frame, Values};
use everloop_runtime::{Limits, Model, ModelFiles, TrainOptions, Trained, train};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::path::Path;
use std::sync::{Arc, OnceLock};

fn main() {
    divan::main();
}

/// Rows of 20 features and a target that depends on a dozen of them.
fn table(rows: usize) -> Frame {
    let mut random = Pcg64Mcg::seed_from_u64(7);
    let mut columns = Vec::new();
    let mut score = vec![0.0; rows];
    for number in 0..16 {
        let values: Vec<f64> = (0..rows)
            .map(|_| {
                if number % 4 == 3 && random.random_bool(0.3) {
                    f64::NAN
                } else {
                    random.random_range(-1.0..1.0)
                }
            })
            .collect();
        if number < 8 {
            score.iter_mut().zip(&values).for_each(|(score, value)| {
                *score += if value.is_nan() {
                    0.3
                } else {
                    (value * f64::from(number + 1)).sin()
                };
            });
        }
        columns.push(Column {
            name: format!("number_{number}"),
            values: Values::Float(values),
        });
    }
    for (text, size) in [3_u32, 16, 35, 100].into_iter().enumerate() {
        let codes: Vec<u32> = (0..rows).map(|_| random.random_range(0..size)).collect();
        score
            .iter_mut()
            .zip(&codes)
            .for_each(|(score, code)| *score += f64::from(code * 7 % 11) / 10.0 - 0.5);
        columns.push(Column {
            name: format!("text_{text}"),
            values: Values::Category {
                codes,
                names: Arc::new((0..size).map(|code| format!("T{code}")).collect()),
            },
        });
    }
    let late = score
        .iter()
        .map(|score| Some(random.random_bool(1.0 / (1.0 + (-score).exp()))));
    columns.push(Column {
        name: "late".to_owned(),
        values: Values::Bool(late.collect()),
    });
    Frame::new(columns).expect("columns of equal length")
}

fn fit(rows: &Frame, iterations: u32) -> Trained {
    let options = TrainOptions {
        iterations,
        ..TrainOptions::new("late")
    };
    train(rows, None, &options, &mut |_| {}).expect("the table can be learned")
}

/// 150 trees of 31 leaves.
fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| fit(&table(50_000), 150).model)
}

fn fixture(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let mut files = ModelFiles::from_dir(&folder, &Limits::default())
        .expect("the fixture is there")
        .into_map();
    files.remove("case.json");
    let mut all = ModelFiles::new();
    for (path, bytes) in files {
        all.insert(&path, bytes).expect("a fixture's path");
    }
    Model::load(&all, &Limits::default()).expect("the fixture loads")
}

#[divan::bench(args = [10_000, 300_000], sample_count = 3, sample_size = 1)]
fn train_150_iterations(bencher: Bencher<'_, '_>, rows: usize) {
    let table = table(rows);
    bencher.counter(ItemsCount::new(rows)).bench(|| fit(&table, 150));
}

/// Trees without categories, as deep as XGBoost's default.
#[divan::bench(args = [1, 10_000])]
fn predict_rows_of_numbers(bencher: Bencher<'_, '_>, rows: usize) {
    let table = table(50_000);
    let options = TrainOptions {
        iterations: 200,
        max_leaves: 64,
        max_depth: 6,
        exclude: (0..4).map(|text| format!("text_{text}")).collect(),
        ..TrainOptions::new("late")
    };
    let model = train(&table, None, &options, &mut |_| {})
        .expect("the table can be learned")
        .model;
    let table = table.take(&(0..rows).collect::<Vec<_>>());
    bencher
        .counter(ItemsCount::new(rows))
        .bench(|| model.predict(&table).expect("the columns are there"));
}

#[divan::bench(args = [1, 128, 10_000, 100_000])]
fn predict_rows(bencher: Bencher<'_, '_>, rows: usize) {
    let (model, table) = (model(), table(rows));
    bencher
        .counter(ItemsCount::new(rows))
        .bench(|| model.predict(&table).expect("the columns are there"));
}

/// Fill a row of 20 inputs and predict it, as serving does; a different row each time.
#[divan::bench]
fn predict_one(bencher: Bencher<'_, '_>) {
    let table = table(1_000);
    let mut row = model().row();
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % 1_000;
        for (index, column) in table.columns().iter().take(20).enumerate() {
            match column.values.text(at) {
                Some(text) => row.set_text(index, text).expect("a text"),
                None => row.set_number(index, column.values.number(at)).expect("a number"),
            }
        }
        row.predict().expect("a tree model").scores[1]
    });
}

/// A scikit-learn pipeline with texts, as a graph.
#[divan::bench(args = ["onnx_strings_pipeline", "onnx_mlp", "onnx_forest_classifier"])]
fn predict_one_by_graph(bencher: Bencher<'_, '_>, name: &str) {
    let mut row = fixture(name).row();
    bencher.bench_local(|| row.predict().expect("the graph runs").scores[0]);
}

#[divan::bench]
fn load_own_model(bencher: Bencher<'_, '_>) {
    let files = fit(&table(20_000), 150)
        .to_files(None)
        .expect("a model can be saved");
    bencher.bench(|| Model::load(&files, &Limits::default()).expect("a saved model loads"));
}
