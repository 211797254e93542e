//! Answers are what the model says, in every dialect, and the log holds what was answered.

use crate::house::House;
use everloop_core::{Column, Frame, Values};
use everloop_runtime::{Limits, Model, ModelFiles, TrainOptions, train};
use serde_json::{Value, json};

fn column(name: &str, values: Values) -> Column {
    Column {
        name: name.to_owned(),
        values,
    }
}

/// 300 rows of two features, one of them with holes, and a target made of them.
fn table(target: impl Fn(usize, f64) -> Value) -> Frame {
    let rows = 300;
    let size: Vec<f64> = (0..rows).map(|row| ((row * 37) % 101) as f64).collect();
    let shape = |row: usize| (row % 4 != 3).then(|| ["flat", "round \"é\"", "tall"][row % 3].to_owned());
    let targets: Vec<Value> = size
        .iter()
        .enumerate()
        .map(|(row, size)| target(row, *size))
        .collect();
    let target = match &targets[0] {
        Value::Bool(_) => Values::Bool(targets.iter().map(Value::as_bool).collect()),
        Value::String(_) => {
            let texts = targets
                .iter()
                .map(|target| target.as_str().map(ToOwned::to_owned));
            Values::Text(texts.collect())
        }
        Value::Number(number) if number.is_i64() => Values::Int(targets.iter().map(Value::as_i64).collect()),
        _ => Values::Float(targets.iter().filter_map(Value::as_f64).collect()),
    };
    Frame::new(vec![
        column("size", Values::Float(size)),
        column("shape", Values::Text((0..rows).map(shape).collect())),
        column("target", target),
    ])
    .unwrap()
}

fn trained(table: &Frame) -> ModelFiles {
    let options = TrainOptions::new("target");
    train(table, None, &options, &mut |_| {})
        .unwrap()
        .to_files(None)
        .unwrap()
}

/// One tree over `size` whose two leaves add a number that no float of JSON can say.
fn endless() -> ModelFiles {
    let text = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=0\n\
        objective=regression\nfeature_names=size\nfeature_infos=[0:100]\ntree_sizes=1\n\nTree=0\nnum_leaves=2\n\
        num_cat=0\nsplit_feature=0\nsplit_gain=1\nthreshold=50\ndecision_type=2\nleft_child=-1\nright_child=-2\n\
        leaf_value=inf nan\nleaf_weight=1 1\nleaf_count=1 1\ninternal_value=0\ninternal_weight=0\n\
        internal_count=2\nis_linear=0\nshrinkage=1\n\n\nend of trees\n";
    let mut files = ModelFiles::new();
    files.insert("model.txt", text.as_bytes().to_vec()).unwrap();
    files
}

/// The cells of a column as JSON has them.
fn cells(values: &Values) -> Vec<Value> {
    let cell = |row: usize| match values {
        _ if values.is_missing(row) => Value::Null,
        Values::Bool(truths) => json!(truths[row]),
        Values::Int(numbers) => json!(numbers[row]),
        _ => values
            .text(row)
            .map_or_else(|| json!(values.number(row)), |text| json!(text)),
    };
    (0..values.len()).map(cell).collect()
}

/// Asks about `rows` in both dialects, and holds the answers and their log against the model's own table.
async fn check(house: &House, name: &str, files: ModelFiles, rows: &Frame) {
    let model = Model::load(&files, &Limits::default()).unwrap();
    let expected = model.predict(rows).unwrap();
    let frame = expected.to_frame();
    house.deploy_files(name, files).await;

    let tensor = |column: &Column| {
        let datatype = if column.values.is_text() { "BYTES" } else { "FP64" };
        json!({ "name": column.name, "shape": [rows.rows()], "datatype": datatype, "data": cells(&column.values) })
    };
    let inputs: Vec<Value> = rows.columns().iter().map(tensor).collect();
    let path = format!("/v2/models/{name}/infer");
    let answer = house
        .post(&path, &json!({ "id": "mine", "inputs": inputs }))
        .await
        .good();
    assert_eq!(answer["id"], "mine");
    assert_eq!(answer["model_name"], name);
    assert_eq!(answer["model_version"], "1");
    let outputs = answer["outputs"].as_array().unwrap();
    assert_eq!(outputs.len(), frame.columns().len());
    for (output, column) in outputs.iter().zip(frame.columns()) {
        assert_eq!(output["name"], column.name.as_str());
        assert_eq!(output["shape"], json!([rows.rows()]));
        assert_eq!(
            output["data"],
            json!(cells(&column.values)),
            "{name}: {}",
            column.name
        );
    }

    let columns: Vec<Vec<Value>> = rows
        .columns()
        .iter()
        .map(|column| cells(&column.values))
        .collect();
    let lists: Vec<Vec<&Value>> = (0..rows.rows())
        .map(|row| columns.iter().map(|cells| &cells[row]).collect())
        .collect();
    let names: Vec<&str> = rows.columns().iter().map(|column| column.name.as_str()).collect();
    let body = json!({ "dataframe_split": { "columns": names, "data": lists } });
    let told = house.post(&format!("/invocations/{name}"), &body).await.good();
    for (row, record) in told["predictions"].as_array().unwrap().iter().enumerate() {
        let fields: serde_json::Map<String, Value> = frame
            .columns()
            .iter()
            .map(|column| (column.name.clone(), cells(&column.values)[row].clone()))
            .collect();
        assert_eq!(record, &Value::Object(fields), "{name}: row {row}");
    }

    let ids = answer["parameters"]["prediction_ids"].as_array().unwrap();
    assert_eq!(ids.len(), rows.rows());
    for (row, id) in ids.iter().enumerate() {
        let logged = house
            .get(&format!("/api/v1/predictions/{}", id.as_str().unwrap()))
            .await
            .good();
        let logged = &logged["row"];
        for (column, cells) in rows.columns().iter().zip(&columns) {
            let logged = logged.get(&column.name).unwrap_or(&Value::Null);
            assert_eq!(logged, &cells[row], "{name}: row {row}, {}", column.name);
        }
        let score = expected.main_score()[row];
        if score.is_finite() {
            assert_eq!(logged["_score"], score, "{name}: row {row}");
        }
        let label = expected.label(row).map(ToString::to_string);
        assert_eq!(
            logged.get("_prediction").and_then(Value::as_str),
            label.as_deref()
        );
    }
}

#[tokio::test]
async fn answers_and_log_are_what_the_model_says() {
    let house = House::local().await;
    let rows = Frame::new(vec![
        column("size", Values::Float(vec![5.0, 95.0, f64::NAN])),
        column(
            "shape",
            Values::Text(vec![Some("tall".to_owned()), None, Some("never seen".to_owned())]),
        ),
    ])
    .unwrap();
    let models = [
        ("truths", table(|row, size| json!(size > 60.0 || row % 3 == 1))),
        (
            "numbers",
            table(|row, size| json!(i64::from(size > 60.0) - i64::from(row % 3 == 1))),
        ),
        (
            "texts",
            table(|row, _| json!(["no \"é\"", "yes", "so so"][row * 7 % 3])),
        ),
        ("regression", table(|row, size| json!(size / 7.0 + row as f64))),
    ];
    for (name, table) in models {
        check(&house, name, trained(&table), &rows).await;
    }
    // One row takes another way through the trees.
    let table = table(|row, size| json!(size > 60.0 || row % 3 == 1));
    check(&house, "one", trained(&table), &rows.take(&[1])).await;
}

#[tokio::test]
async fn numbers_that_json_cannot_say_are_null() {
    let house = House::local().await;
    let rows = Frame::new(vec![column("size", Values::Float(vec![5.0, 95.0]))]).unwrap();
    check(&house, "endless", endless(), &rows).await;
}

#[tokio::test]
async fn only_the_outputs_asked_for_are_sent() {
    let house = House::local().await;
    house.deploy().await;
    let mut body = crate::house::two_flights();
    body["outputs"] = json!([{ "name": "probability_1" }]);
    let answer = house.post("/v2/models/flight-delay/infer", &body).await.good();
    let names: Vec<&Value> = answer["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|output| &output["name"])
        .collect();
    assert_eq!(names, ["probability_1"]);
}
