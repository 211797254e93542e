//! What the real libraries answered (recorded by tests/python/record.py), and what we answer.

use crate::support::{assert_close, fixture_case, fixture_files, fixture_names, frame, load};
use everloop_core::{Frame, Values};
use everloop_runtime::{Label, Model};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().map(|value| value.as_f64().unwrap()).collect(),
        one => vec![one.as_f64().unwrap()],
    }
}

fn label(value: &Value) -> Label {
    match value {
        Value::String(text) => Label::Text(text.clone()),
        Value::Bool(value) => Label::Bool(*value),
        number => Label::Int(number.as_i64().unwrap()),
    }
}

/// Scores per row, as recorded.
fn expected_scores(case: &Value) -> Vec<Vec<f64>> {
    let recorded = case.get("probabilities").or(case.get("values")).unwrap();
    recorded.as_array().unwrap().iter().map(numbers).collect()
}

/// Scores this small need not agree to a part in a million. ONNX Runtime sums products in 32 bits, so that a sum that
/// cancels keeps the rounding of its largest term; XGBoost rounds a probability near 1, which shows in its complement.
fn scale(name: &str, case: &Value) -> f64 {
    match name {
        "onnx_linear_regression" | "onnx_polynomial" | "onnx_mlp_regressor" => 10.0,
        graph if graph.starts_with("onnx_") => 1.0,
        _ if case.get("probabilities").is_some() => 0.1,
        _ => 1e-2,
    }
}

#[test]
fn every_recorded_model_answers_as_its_library_did() {
    let names = fixture_names();
    assert!(names.len() > 30, "fixtures are missing: {names:?}");
    for name in names {
        let case = fixture_case(&name);
        let model = load(&fixture_files(&name));
        let rows = frame(&case["columns"]);
        let prediction = model
            .predict(&rows)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = expected_scores(&case);
        assert_eq!(prediction.rows(), expected.len(), "{name}");
        for (row, expected) in expected.iter().enumerate() {
            let scores = prediction.scores(row);
            assert_eq!(scores.len(), expected.len(), "{name}");
            for (score, expected) in scores.iter().zip(expected) {
                assert_close(
                    *score,
                    *expected,
                    scale(&name, &case),
                    &format!("{name}, row {row}"),
                );
            }
        }
        if let Some(classes) = case.get("classes") {
            let classes: Vec<Label> = classes.as_array().unwrap().iter().map(label).collect();
            assert_eq!(model.task().classes(), classes, "{name}");
        }
        if let Some(labels) = case.get("labels") {
            for (row, expected) in labels.as_array().unwrap().iter().enumerate() {
                assert_eq!(prediction.label(row), Some(&label(expected)), "{name}, row {row}");
            }
        }
    }
}

/// One row of a frame into a model's row.
fn fill(model: &Model, rows: &Frame, at: usize) -> everloop_runtime::Row {
    let mut row = model.row();
    for (index, field) in model.signature().inputs.iter().enumerate() {
        let values = rows.get(&field.name).unwrap_or(&rows.columns()[index].values);
        if values.is_missing(at) {
            row.set_missing(index).unwrap();
        } else if let Some(text) = values.text(at) {
            row.set_text(index, text).unwrap();
        } else {
            row.set_number(index, values.number(at)).unwrap();
        }
    }
    row
}

#[test]
fn rows_one_by_one_answer_as_rows_together() {
    for name in fixture_names() {
        let model = load(&fixture_files(&name));
        let rows = frame(&fixture_case(&name)["columns"]);
        let together = model.predict(&rows).unwrap();
        for at in 0..rows.rows() {
            let mut row = fill(&model, &rows, at);
            let answer = row.predict().unwrap();
            assert_eq!(answer.scores, together.scores(at), "{name}, row {at}");
            let class = together.classes().get(at).map(|class| *class as usize);
            assert_eq!(answer.class, class, "{name}, row {at}");
        }
    }
}

#[test]
fn columns_may_stand_in_any_order_and_kind() {
    let name = "xgboost_categories";
    let model = load(&fixture_files(name));
    let rows = frame(&fixture_case(name)["columns"]);
    let expected = model.predict(&rows).unwrap();
    let mut columns = rows.columns().to_vec();
    columns.reverse();
    for column in &mut columns {
        if let Values::Text(texts) = &column.values {
            column.values = categories(texts);
        }
    }
    columns.push(crate::support::column(
        "unrelated",
        Values::Bool(vec![None; rows.rows()]),
    ));
    let turned = Frame::new(columns).unwrap();
    assert_eq!(model.predict(&turned).unwrap(), expected);
}

/// The same texts as codes into a list that is longer and ordered otherwise than the model's.
fn categories(texts: &[Option<String>]) -> Values {
    let mut names: Vec<String> = texts.iter().flatten().cloned().collect();
    names.push("never seen".to_owned());
    names.sort();
    names.dedup();
    names.reverse();
    let code = |text: &Option<String>| match text {
        Some(text) => names.iter().position(|name| name == text).unwrap() as u32,
        None => Values::MISSING,
    };
    let codes = texts.iter().map(code).collect();
    Values::Category {
        codes,
        names: names.into(),
    }
}

#[test]
fn importance_names_every_column_of_a_tree_model() {
    for name in [
        "xgboost_categories",
        "lightgbm_categories",
        "onnx_forest_classifier",
    ] {
        let model = load(&fixture_files(name));
        let importance = model.importance();
        assert_eq!(importance.len(), model.signature().inputs.len(), "{name}");
        assert!(importance[0].splits > 0, "{name}");
    }
}
