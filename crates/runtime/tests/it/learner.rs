//! The built-in learner: it learns, repeats itself to the byte, and says what it cannot do.

use crate::support::{assert_close, column};
use everloop_core::{Code, Coded, Frame, Values};
use everloop_runtime::{
    ClassWeights, EarlyStopping, Kind, Label, Limits, Model, ModelFiles, Progress, Task, TrainOptions,
    Trained, train,
};
use std::sync::Arc;

/// A small generator of our own, so that the rows never change.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const PORTS: [&str; 8] = ["ATL", "BOS", "DEN", "EWR", "JFK", "LGA", "ORD", "SFO"];

/// Rows whose target depends on a number (with a wave), a text that is not ordered, a truth value and on whether a
/// number is missing.
pub fn rows(count: usize, seed: u64) -> Frame {
    let mut chance = Chance(seed);
    let (mut x, mut gust, mut port, mut late, mut day) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut score, mut night) = (vec![], vec![]);
    for row in 0..count {
        let value = chance.next() * 4.0 - 2.0;
        let place = (chance.next() * 8.0) as usize;
        let missing = chance.next() < 0.2;
        let dark = chance.next() < 0.3;
        let effect = if [1, 4, 6].contains(&place) { 1.0 } else { -1.0 };
        let sum = (value * 2.0).sin() * 1.5
            + effect
            + if missing { 1.2 } else { 0.0 }
            + if dark { 0.8 } else { 0.0 };
        x.push(value);
        gust.push(if missing { f64::NAN } else { chance.next() * 10.0 });
        port.push(if chance.next() < 0.05 {
            None
        } else {
            Some(PORTS[place].to_owned())
        });
        night.push(Some(dark));
        score.push(sum + chance.next() - 0.5);
        late.push(Some(chance.next() < 1.0 / (1.0 + (-2.0 * sum).exp())));
        day.push(Some(row as i64));
    }
    Frame::new(vec![
        column("x", Values::Float(x)),
        column("gust", Values::Float(gust)),
        column("port", Values::Text(port)),
        column("night", Values::Bool(night)),
        column("day", Values::Int(day)),
        column("late", Values::Bool(late)),
        column("score", Values::Float(score)),
    ])
    .unwrap()
}

pub fn options(target: &str) -> TrainOptions {
    let other = if target == "late" { "score" } else { "late" };
    TrainOptions {
        exclude: vec![other.to_owned(), "day".to_owned()],
        iterations: 40,
        ..TrainOptions::new(target)
    }
}

pub fn fit(frame: &Frame, options: &TrainOptions) -> Trained {
    train(frame, None, options, &mut |_| {}).unwrap()
}

fn log_loss(trained: &Trained, frame: &Frame) -> f64 {
    let late = frame.get("late").unwrap().to_numbers();
    let scores = trained.model.predict(frame).unwrap().main_score();
    let one = |(late, score): (&f64, &f64)| -(late * score.ln() + (1.0 - late) * (1.0 - score).ln());
    late.iter().zip(&scores).map(one).sum::<f64>() / late.len() as f64
}

#[test]
fn it_learns_waves_sets_and_missing_values() {
    let trained = fit(&rows(6_000, 1), &options("late"));
    let expected = Task::Classification {
        classes: vec![Label::Bool(false), Label::Bool(true)],
    };
    assert_eq!(trained.model.task(), &expected);
    // The best that can be known of these rows is 0.40 to 0.41; the base rate alone gives 0.68.
    let loss = log_loss(&trained, &rows(6_000, 2));
    assert!(loss < 0.47, "log loss {loss}");
    let used: Vec<&str> = trained
        .importance()
        .iter()
        .map(|one| one.feature.as_str())
        .collect();
    assert_eq!(used.len(), 4);
    assert!(
        used[..2].contains(&"port") && used[..2].contains(&"x"),
        "{used:?}"
    );
    assert!(trained.importance().iter().all(|one| one.gain > Some(0.0)));
}

#[test]
fn reported_losses_are_those_of_the_model() {
    let frame = rows(3_000, 3);
    let mut told: Vec<Progress> = Vec::new();
    let trained = train(&frame, Some(&rows(1_000, 4)), &options("late"), &mut |progress| {
        told.push(progress)
    })
    .unwrap();
    assert_eq!(told, trained.history);
    assert_eq!(told.len(), 40);
    assert_close(
        trained.summary.train_loss,
        log_loss(&trained, &frame),
        1e-2,
        "training loss",
    );
    assert_close(
        trained.summary.validation_loss.unwrap(),
        log_loss(&trained, &rows(1_000, 4)),
        1e-2,
        "validation loss",
    );
    assert!(
        told.windows(2)
            .all(|pair| pair[1].train_loss < pair[0].train_loss)
    );
}

#[test]
fn the_same_rows_and_seed_give_the_same_bytes_on_any_number_of_threads() {
    let frame = rows(5_000, 5);
    let with = |threads: usize, seed: u64| {
        let options = TrainOptions {
            threads,
            seed,
            row_sample: 0.7,
            column_sample: 0.6,
            early_stopping: Some(EarlyStopping::default()),
            ..options("late")
        };
        fit(&frame, &options).to_files(Some(&frame)).unwrap()
    };
    let one = with(1, 9);
    assert_eq!(one, with(3, 9));
    assert_eq!(one, with(0, 9));
    assert_ne!(one, with(1, 10));
}

#[test]
fn early_stopping_keeps_the_best_iteration() {
    let frame = rows(1_500, 6);
    let stopped = TrainOptions {
        iterations: 400,
        learning_rate: 0.3,
        early_stopping: Some(EarlyStopping {
            rounds: 5,
            share: 0.3,
            min_delta: 0.0,
        }),
        ..options("late")
    };
    let trained = fit(&frame, &stopped);
    let summary = &trained.summary;
    assert_eq!(summary.train_rows, 1_050);
    assert_eq!(summary.validation_rows, 450);
    assert_eq!(trained.history.len() as u32, summary.best_iteration + 5);
    assert_eq!(summary.trees as u32, summary.best_iteration);
    let losses = trained
        .history
        .iter()
        .map(|progress| progress.validation_loss.unwrap());
    assert_eq!(summary.validation_loss, losses.reduce(f64::min));
}

#[test]
fn with_a_time_column_the_newest_rows_are_held_out() {
    // The last fifth of the rows has the opposite target: held out, they stop training at once.
    let mut frame = rows(2_000, 7).columns().to_vec();
    if let Values::Bool(late) = &mut frame[5].values {
        late[1_600..]
            .iter_mut()
            .for_each(|late| *late = late.map(|late| !late));
    }
    let frame = Frame::new(frame).unwrap();
    let with = |time: Option<String>| TrainOptions {
        exclude: vec!["score".to_owned(), "day".to_owned()],
        time,
        early_stopping: Some(EarlyStopping {
            share: 0.2,
            ..EarlyStopping::default()
        }),
        ..TrainOptions::new("late")
    };
    let newest = fit(&frame, &with(Some("day".to_owned())));
    let random = fit(&frame, &with(None));
    assert_eq!(newest.summary.best_iteration, 1);
    assert!(random.summary.best_iteration > 5);
}

#[test]
fn unknown_rare_and_missing_texts_are_one() {
    let frame = rows(3_000, 8);
    let trained = fit(&frame, &options("late"));
    let ports = |port: Option<&str>| {
        let mut columns = frame.take(&[0]).columns().to_vec();
        columns[2].values = Values::Text(vec![port.map(str::to_owned)]);
        trained
            .model
            .predict(&Frame::new(columns).unwrap())
            .unwrap()
            .main_score()[0]
    };
    assert_eq!(ports(None), ports(Some("XXX")));
    assert_eq!(ports(None), ports(Some("")));
    assert_ne!(ports(None), ports(Some("BOS")));
}

#[test]
fn category_columns_train_the_same_model_as_texts() {
    let frame = rows(2_000, 9);
    let Some(Values::Text(texts)) = frame.get("port") else {
        panic!("the ports are texts");
    };
    let code = |text: &Option<String>| match text {
        Some(text) => PORTS.iter().rev().position(|port| port == text).unwrap() as u32,
        None => Values::MISSING,
    };
    let mut columns = frame.columns().to_vec();
    columns[2].values = Values::Category {
        codes: texts.iter().map(code).collect(),
        names: Arc::new(PORTS.iter().rev().map(|port| (*port).to_owned()).collect()),
    };
    let coded = Frame::new(columns).unwrap();
    let files = |frame: &Frame| fit(frame, &options("late")).to_files(None).unwrap();
    assert_eq!(files(&frame), files(&coded));
}

#[test]
fn regression_finds_the_mean_of_what_it_sees() {
    let trained = fit(&rows(6_000, 10), &options("score"));
    assert_eq!(trained.model.task(), &Task::Regression);
    let test = rows(3_000, 11);
    let (mut squares, mut spread) = (0.0, 0.0);
    let truth = test.get("score").unwrap().to_numbers();
    let mean = truth.iter().sum::<f64>() / truth.len() as f64;
    for (found, truth) in trained
        .model
        .predict(&test)
        .unwrap()
        .main_score()
        .iter()
        .zip(&truth)
    {
        squares += (found - truth).powi(2);
        spread += (truth - mean).powi(2);
    }
    assert!(squares < 0.1 * spread, "unexplained {}", squares / spread);
}

#[test]
fn three_classes_have_probabilities_that_sum_to_one() {
    let frame = rows(4_000, 12);
    let class = |score: &f64| {
        if *score < -0.5 {
            "early"
        } else if *score < 1.0 {
            "on time"
        } else {
            "late"
        }
    };
    let labels: Vec<Option<String>> = frame
        .get("score")
        .unwrap()
        .to_numbers()
        .iter()
        .map(|score| Some(class(score).to_owned()))
        .collect();
    let mut columns = frame.columns().to_vec();
    columns[6] = column("class", Values::Text(labels.clone()));
    let frame = Frame::new(columns).unwrap();
    let options = TrainOptions {
        exclude: vec!["late".to_owned(), "day".to_owned()],
        iterations: 20,
        ..TrainOptions::new("class")
    };
    let trained = fit(&frame, &options);
    let names = ["early", "late", "on time"].map(|name| Label::Text(name.to_owned()));
    assert_eq!(trained.model.task().classes(), names);
    assert_eq!(trained.summary.trees, 60);
    let prediction = trained.model.predict(&frame).unwrap();
    let mut right = 0;
    for (row, label) in labels.iter().enumerate() {
        assert_close(prediction.scores(row).iter().sum::<f64>(), 1.0, 1.0, "sum");
        right += usize::from(prediction.label(row).unwrap().to_string() == *label.as_ref().unwrap());
    }
    assert!(right > 3_300, "{right} of 4000 right");
}

#[test]
fn weights_move_the_base_rate() {
    let frame = rows(3_000, 13);
    let with = |class_weights| TrainOptions {
        class_weights,
        ..options("late")
    };
    let mean = |trained: &Trained| {
        let scores = trained.model.predict(&frame).unwrap().main_score();
        scores.iter().sum::<f64>() / scores.len() as f64
    };
    let equal = mean(&fit(&frame, &with(ClassWeights::Equal)));
    let heavy = ClassWeights::Named([("true".to_owned(), 5.0)].into());
    assert!(mean(&fit(&frame, &with(heavy))) > equal + 0.1);
    // A weight of two is the row twice.
    let doubled: Vec<usize> = (0..3_000).chain(0..1_000).collect();
    let mut columns = frame.columns().to_vec();
    columns.push(column(
        "w",
        Values::Int(
            (0..3_000)
                .map(|row| Some(if row < 1_000 { 2 } else { 1 }))
                .collect(),
        ),
    ));
    let by_weight = TrainOptions {
        weight: Some("w".to_owned()),
        min_child_rows: 1,
        ..options("late")
    };
    let twice = TrainOptions {
        min_child_rows: 1,
        ..options("late")
    };
    let weighted = mean(&fit(&Frame::new(columns).unwrap(), &by_weight));
    let repeated = mean(&fit(&frame.take(&doubled), &twice));
    assert!((weighted - repeated).abs() < 2e-3, "{weighted} {repeated}");
}

#[test]
fn the_saved_directory_loads_to_the_same_predictions() {
    let frame = rows(2_000, 14);
    let trained = fit(&frame, &options("late"));
    let folder = tempfile::tempdir().unwrap();
    trained
        .to_files(Some(&frame))
        .unwrap()
        .to_dir(folder.path())
        .unwrap();
    let files = ModelFiles::from_dir(folder.path(), &Limits::default()).unwrap();
    let loaded = Model::load(&files, &Limits::default()).unwrap();
    assert_eq!(
        loaded.predict(&frame).unwrap(),
        trained.model.predict(&frame).unwrap()
    );
    assert_eq!(loaded.signature(), trained.model.signature());
    let kinds: Vec<Kind> = loaded.signature().inputs.iter().map(|field| field.kind).collect();
    assert_eq!(kinds, [Kind::Double, Kind::Double, Kind::String, Kind::Bool]);
    let example: serde_json::Value =
        serde_json::from_slice(files.require("input_example.json").unwrap()).unwrap();
    assert_eq!(example["data"].as_array().unwrap().len(), 5);
}

/// The same graph read as ONNX, by changing the name of its producer: our own files need no special treatment.
#[test]
fn the_saved_graph_answers_the_same_as_an_ordinary_graph() {
    let frame = rows(2_000, 15);
    for target in ["late", "score"] {
        let trained = fit(&frame, &options(target));
        let files = trained.to_files(None).unwrap();
        let mut bytes = files.require("model.onnx").unwrap().to_vec();
        let at = bytes.windows(8).position(|window| window == b"everloop").unwrap();
        bytes[at..at + 8].copy_from_slice(b"someone_");
        let graph = Model::load(
            &ModelFiles::single("model.onnx", bytes).unwrap(),
            &Limits::default(),
        )
        .unwrap();
        assert_eq!(graph.task(), trained.model.task());
        let (own, other) = (
            trained.model.predict(&frame).unwrap(),
            graph.predict(&frame).unwrap(),
        );
        assert_eq!(own.classes(), other.classes());
        for row in 0..frame.rows() {
            for (a, b) in own.scores(row).iter().zip(other.scores(row)) {
                assert_close(*a, *b, 1.0, "score");
            }
        }
    }
}

#[test]
fn what_cannot_be_learned_is_refused_with_its_reason() {
    let frame = rows(200, 16);
    let check = |options: &TrainOptions, expected: &str| {
        let error = train(&frame, None, options, &mut |_| {}).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.to_string().contains(expected), "{error}");
        error
    };
    let error = check(&TrainOptions::new("lat"), "column \"lat\" is missing");
    assert_eq!(error.hint().unwrap(), "did you mean \"late\"?");
    let with = |change: fn(&mut TrainOptions)| {
        let mut options = options("late");
        change(&mut options);
        options
    };
    check(&with(|o| o.features = vec!["late".into()]), "named elsewhere");
    check(
        &with(|o| o.features = vec!["x".into(), "x".into()]),
        "there twice",
    );
    check(&with(|o| o.weight = Some("x".into())), "weight of row");
    check(&with(|o| o.exclude = vec!["scor".into()]), "scor");
    check(
        &with(|o| o.class_weights = ClassWeights::Named([("maybe".into(), 1.0)].into())),
        "maybe",
    );
    let mut columns = frame.columns().to_vec();
    columns[5].values = Values::Bool(vec![Some(true); 200]);
    let one_class = Frame::new(columns.clone()).unwrap();
    let error = train(&one_class, None, &options("late"), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("1 classes"), "{error}");
    columns[5].values = Values::Bool(vec![None; 200]);
    let nothing = Frame::new(columns).unwrap();
    assert!(train(&nothing, None, &options("late"), &mut |_| {}).is_err());
}

#[test]
fn odd_tables_train_without_harm() {
    let odd = |values: Values| {
        let rows = values.len();
        let target: Vec<Option<bool>> = (0..rows).map(|row| Some(row % 3 == 0)).collect();
        Frame::new(vec![column("a", values), column("y", Values::Bool(target))]).unwrap()
    };
    let tables = [
        odd(Values::Float(vec![f64::NAN; 50])),
        odd(Values::Float(vec![7.0; 50])),
        odd(Values::Text(vec![None; 50])),
        odd(Values::Text(
            (0..50).map(|row| Some(format!("id {row}"))).collect(),
        )),
        odd(Values::Float([f64::INFINITY, f64::NEG_INFINITY, 0.0].repeat(20))),
        odd(Values::Int((0..60).map(|row| Some(i64::MAX - row)).collect())),
        odd(Values::Bool(
            (0..60).map(|row| (row % 5 > 0).then_some(row % 3 == 0)).collect(),
        )),
        odd(Values::Float(vec![1.0, 2.0])),
    ];
    for frame in tables {
        let options = TrainOptions {
            min_child_rows: 1,
            iterations: 5,
            ..TrainOptions::new("y")
        };
        let trained = fit(&frame, &options);
        let scores = trained.model.predict(&frame).unwrap().main_score();
        assert!(
            scores.iter().all(|score| (0.0..=1.0).contains(score)),
            "{scores:?}"
        );
        trained.to_files(Some(&frame)).unwrap();
    }
}
