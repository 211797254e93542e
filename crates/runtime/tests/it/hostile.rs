//! Files made to harm: every one is refused or answers numbers, none panics, none takes memory it does not bring.

use crate::learner::{fit, options, rows};
use crate::support::{fixture_files, fixture_names};
use everloop_core::{Code, Coded, Column, Frame, Values};
use everloop_runtime::{Limits, Model, ModelFiles};
use proptest::prelude::*;

/// Limits as a server with little memory would set them.
fn limits() -> Limits {
    Limits {
        total_bytes: 64 << 20,
        trees: 10_000,
        nodes: 1_000_000,
        width: 10_000,
        elements: 1 << 22,
        ..Limits::default()
    }
}

/// Loads, and predicts two rows of nothing and of something when that worked.
fn try_all(files: &ModelFiles) {
    let Ok(model) = Model::load(files, &limits()) else {
        return;
    };
    let column = |name: &String, text: bool| Column {
        name: name.clone(),
        values: if text {
            Values::Text(vec![None, Some("EWR".to_owned())])
        } else {
            Values::Float(vec![f64::NAN, 3.0])
        },
    };
    let inputs = &model.signature().inputs;
    let columns = inputs
        .iter()
        .map(|field| column(&field.name, field.kind.is_text()))
        .collect();
    let frame = Frame::new(columns).unwrap();
    if let Ok(prediction) = model.predict(&frame) {
        assert_eq!(prediction.rows(), 2);
        assert_eq!(prediction.to_frame().rows(), 2);
    }
    let mut row = model.row();
    row.set_missing(0).unwrap();
    let _ = row.predict();
}

/// A change to the bytes of a file.
#[derive(Debug, Clone)]
enum Harm {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
    Remove(prop::sample::Index, usize),
    Digits(prop::sample::Index, &'static str),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Harm::Flip(at, byte)),
        1 => at().prop_map(Harm::Cut),
        1 => (at(), at()).prop_map(|(from, to)| Harm::Repeat(from, to)),
        1 => (at(), 1_usize..20).prop_map(|(at, count)| Harm::Remove(at, count)),
        2 => (at(), prop::sample::select(vec!["-1", "99999999999", "4294967295", "1e39", "0", "", "NaN", "[["]))
            .prop_map(|(at, text)| Harm::Digits(at, text)),
    ]
}

fn apply(bytes: &mut Vec<u8>, harm: &Harm) {
    if bytes.is_empty() {
        return;
    }
    match harm {
        Harm::Flip(at, byte) => *at.get_mut(bytes) ^= byte | 1,
        Harm::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Harm::Repeat(from, to) => {
            let from = from.index(bytes.len());
            let part = bytes[from..bytes.len().min(from + 64)].to_vec();
            let to = to.index(bytes.len());
            bytes.splice(to..to, part);
        }
        Harm::Remove(at, count) => {
            let at = at.index(bytes.len());
            bytes.drain(at..bytes.len().min(at + count));
        }
        Harm::Digits(at, text) => {
            // The next number in the text, if it is one.
            let at = at.index(bytes.len());
            let start = (at..bytes.len())
                .find(|at| bytes[*at].is_ascii_digit())
                .unwrap_or(at);
            let end = (start..bytes.len())
                .find(|at| !bytes[*at].is_ascii_digit())
                .unwrap_or(bytes.len());
            bytes.splice(start..end, text.bytes());
        }
    }
}

fn with_harm(files: &ModelFiles, harms: &[Harm]) -> ModelFiles {
    let mut harmed = ModelFiles::new();
    for (path, bytes) in files.clone().into_map() {
        let mut bytes = bytes;
        if path.contains("model.") || path == "MLmodel" {
            harms.iter().for_each(|harm| apply(&mut bytes, harm));
        }
        harmed.insert(&path, bytes).unwrap();
    }
    harmed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_models_of_all_libraries_never_panic(
        name in prop::sample::select(fixture_names()),
        harms in prop::collection::vec(harm(), 1..4),
    ) {
        try_all(&with_harm(&fixture_files(&name), &harms));
    }

    #[test]
    fn any_bytes_are_refused_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        path in prop::sample::select(vec!["model.onnx", "model.json", "model.ubj", "model.txt", "MLmodel"]),
        start in prop::sample::select(vec![&b""[..], b"{L", b"tree\n", b"{\"learner\":", b"flavors:\n", b"\x3a"]),
    ) {
        let bytes = [start, &bytes].concat();
        try_all(&ModelFiles::single(path, bytes).unwrap());
    }
}

#[test]
fn damaged_models_of_our_own_never_panic() {
    let files = fit(&rows(500, 1), &options("late")).to_files(None).unwrap();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(harm(), 1..3);
    runner
        .run(&strategy, |harms| {
            try_all(&with_harm(&files, &harms));
            Ok(())
        })
        .unwrap();
}

fn refused(files: &ModelFiles, limits: &Limits) -> everloop_runtime::Error {
    Model::load(files, limits).unwrap_err()
}

#[test]
fn limits_hold_for_every_format() {
    let check = |name: &str, change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        let error = refused(&fixture_files(name), &limits);
        assert_eq!(error.code(), Code::ResourceExhausted, "{name}: {error}");
    };
    for name in ["xgboost_regression", "xgboost_binary_ubj", "lightgbm_regression"] {
        check(name, |limits| limits.total_bytes = 1_000);
        check(name, |limits| limits.trees = 3);
        check(name, |limits| limits.nodes = 20);
        check(name, |limits| limits.depth = 2);
        check(name, |limits| limits.width = 2);
    }
    check("onnx_mlp", |limits| limits.width = 3);
    check("onnx_forest_classifier", |limits| limits.total_bytes = 100);
}

#[test]
fn tree_limits_hold_inside_graphs() {
    for change in [
        |limits: &mut Limits| limits.trees = 3,
        |limits: &mut Limits| limits.nodes = 20,
    ] {
        let mut limits = Limits::default();
        change(&mut limits);
        let error = refused(&fixture_files("onnx_forest_classifier"), &limits).to_string();
        assert!(error.contains("above the limit"), "{error}");
    }
}

#[test]
fn a_graph_may_not_grow_its_tensors_beyond_the_limit() {
    let limits = Limits {
        elements: 10,
        ..Limits::default()
    };
    let error = refused(&fixture_files("onnx_polynomial"), &limits);
    assert!(error.to_string().contains("limit"), "{error}");
}

/// A LightGBM tree of two splits on categories.
fn lightgbm_sets(boundaries: &str, first: u32, second: u32) -> ModelFiles {
    let text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=regression\n\
         feature_names=a\nfeature_infos=0:1:2\n\nTree=0\nnum_leaves=3\nnum_cat=2\nsplit_feature=0 0\n\
         threshold={first} {second}\ndecision_type=1 1\nleft_child=1 -1\nright_child=-2 -3\nleaf_value=1 2 3\n\
         cat_boundaries={boundaries}\ncat_threshold=6 2\n\nend of trees\n"
    );
    ModelFiles::single("model.txt", text.into_bytes()).unwrap()
}

#[test]
fn a_short_file_may_not_ask_for_endless_copies_of_a_set() {
    let model = Model::load(&lightgbm_sets("0 1 2", 0, 1), &Limits::default()).unwrap();
    let frame = Frame::new(vec![crate::support::column(
        "a",
        Values::Int(vec![Some(0), Some(1), Some(2), None]),
    )]);
    assert_eq!(
        model.predict(&frame.unwrap()).unwrap().main_score(),
        [2.0, 1.0, 3.0, 2.0]
    );
    for (boundaries, first, second) in [
        ("0 2 0 2", 0, 2),
        ("0 2", 0, 0),
        ("0 1 9", 0, 1),
        ("2 0 1", 0, 1),
        ("0 1", 0, 7),
    ] {
        let error = refused(&lightgbm_sets(boundaries, first, second), &Limits::default()).to_string();
        assert!(error.contains("category set"), "{error}");
    }
}

#[test]
fn one_category_may_not_make_a_huge_set() {
    let files = fixture_files("xgboost_categories");
    let text = String::from_utf8(files.require("model.json").unwrap().to_vec()).unwrap();
    let at = text.find("\"categories\":[").unwrap() + "\"categories\":[".len();
    let text = format!(
        "{}2000000000,{}",
        &text[..at],
        &text[text[at..].find(',').unwrap() + at + 1..]
    );
    let error = refused(
        &ModelFiles::single("model.json", text.into_bytes()).unwrap(),
        &Limits::default(),
    );
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
}

#[test]
fn code_is_never_run() {
    let check = |path: &str, bytes: &[u8], mlmodel: &str| {
        let mut files = ModelFiles::single(path, bytes.to_vec()).unwrap();
        if !mlmodel.is_empty() {
            files.insert("MLmodel", mlmodel.as_bytes().to_vec()).unwrap();
        }
        let error = refused(&files, &Limits::default());
        assert!(
            matches!(error, everloop_runtime::Error::UnsafeFormat { .. }),
            "{error}"
        );
        assert_eq!(error.code(), Code::Unsupported);
        assert!(error.hint().unwrap().contains("ONNX"));
    };
    check("model.pkl", b"\x80\x04N.", "");
    check("model.bin", b"\x80\x05N.", "");
    check(
        "model.pkl",
        b"\x80\x04N.",
        "flavors: {python_function: {loader_module: mlflow.sklearn}}",
    );
    check(
        "model.pkl",
        b"\x80\x04N.",
        "flavors: {sklearn: {}, python_function: {loader_module: mlflow.sklearn}}",
    );
    check(
        "model.pkl",
        b"\x80\x04N.",
        "flavors: {lightgbm: {data: model.pkl}}",
    );
    check("model.skops", b"PK", "flavors: {xgboost: {data: model.skops}}");
}

#[test]
fn hostile_mlmodel_files_are_refused() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &(0..9)
            .map(|level| {
                let (own, below) = ((b'b' + level) as char, (b'a' + level) as char);
                format!("{own}: &{own} [{}]\n", vec![format!("*{below}"); 9].join(","))
            })
            .collect::<String>()
        + "flavors: {onnx: {data: model.onnx}}\n";
    let deep = format!("flavors: {}{}", "[".repeat(5_000), "]".repeat(5_000));
    let tagged = "flavors: !!python/object/apply:os.system ['true']".to_owned();
    let outside = "flavors: {onnx: {data: ../../etc/passwd}}".to_owned();
    for text in [
        bomb,
        deep,
        tagged,
        outside,
        "flavors: {onnx: {data: 7}}".to_owned(),
        String::new(),
    ] {
        let files = ModelFiles::single("MLmodel", text.into_bytes()).unwrap();
        refused(&files, &limits());
    }
}

#[test]
fn an_unknown_operator_is_refused_by_name() {
    let files = fixture_files("onnx_mlp");
    let mut bytes = files.require("model.onnx").unwrap().to_vec();
    // The name of the node, then its operator.
    for _ in 0..2 {
        let at = bytes.windows(6).position(|window| window == b"Scaler").unwrap();
        bytes[at..at + 6].copy_from_slice(b"Evilop");
    }
    let error = refused(
        &ModelFiles::single("model.onnx", bytes).unwrap(),
        &Limits::default(),
    );
    assert_eq!(error.code(), Code::Unsupported);
    assert!(
        error.to_string().contains("operator ai.onnx.ml.Evilop"),
        "{error}"
    );
}
