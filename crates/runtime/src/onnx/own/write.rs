//! Writes a model as a graph.

use super::{GAINS_KEY, Own, OwnColumn, OwnKind, PRODUCER};
use crate::onnx::answer::{CLASSES_KEY, TASK_KEY};
use crate::onnx::proto::{
    self, AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
};
use crate::prediction::{PREDICTION, probability_column};
use crate::task::{Label, Task};
use crate::trees::{SplitKind, TreeNode};

const ML: &str = "ai.onnx.ml";

/// Opened by ONNX Runtime from 1.15 on.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
const ML_OPSET: i64 = 3;

pub(super) fn model(own: &Own) -> ModelProto {
    let set = |domain: &str, version: i64| proto::OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(version),
    };
    let entry = |key: &str, value: String| proto::StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    let mut metadata = Vec::new();
    match &own.task {
        Task::Regression => metadata.push(entry(TASK_KEY, "regression".to_owned())),
        Task::Classification { classes } => {
            metadata.push(entry(TASK_KEY, "classification".to_owned()));
            metadata.push(entry(CLASSES_KEY, serde_json::json!(classes).to_string()));
        }
    }
    metadata.push(entry(GAINS_KEY, serde_json::json!(own.gains).to_string()));
    ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some(PRODUCER.to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        graph: Some(graph(own)),
        opset_import: vec![set("", OPSET), set(ML, ML_OPSET)],
        metadata_props: metadata,
        functions: Vec::new(),
    }
}

pub(super) fn graph(own: &Own) -> GraphProto {
    let mut writer = Writer::default();
    let column_shape = writer.constant(integers("everloop:column", &[2], &[-1, 1]));
    let mut features = Vec::with_capacity(own.columns.len());
    for (index, column) in own.columns.iter().enumerate() {
        let value = writer.column(index, column);
        features.push(writer.node(
            "Reshape",
            &[&value, &column_shape],
            &format!("everloop:feature_{index}"),
            vec![],
        ));
    }
    let inputs: Vec<&str> = features.iter().map(String::as_str).collect();
    let table = writer.node("Concat", &inputs, "everloop:features", vec![int("axis", 1)]);
    let sums = writer.node_in(
        ML,
        "TreeEnsembleRegressor",
        &[&table],
        "everloop:sums",
        ensemble(own),
    );
    match own.task.classes() {
        [] => {
            writer.flat(&sums, PREDICTION);
            writer.output(PREDICTION, proto::TYPE_FLOAT);
        }
        [first, second] => writer.two_classes(&sums, first, second),
        classes => writer.classes(&sums, classes),
    }
    GraphProto {
        name: Some(PRODUCER.to_owned()),
        input: own.columns.iter().map(input).collect(),
        ..writer.graph
    }
}

/// Writes nodes one after another; each answers the name of its output.
#[derive(Default)]
struct Writer {
    graph: GraphProto,
}

impl Writer {
    fn constant(&mut self, tensor: TensorProto) -> String {
        let name = tensor.name.clone().unwrap_or_default();
        self.graph.initializer.push(tensor);
        name
    }

    fn node(&mut self, kind: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> String {
        self.node_in("", kind, inputs, output, attributes)
    }

    fn node_in(
        &mut self,
        domain: &str,
        kind: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> String {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![output.to_owned()],
            name: Some(format!("{output}:{kind}")),
            op_type: Some(kind.to_owned()),
            attribute,
            domain: Some(domain.to_owned()),
        });
        output.to_owned()
    }

    fn output(&mut self, name: &str, kind: i32) {
        self.graph.output.push(value(name, kind));
    }

    /// The floats of one column.
    fn column(&mut self, index: usize, column: &OwnColumn) -> String {
        let output = format!("everloop:value_{index}");
        match &column.kind {
            OwnKind::Number => column.name.clone(),
            OwnKind::Truth => {
                let to = vec![int("to", i64::from(proto::TYPE_FLOAT))];
                self.node("Cast", &[&column.name], &output, to)
            }
            OwnKind::Category(names) => {
                let codes: Vec<f32> = (0..names.len()).map(|code| code as f32).collect();
                let pairs = vec![
                    texts(
                        "keys_strings",
                        names.iter().map(|name| name.clone().into_bytes()).collect(),
                    ),
                    floats("values_floats", codes),
                    float("default_float", f32::NAN),
                ];
                self.node_in(ML, "LabelEncoder", &[&column.name], &output, pairs)
            }
        }
    }

    /// A table of one column as a vector.
    fn flat(&mut self, table: &str, output: &str) -> String {
        let shape = self.constant(integers("everloop:flat", &[1], &[-1]));
        self.node("Reshape", &[table, &shape], output, vec![])
    }

    /// Probabilities and the class of two: the second when the sum is positive.
    fn two_classes(&mut self, sums: &str, first: &Label, second: &Label) {
        let one = self.constant(single("everloop:one", 1.0));
        let zero = self.constant(single("everloop:zero", 0.0));
        let sums = self.flat(sums, "everloop:sum");
        let positive = self.node("Greater", &[&sums, &zero], "everloop:positive", vec![]);
        let place = self.node(
            "Cast",
            &[&positive],
            "everloop:place",
            vec![int("to", i64::from(proto::TYPE_INT64))],
        );
        self.label(&place, &[first.clone(), second.clone()]);
        let high = self.node("Sigmoid", &[&sums], &probability_column(second), vec![]);
        let low = self.node("Sub", &[&one, &high], &probability_column(first), vec![]);
        self.output(&low, proto::TYPE_FLOAT);
        self.output(&high, proto::TYPE_FLOAT);
    }

    /// Probabilities and the class of several: the first of the largest sum.
    fn classes(&mut self, sums: &str, classes: &[Label]) {
        let place = self.node(
            "ArgMax",
            &[sums],
            "everloop:place",
            vec![int("axis", 1), int("keepdims", 0)],
        );
        self.label(&place, classes);
        let probabilities = self.node("Softmax", &[sums], "everloop:probabilities", vec![int("axis", 1)]);
        for (index, class) in classes.iter().enumerate() {
            let own = self.constant(integers(&format!("everloop:class_{index}"), &[], &[index as i64]));
            let output = probability_column(class);
            self.node("Gather", &[&probabilities, &own], &output, vec![int("axis", 1)]);
            self.output(&output, proto::TYPE_FLOAT);
        }
    }

    /// The label of the class at `place`.
    fn label(&mut self, place: &str, classes: &[Label]) {
        let (kind, labels) = labels(classes);
        let labels = self.constant(labels);
        self.node("Gather", &[&labels, place], PREDICTION, vec![int("axis", 0)]);
        self.output(PREDICTION, kind);
    }
}

fn labels(classes: &[Label]) -> (i32, TensorProto) {
    let name = "everloop:classes";
    let size = [classes.len() as i64];
    let is_text = |label: &Label| matches!(label, Label::Text(_));
    let is_bool = |label: &Label| matches!(label, Label::Bool(_));
    let number = |label: &Label| match label {
        Label::Int(value) => *value,
        Label::Bool(value) => i64::from(*value),
        Label::Text(_) => 0,
    };
    if classes.iter().any(is_text) {
        let tensor = TensorProto {
            string_data: classes
                .iter()
                .map(|label| label.to_string().into_bytes())
                .collect(),
            ..tensor(name, &size, proto::TYPE_STRING)
        };
        return (proto::TYPE_STRING, tensor);
    }
    let numbers: Vec<i64> = classes.iter().map(number).collect();
    if classes.iter().all(is_bool) {
        let tensor = TensorProto {
            int32_data: numbers.iter().map(|number| *number as i32).collect(),
            ..tensor(name, &size, proto::TYPE_BOOL)
        };
        return (proto::TYPE_BOOL, tensor);
    }
    (proto::TYPE_INT64, integers(name, &size, &numbers))
}

fn tensor(name: &str, dims: &[i64], kind: i32) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.to_vec(),
        data_type: Some(kind),
        ..TensorProto::default()
    }
}

fn integers(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
    TensorProto {
        int64_data: values.to_vec(),
        ..tensor(name, dims, proto::TYPE_INT64)
    }
}

fn single(name: &str, value: f32) -> TensorProto {
    TensorProto {
        float_data: vec![value],
        ..tensor(name, &[1], proto::TYPE_FLOAT)
    }
}

fn input(column: &OwnColumn) -> ValueInfoProto {
    let kind = match column.kind {
        OwnKind::Number => proto::TYPE_FLOAT,
        OwnKind::Truth => proto::TYPE_BOOL,
        OwnKind::Category(_) => proto::TYPE_STRING,
    };
    value(&column.name, kind)
}

/// A vector with one value a row.
fn value(name: &str, kind: i32) -> ValueInfoProto {
    let rows = proto::DimensionProto {
        dim_value: None,
        dim_param: Some("rows".to_owned()),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(proto::TypeProto {
            tensor_type: Some(proto::TensorTypeProto {
                elem_type: Some(kind),
                shape: Some(proto::TensorShapeProto { dim: vec![rows] }),
            }),
        }),
    }
}

/// The trees as the arrays of a TreeEnsembleRegressor.
fn ensemble(own: &Own) -> Vec<AttributeProto> {
    let mut arrays = Arrays::default();
    for (index, tree) in own.trees.iter().enumerate() {
        for (place, node) in tree.nodes.iter().enumerate() {
            arrays.node(index as i64, place as i64, node, tree.output as i64);
        }
    }
    vec![
        text("aggregate_function", "SUM"),
        floats("base_values", own.base.clone()),
        int("n_targets", own.base.len() as i64),
        ints("nodes_falsenodeids", arrays.no),
        ints("nodes_featureids", arrays.features),
        ints("nodes_missing_value_tracks_true", arrays.missing_yes),
        texts("nodes_modes", arrays.modes),
        ints("nodes_nodeids", arrays.nodes),
        ints("nodes_treeids", arrays.trees),
        ints("nodes_truenodeids", arrays.yes),
        floats("nodes_values", arrays.thresholds),
        text("post_transform", "NONE"),
        ints("target_ids", arrays.targets),
        ints("target_nodeids", arrays.leaf_nodes),
        ints("target_treeids", arrays.leaf_trees),
        floats("target_weights", arrays.weights),
    ]
}

#[derive(Default)]
struct Arrays {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    modes: Vec<Vec<u8>>,
    features: Vec<i64>,
    thresholds: Vec<f32>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing_yes: Vec<i64>,
    leaf_trees: Vec<i64>,
    leaf_nodes: Vec<i64>,
    targets: Vec<i64>,
    weights: Vec<f32>,
}

impl Arrays {
    fn node(&mut self, tree: i64, place: i64, node: &TreeNode<f32>, output: i64) {
        let (mode, feature, threshold, yes, no, missing_yes) = match node {
            TreeNode::Split(split) => {
                let threshold = match split.kind {
                    SplitKind::AtMost(threshold) => threshold,
                    _ => f32::NAN,
                };
                let (yes, no) = (split.yes as i64, split.no as i64);
                (
                    "BRANCH_LEQ",
                    split.feature as i64,
                    threshold,
                    yes,
                    no,
                    i64::from(split.missing_yes),
                )
            }
            TreeNode::Leaf(_) | TreeNode::Leaves(_) => ("LEAF", 0, 0.0, 0, 0, 0),
        };
        self.trees.push(tree);
        self.nodes.push(place);
        self.modes.push(mode.as_bytes().to_vec());
        self.features.push(feature);
        self.thresholds.push(threshold);
        self.yes.push(yes);
        self.no.push(no);
        self.missing_yes.push(missing_yes);
        if let TreeNode::Leaf(value) = node {
            self.leaf_trees.push(tree);
            self.leaf_nodes.push(place);
            self.targets.push(output);
            self.weights.push(*value);
        }
    }
}

fn attribute(name: &str, kind: i32) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(kind),
        ..AttributeProto::default()
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: Some(value),
        ..attribute(name, proto::ATTRIBUTE_INT)
    }
}

fn ints(name: &str, values: Vec<i64>) -> AttributeProto {
    AttributeProto {
        ints: values,
        ..attribute(name, proto::ATTRIBUTE_INTS)
    }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        f: Some(value),
        ..attribute(name, proto::ATTRIBUTE_FLOAT)
    }
}

fn floats(name: &str, values: Vec<f32>) -> AttributeProto {
    AttributeProto {
        floats: values,
        ..attribute(name, proto::ATTRIBUTE_FLOATS)
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        s: Some(value.as_bytes().to_vec()),
        ..attribute(name, proto::ATTRIBUTE_STRING)
    }
}

fn texts(name: &str, values: Vec<Vec<u8>>) -> AttributeProto {
    AttributeProto {
        strings: values,
        ..attribute(name, proto::ATTRIBUTE_STRINGS)
    }
}
