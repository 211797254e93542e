//! Python opens what we save, with the real ONNX Runtime and MLflow, and predicts the same.
//!
//! Runs when `EVERLOOP_TEST_PYTHON` names a Python with tests/python/requirements.txt installed, as .ci/run has it.

use crate::learner::{fit, options, rows};
use crate::support::column;
use everloop_core::{Frame, Values};
use everloop_runtime::{Model, TrainOptions, Trained};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// What Python is to check: the rows, and our answers.
fn expectation(model: &Model, frame: &Frame) -> Value {
    let prediction = model.predict(frame).unwrap();
    let answers = prediction.to_frame();
    let list = |values: &Values| -> Vec<Value> {
        let cell = |row: usize| match values {
            _ if values.is_missing(row) => Value::Null,
            Values::Bool(truths) => json!(truths[row]),
            Values::Int(numbers) => json!(numbers[row]),
            _ => values
                .text(row)
                .map_or_else(|| json!(values.number(row)), |text| json!(text)),
        };
        (0..values.len()).map(cell).collect()
    };
    let input = |name: &str| json!({"name": name, "values": list(frame.get(name).unwrap())});
    let inputs: Vec<Value> = model
        .signature()
        .inputs
        .iter()
        .map(|field| input(&field.name))
        .collect();
    let outputs: Vec<Value> = answers
        .columns()
        .iter()
        .map(|column| json!({"name": column.name, "values": list(&column.values)}))
        .collect();
    json!({"inputs": inputs, "outputs": outputs})
}

fn save(folder: &Path, name: &str, trained: &Trained, frame: &Frame) {
    let path = folder.join(name);
    trained
        .to_files(Some(frame))
        .unwrap()
        .to_dir(&path.join("model"))
        .unwrap();
    let expected = expectation(&trained.model, frame).to_string();
    std::fs::write(path.join("expected.json"), expected).unwrap();
}

/// Many categories, so that sets become long chains.
fn many_categories(count: usize) -> Frame {
    let base = rows(count, 21);
    let names: Vec<Option<String>> = (0..count)
        .map(|row| {
            let place = row * 7_919 % 120;
            (place % 29 != 0).then(|| format!("plane {place} é'\""))
        })
        .collect();
    let effect = |row: usize| f64::from((row * 7_919 % 120) as u32 * 37 % 11) / 5.0;
    let score = base.get("score").unwrap().to_numbers();
    let score = score
        .iter()
        .enumerate()
        .map(|(row, score)| score + effect(row))
        .collect();
    let mut columns = base.columns().to_vec();
    columns.push(column("it's a \"plane\": é", Values::Text(names)));
    columns[6].values = Values::Float(score);
    Frame::new(columns).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test is the top floor here")]
fn python() -> Option<String> {
    std::env::var("EVERLOOP_TEST_PYTHON").ok()
}

#[test]
fn onnx_runtime_and_mlflow_predict_the_same() {
    let Some(python) = python() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let small = TrainOptions {
        iterations: 30,
        ..TrainOptions::default()
    };
    let frame = many_categories(3_000);
    let test = many_categories(800);
    save(folder.path(), "binary", &fit(&frame, &options("late")), &test);
    save(
        folder.path(),
        "regression",
        &fit(&frame, &options("score")),
        &test,
    );
    let mut columns = frame.columns().to_vec();
    let cut = |score: f64| {
        if score < 0.5 {
            3
        } else if score < 2.0 {
            7
        } else {
            -1
        }
    };
    let labels = frame
        .get("score")
        .unwrap()
        .to_numbers()
        .into_iter()
        .map(|score| Some(cut(score)))
        .collect();
    columns[6] = column("class", Values::Int(labels));
    let with_classes = Frame::new(columns).unwrap();
    let several = TrainOptions {
        target: "class".to_owned(),
        task: Some(everloop_runtime::TaskKind::Classification),
        exclude: vec!["late".to_owned(), "day".to_owned()],
        ..small.clone()
    };
    save(
        folder.path(),
        "several",
        &fit(&with_classes, &several),
        &with_classes,
    );
    let mut columns = with_classes.columns().to_vec();
    let words = frame.get("late").unwrap().to_numbers();
    let words = words
        .into_iter()
        .map(|late| Some(if late > 0.5 { "late" } else { "on time" }.to_owned()))
        .collect();
    columns[5] = column("word", Values::Text(words));
    let named = Frame::new(columns).unwrap();
    let words = TrainOptions {
        target: "word".to_owned(),
        exclude: vec!["class".to_owned(), "day".to_owned()],
        ..small
    };
    save(folder.path(), "words", &fit(&named, &words), &named);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/check_saved.py");
    let output = Command::new(python)
        .arg(script)
        .arg(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("4 models agree"), "{text}");
}
