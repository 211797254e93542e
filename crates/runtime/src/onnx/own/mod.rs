//! The graphs that this crate writes: columns by name, texts looked up, trees, probabilities by class.
//!
//! Every column is an input of its own, a vector with one value a row, so that Python hands over the columns of a data
//! frame by name. Texts go through a LabelEncoder to codes; an unknown text becomes NaN and
//! takes the way of missing values. All trees compare `value <= threshold`. Sets of categories are chains of such
//! comparisons with a common target: ONNX Runtime has long read such graphs (LightGBM's converter writes them), and
//! they stay small where tables of memberships would not.
//!
//! When such a file is loaded it is taken apart again into columns and trees; whether that lost anything is checked by
//! writing it anew and comparing.

mod fold;
mod write;

use super::answer::{CLASSES_KEY, TASK_KEY};
use super::attributes::Attributes;
use super::decode;
use super::ops::trees::listed;
use super::proto::{self, GraphProto, ModelProto, ValueInfoProto};
use crate::error::Result;
use crate::limits::Limits;
use crate::signature::Kind;
use crate::task::Task;
use crate::trees::{AnyTrees, Builder, Encoding, Link, LoadedTrees, Tree, TreeModel, Vocabulary};
use fold::folded;
use prost::Message as _;

const PRODUCER: &str = "everloop";
const GAINS_KEY: &str = "everloop.gains";

/// A model as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub(crate) columns: Vec<OwnColumn>,
    pub(crate) task: Task,
    /// Splits are all of the kind [`SplitKind::AtMost`]; the root stands first.
    pub(crate) trees: Vec<Tree<f32>>,
    /// What each score starts with.
    pub(crate) base: Vec<f32>,
    /// Sum of loss reductions per column.
    pub(crate) gains: Vec<f64>,
}

#[derive(Debug, Clone)]
pub(crate) struct OwnColumn {
    pub(crate) name: String,
    pub(crate) kind: OwnKind,
}

#[derive(Debug, Clone)]
pub(crate) enum OwnKind {
    Number,
    Truth,
    /// The texts in the order of their codes.
    Category(Vec<String>),
}
/// The bytes of the file.
pub(crate) fn write(own: &Own) -> Vec<u8> {
    write::model(own).encode_to_vec()
}

/// Reads a file that this crate wrote, as the trees it was written from; `None` when it is any other graph.
pub(crate) fn load(path: &str, bytes: &[u8], limits: &Limits) -> Result<Option<LoadedTrees>> {
    let proto = decode(path, bytes, limits)?;
    if proto.producer_name.as_deref() != Some(PRODUCER) {
        return Ok(None);
    }
    let Some(own) = parts(&proto).filter(|own| write::graph(own).encode_to_vec() == encoded_graph(&proto))
    else {
        return Ok(None);
    };
    let mut builder = Builder::new(path, super::FORMAT, limits, own.columns.len(), own.base.clone())?;
    for tree in own.trees {
        let kind = |feature: usize| own.columns.get(feature).map(|column| &column.kind);
        let is_category = |feature: usize| matches!(kind(feature), Some(OwnKind::Category(_)));
        builder.add(&folded(tree, is_category))?;
    }
    let link = match own.task.classes().len() {
        0 => Link::Identity,
        2 => Link::Sigmoid { scale: 1.0 },
        _ => Link::Softmax,
    };
    let encoding = |column: &OwnColumn| match &column.kind {
        OwnKind::Category(names) => Encoding::Category(Vocabulary::texts(names.clone())),
        OwnKind::Number | OwnKind::Truth => Encoding::Number,
    };
    let kind = |column: &OwnColumn| match column.kind {
        OwnKind::Number => Kind::Double,
        OwnKind::Truth => Kind::Bool,
        OwnKind::Category(_) => Kind::String,
    };
    Ok(Some(LoadedTrees {
        model: TreeModel {
            trees: AnyTrees::F32(builder.finish()),
            encodings: own.columns.iter().map(encoding).collect(),
            divisor: 1.0,
            link,
            binary: own.task.classes().len() == 2,
        },
        kinds: own.columns.iter().map(kind).collect(),
        names: own.columns.into_iter().map(|column| column.name).collect(),
        named: true,
        task: own.task,
        gains: Some(own.gains),
    }))
}
fn encoded_graph(proto: &ModelProto) -> Vec<u8> {
    proto
        .graph
        .as_ref()
        .map(GraphProto::encode_to_vec)
        .unwrap_or_default()
}

/// Takes a graph apart, as far as it looks like one of ours.
fn parts(proto: &ModelProto) -> Option<Own> {
    let graph = proto.graph.as_ref()?;
    let metadata = |key: &str| {
        let entry = proto
            .metadata_props
            .iter()
            .find(|entry| entry.key.as_deref() == Some(key))?;
        entry.value.as_deref()
    };
    let task = match metadata(TASK_KEY)? {
        "classification" => Task::Classification {
            classes: serde_json::from_str(metadata(CLASSES_KEY)?).ok()?,
        },
        "regression" => Task::Regression,
        _ => return None,
    };
    let columns: Option<Vec<OwnColumn>> = graph.input.iter().map(|input| column(graph, input)).collect();
    let ensemble = graph
        .node
        .iter()
        .find(|node| node.op_type.as_deref() == Some("TreeEnsembleRegressor"))?;
    let attributes = Attributes(ensemble);
    let columns = columns?;
    let gains: Vec<f64> = serde_json::from_str(metadata(GAINS_KEY)?).ok()?;
    (gains.len() == columns.len()).then_some(Own {
        task,
        trees: listed(&attributes, "target").ok()?,
        base: attributes.floats("base_values").to_vec(),
        gains,
        columns,
    })
}

fn column(graph: &GraphProto, input: &ValueInfoProto) -> Option<OwnColumn> {
    let name = input.name.clone()?;
    let kind = match input.r#type.as_ref()?.tensor_type.as_ref()?.elem_type? {
        proto::TYPE_FLOAT => OwnKind::Number,
        proto::TYPE_BOOL => OwnKind::Truth,
        proto::TYPE_STRING => {
            let encoder = graph.node.iter().find(|node| node.input.first() == Some(&name))?;
            OwnKind::Category(Attributes(encoder).texts("keys_strings").ok()?)
        }
        _ => return None,
    };
    Some(OwnColumn { name, kind })
}
