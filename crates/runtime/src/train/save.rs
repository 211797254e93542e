//! A trained model as files: the ONNX graph, and the MLflow directory around it.

use super::bins::{Column, ColumnKind};
use super::boost::Boosted;
use super::grow::{Grown, GrownNode};
use super::split::{BinSet, Split as BinSplit, Test};
use crate::columns::{bind, check_kind};
use crate::error::Result;
use crate::files::ModelFiles;
use crate::mlmodel::MLMODEL;
use crate::model::Model;
use crate::onnx::own::{self, Own, OwnColumn, OwnKind};
use crate::signature::Field;
use crate::task::Task;
use crate::trees::{Split, SplitKind, Tree, TreeNode};
use everloop_core::{Frame, Hash, Values};
use serde_json::{Value, json};

pub(super) const ONNX_FILE: &str = "model.onnx";
const EXAMPLE_FILE: &str = "input_example.json";
const SERVING_FILE: &str = "serving_input_example.json";
const EXAMPLE_ROWS: usize = 5;

/// What MLflow loads in Python. `mlflow.onnx` would do but for texts: it hands over columns as pandas has them, and
/// since pandas 3 those of texts are no arrays that ONNX Runtime takes.
const LOADER: &str = include_str!("everloop_model.py");
const LOADER_FILE: &str = "code/everloop_model.py";

/// What Python needs: the oldest versions that the saved graphs were tried with.
const REQUIREMENTS: [&str; 4] = ["mlflow>=2.10", "onnx>=1.15", "onnxruntime>=1.17", "pandas>=1.5"];
const PYTHON: &str = "3.11";

/// The bytes of the ONNX file.
pub(super) fn onnx(task: Task, columns: &[Column], boosted: &Boosted) -> Vec<u8> {
    let outputs = boosted.start.len();
    let trees = boosted.trees.iter().enumerate().map(|(index, tree)| Tree {
        nodes: nodes(tree, columns),
        root: 0,
        output: index % outputs,
    });
    own::write(&Own {
        columns: columns.iter().map(own_column).collect(),
        task,
        trees: trees.collect(),
        base: boosted.start.clone(),
        gains: boosted.gains(columns.len()),
    })
}

fn own_column(column: &Column) -> OwnColumn {
    OwnColumn {
        name: column.name.clone(),
        kind: match &column.kind {
            ColumnKind::Numbers { truth: false, .. } => OwnKind::Number,
            ColumnKind::Numbers { truth: true, .. } => OwnKind::Truth,
            ColumnKind::Categories { names } => OwnKind::Category(names.clone()),
        },
    }
}

/// The nodes of a tree over values instead of bins. Nodes keep their places; the further links of a chain for a set of
/// categories follow behind.
fn nodes(tree: &Grown, columns: &[Column]) -> Vec<TreeNode<f32>> {
    let mut nodes = vec![TreeNode::Leaf(0.0); tree.nodes.len()];
    for (place, node) in tree.nodes.iter().enumerate() {
        match node {
            GrownNode::Leaf(value) => nodes[place] = TreeNode::Leaf(*value),
            GrownNode::Split {
                column,
                split,
                left,
                right,
            } => {
                let test = Placed {
                    feature: *column,
                    left: *left,
                    right: *right,
                    place,
                };
                test.lay(&columns[*column].kind, split, &mut nodes);
            }
        }
    }
    nodes
}

/// A split and where it and its children stand.
struct Placed {
    feature: usize,
    left: usize,
    right: usize,
    place: usize,
}

impl Placed {
    fn lay(&self, kind: &ColumnKind, split: &BinSplit, nodes: &mut Vec<TreeNode<f32>>) {
        match (kind, split.test) {
            (ColumnKind::Numbers { cuts, .. }, Test::UpTo(bin)) => {
                // Behind the last cut every number goes left and missing values alone go right.
                let cut = cuts.get(bin as usize).copied().unwrap_or(f32::INFINITY);
                nodes[self.place] = self.node(cut, self.left, self.right, split.missing_left);
            }
            (ColumnKind::Categories { .. }, Test::UpTo(bin)) => {
                nodes[self.place] = self.node(after(bin as usize), self.left, self.right, split.missing_left);
            }
            (_, Test::In(set)) => self.lay_chain(&runs(set, kind.missing()), split.missing_left, nodes),
        }
    }

    fn node(&self, threshold: f32, yes: usize, no: usize, missing_yes: bool) -> TreeNode<f32> {
        TreeNode::Split(Split {
            feature: self.feature,
            kind: SplitKind::AtMost(threshold),
            yes,
            no,
            missing_yes,
        })
    }

    /// Compares with the end of one run of codes after another; runs of one side share the same child. A missing value
    /// falls through to the end of the chain unless its side is the other one.
    fn lay_chain(&self, runs: &[(bool, usize)], missing_left: bool, nodes: &mut Vec<TreeNode<f32>>) {
        let child = |left: bool| if left { self.left } else { self.right };
        let Some(((last_side, last_code), links)) = runs.split_last() else {
            return;
        };
        let mut own = self.place;
        if links.is_empty() {
            // All categories on one side: only missing values are parted from them.
            nodes[own] = self.node(
                after(*last_code),
                child(*last_side),
                child(!last_side),
                missing_left == *last_side,
            );
            return;
        }
        for (index, (side, code)) in links.iter().enumerate() {
            let last = index + 1 == links.len();
            let next = if last { child(*last_side) } else { nodes.len() };
            nodes[own] = self.node(
                after(*code),
                child(*side),
                next,
                last && missing_left != *last_side,
            );
            if !last {
                nodes.push(TreeNode::Leaf(0.0));
                own = next;
            }
        }
    }
}

/// A threshold between a code and the next.
fn after(code: usize) -> f32 {
    code as f32 + 0.5
}

/// Runs of codes on one side: whether it is left, and the last code of the run.
fn runs(set: BinSet, codes: usize) -> Vec<(bool, usize)> {
    let mut runs: Vec<(bool, usize)> = Vec::new();
    for code in 0..codes {
        let side = set.contains(code);
        match runs.last_mut() {
            Some((last, end)) if *last == side => *end = code,
            _ => runs.push((side, code)),
        }
    }
    runs
}

/// The MLflow directory of a model whose graph is `onnx`.
pub(super) fn directory(model: &Model, onnx: Vec<u8>, example: Option<&Frame>) -> Result<ModelFiles> {
    let mut files = ModelFiles::new();
    let mlmodel = mlmodel(model, &onnx, example.is_some());
    files.insert(MLMODEL, mlmodel.into_bytes())?;
    files.insert(ONNX_FILE, onnx)?;
    files.insert(LOADER_FILE, LOADER.as_bytes().to_vec())?;
    files.insert("requirements.txt", lines(&REQUIREMENTS.map(str::to_owned)))?;
    files.insert("conda.yaml", conda())?;
    files.insert("python_env.yaml", python_env())?;
    if let Some(example) = example {
        let split = split_oriented(&model.signature().inputs, example)?;
        files.insert(EXAMPLE_FILE, split.to_string().into_bytes())?;
        files.insert(
            SERVING_FILE,
            json!({"dataframe_split": split}).to_string().into_bytes(),
        )?;
    }
    Ok(files)
}

fn mlmodel(model: &Model, onnx: &[u8], example: bool) -> String {
    let (inputs, outputs) = model.signature().to_mlflow();
    // The same model has the same id: nothing random enters a stored file.
    let id = &Hash::of(onnx).to_hex()[..32];
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        "flavors:
  everloop:
    data: {ONNX_FILE}
    version: {version}
  onnx:
    code: null
    data: {ONNX_FILE}
    providers:
    - CPUExecutionProvider
  python_function:
    code: code
    data: {ONNX_FILE}
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: everloop_model
    python_version: '{PYTHON}'
model_size_bytes: {}
model_uuid: {id}
",
        onnx.len()
    );
    if example {
        text.push_str(&format!(
            "saved_input_example_info:
  artifact_path: {EXAMPLE_FILE}
  pandas_orient: split
  serving_input_path: {SERVING_FILE}
  type: dataframe
"
        ));
    }
    let quoted = |json: &str| format!("'{}'", json.replace('\'', "''"));
    text.push_str(&format!(
        "signature:
  inputs: {}
  outputs: {}
  params: null
",
        quoted(&inputs),
        quoted(&outputs)
    ));
    text
}

fn lines(lines: &[String]) -> Vec<u8> {
    let mut text = lines.join("\n");
    text.push('\n');
    text.into_bytes()
}

fn conda() -> Vec<u8> {
    let mut all: Vec<String> = [
        "channels:",
        "- conda-forge",
        "dependencies:",
        &format!("- python={PYTHON}"),
        "- pip",
        "- pip:",
    ]
    .map(str::to_owned)
    .to_vec();
    all.extend(REQUIREMENTS.map(|requirement| format!("  - {requirement}")));
    all.push("name: mlflow-env".to_owned());
    lines(&all)
}

fn python_env() -> Vec<u8> {
    let all = [
        &format!("python: '{PYTHON}'"),
        "build_dependencies:",
        "- pip",
        "dependencies:",
        "- -r requirements.txt",
    ];
    lines(&all.map(str::to_owned))
}

/// The first rows of the example in pandas' `split` form.
fn split_oriented(inputs: &[Field], example: &Frame) -> Result<Value> {
    let columns = bind(example, inputs, true)?;
    for (field, values) in inputs.iter().zip(&columns) {
        if let Some(values) = values {
            check_kind(&field.name, values, field.kind.is_text())?;
        }
    }
    let cell = |values: &Option<&Values>, row: usize| match values {
        None => Value::Null,
        Some(values) if values.is_missing(row) => Value::Null,
        Some(Values::Bool(truths)) => json!(truths[row]),
        Some(values) => values
            .text(row)
            .map_or_else(|| json!(values.number(row)), |text| json!(text)),
    };
    let data: Vec<Vec<Value>> = (0..example.rows().min(EXAMPLE_ROWS))
        .map(|row| columns.iter().map(|values| cell(values, row)).collect())
        .collect();
    let names: Vec<&str> = inputs.iter().map(|field| field.name.as_str()).collect();
    Ok(json!({"columns": names, "data": data}))
}
