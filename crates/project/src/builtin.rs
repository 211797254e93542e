//! Built-in kinds of stage, which need no Python: `sql`, `train` and `evaluate`.

use crate::decode::{Cx, Decode, Fields, key};
use crate::hints::did_you_mean;
use crate::metric::{Metric, Task};
use crate::node::{Key, Kind, Node};
use crate::paths::{FilePath, Source};
use crate::problem::{Problem, ProblemKind, quoted};
use crate::scalars::{count, deserialize_by_decode, filled, number};
use crate::units::Share;
use everloop_core::{ColumnName, DatasetName};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The tables that a query reads, by the name it calls them. Written as a mapping from table names to sources, or as
/// a list of sources: a dataset is then called by its name, a file by its name without the ending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Tables(pub BTreeMap<String, Source>);

impl Decode for Tables {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let before = cx.count();
        let tables = match &node.kind {
            Kind::Map(_) => crate::decode::map(
                node,
                "sources",
                cx,
                |name| Ok::<_, everloop_core::InvalidName>(name.to_owned()),
                Source::decode,
            )?,
            Kind::Text(_) => named(&[Source::decode(node, cx)?], &[node], cx),
            Kind::List(items) => {
                let sources: Vec<Source> = crate::decode::list(node, cx)?;
                named(&sources, &items.iter().collect::<Vec<_>>(), cx)
            }
            _ => {
                cx.wrong_type(
                    node,
                    "a list of datasets and files, or a mapping from table names to them",
                );
                return None;
            }
        };
        for name in tables.keys().filter(|name| !is_table_name(name)) {
            let at = table_mark(node, name);
            cx.push(
                Problem::new(ProblemKind::BadValue, at, "not a name for a table")
                    .found(quoted(name))
                    .expected("a name of letters, digits, \"_\" and \"-\"")
                    .hint(format!("give it a name: from: {{my_table: {}}}", tables[name])),
            );
        }
        if tables.is_empty() {
            cx.bad_value(
                node,
                "no table",
                "at least one dataset or file that the query reads",
            );
        }
        (cx.count() == before).then_some(Self(tables))
    }
}

fn table_mark(node: &Node, name: &str) -> crate::problem::Mark {
    match &node.kind {
        Kind::Map(entries) => entries
            .iter()
            .find(|(Key { text, .. }, _)| text == name)
            .map_or(node.at, |(found, _)| found.at),
        _ => node.at,
    }
}

/// Letters, digits, `_` and `-`: what a query can name, in quotes when there is a `-`.
fn is_table_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !name.is_empty() && name.len() <= 128 && name.chars().all(word)
}

fn named(sources: &[Source], nodes: &[&Node], cx: &mut Cx) -> BTreeMap<String, Source> {
    let mut tables = BTreeMap::new();
    for (source, node) in sources.iter().zip(nodes) {
        let name = match source {
            Source::Dataset(name) => name.as_str(),
            Source::Path(path) => path.stem(),
        };
        if tables.insert(name.to_owned(), source.clone()).is_some() {
            cx.push(
                Problem::new(ProblemKind::DuplicateKey, node.at, "two tables of one name")
                    .found(quoted(name))
                    .expected("each table under a name of its own")
                    .hint("write a mapping: from: {first: ..., second: ...}"),
            );
        }
    }
    tables
}

impl JsonSchema for Tables {
    fn schema_name() -> Cow<'static, str> {
        "Tables".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let source = generator.subschema_for::<Source>();
        json_schema!({
            "description": "The datasets and files that the query reads: a list, or a mapping from table names.",
            "anyOf": [
                source,
                {"type": "array", "items": source, "minItems": 1},
                {"type": "object", "additionalProperties": source, "minProperties": 1},
            ],
        })
    }
}

/// Trains the built-in gradient-boosted trees. The stage's one out is the model's folder.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The rows to learn from: a dataset or a file.
    pub data: Source,
    /// The column to predict.
    #[schemars(with = "String")]
    pub target: ColumnName,
    /// What is predicted.
    pub task: Task,
    /// The columns to predict from; by default all but the target, the time and the excluded ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub features: Vec<ColumnName>,
    /// Columns to leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub exclude: Vec<ColumnName>,
    /// The column that says when each row happened; the newest rows then validate. Without it, random ones do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub time: Option<ColumnName>,
    /// A column of row weights, not negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub weight: Option<ColumnName>,
    /// Share of the rows held out to validate and to stop early; 0 learns from all rows for all iterations.
    #[serde(default = "default_valid_share")]
    pub valid_share: Share,
    /// Iterations without a better validation figure after which training stops.
    #[serde(default = "default_early_stopping")]
    #[schemars(range(min = 1, max = 100_000))]
    pub early_stopping: u32,
    /// Boosting rounds at most; each grows one tree (one per class for three classes and more).
    #[serde(default = "default_iterations")]
    #[schemars(range(min = 1, max = 100_000))]
    pub iterations: u32,
    /// How much of each tree counts.
    #[serde(default = "default_learning_rate")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub learning_rate: f64,
    /// Most leaves of one tree.
    #[serde(default = "default_max_leaves")]
    #[schemars(range(min = 2, max = 65_536))]
    pub max_leaves: u32,
    /// Most splits from root to leaf; 0 for no bound but `max_leaves`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000))]
    pub max_depth: u32,
    /// Fewest training rows of one leaf.
    #[serde(default = "default_min_child_rows")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub min_child_rows: u32,
    /// L2 penalty on the values of leaves.
    #[serde(default = "default_l2")]
    #[schemars(range(min = 0))]
    pub l2: f64,
    /// Most bins of a numeric column, and most categories kept of a text column.
    #[serde(default = "default_max_bins")]
    #[schemars(range(min = 2, max = 255))]
    pub max_bins: u32,
    /// Share of the rows drawn anew for each tree.
    #[serde(default = "default_all")]
    pub row_sample: Share,
    /// Share of the columns drawn anew for each tree.
    #[serde(default = "default_all")]
    pub column_sample: Share,
    /// How much the rows of each class count: `equal`, `balanced`, or a mapping from classes to weights.
    #[serde(default = "default_class_weights")]
    pub class_weights: ClassWeights,
    /// Where randomness starts: the same seed and rows give the same model.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    pub seed: u64,
}

/// How much the rows of each class count.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// Every row counts the same.
    Equal,
    /// Every class counts the same.
    Balanced,
    /// By class; a class that is not named counts 1.
    Named(BTreeMap<String, f64>),
}

impl Decode for ClassWeights {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const EXPECTED: &str = "equal, balanced, or a mapping from classes to weights";
        match &node.kind {
            Kind::Text(text) if text == "equal" => Some(Self::Equal),
            Kind::Text(text) if text == "balanced" => Some(Self::Balanced),
            Kind::Text(text) => {
                let near = did_you_mean(text, ["equal", "balanced"]);
                cx.push(
                    Problem::new(ProblemKind::BadValue, node.at, "unknown class weights")
                        .found(quoted(text))
                        .expected(EXPECTED)
                        .maybe_hint(near),
                );
                None
            }
            Kind::Map(_) => {
                let class = |name: &str| Ok::<_, everloop_core::InvalidName>(name.to_owned());
                let weight = |node: &Node, cx: &mut Cx| {
                    number(node, "a number that is not negative", cx, |weight| weight >= 0.0)
                };
                crate::decode::map(node, "weights", cx, class, weight).map(Self::Named)
            }
            _ => {
                cx.wrong_type(node, EXPECTED);
                None
            }
        }
    }
}

impl Serialize for ClassWeights {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Equal => serializer.serialize_str("equal"),
            Self::Balanced => serializer.serialize_str("balanced"),
            Self::Named(weights) => weights.serialize(serializer),
        }
    }
}

impl JsonSchema for ClassWeights {
    fn schema_name() -> Cow<'static, str> {
        "ClassWeights".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How much the rows of each class count: all the same, every class the same, or by class.",
            "anyOf": [
                {"enum": ["equal", "balanced"]},
                {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
            ],
        })
    }
}

deserialize_by_decode!(Tables, Train, Evaluate, ClassWeights);

fn default_valid_share() -> Share {
    Share::new(0.1)
}

fn default_early_stopping() -> u32 {
    20
}

fn default_iterations() -> u32 {
    300
}

fn default_learning_rate() -> f64 {
    0.1
}

fn default_max_leaves() -> u32 {
    31
}

fn default_min_child_rows() -> u32 {
    20
}

fn default_l2() -> f64 {
    1.0
}

fn default_max_bins() -> u32 {
    255
}

fn default_all() -> Share {
    Share::ALL
}

fn default_class_weights() -> ClassWeights {
    ClassWeights::Equal
}

impl Decode for Train {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "train", cx)?;
        let data = fields.required("data", "a dataset or a file of rows", cx);
        let target = fields.required("target", "the column to predict", cx);
        let task = fields.required("task", "classification or regression", cx);
        let features = fields
            .read("features", cx, crate::decode::list)
            .unwrap_or_default();
        let exclude = fields
            .read("exclude", cx, crate::decode::list)
            .unwrap_or_default();
        let time = fields.optional("time", cx);
        let weight = fields.optional("weight", cx);
        let valid_share = fields.read("valid_share", cx, valid_share);
        let early_stopping = fields.read("early_stopping", cx, |node, cx| count(node, 1, 100_000, cx));
        let shape = Shape::take(&mut fields, cx);
        let class_weights = fields.or("class_weights", ClassWeights::Equal, cx);
        // Up to 2^53 - 1, so that the seed survives every JSON reader.
        let seed = fields.read("seed", cx, |node, cx| {
            crate::scalars::whole(node, 0, 9_007_199_254_740_991, cx)
        });
        fields.finish(cx);
        let train = Self {
            data: data?,
            target: target?,
            task: task?,
            features,
            exclude,
            time,
            weight,
            valid_share: valid_share.unwrap_or_else(default_valid_share),
            early_stopping: early_stopping.unwrap_or_else(default_early_stopping),
            iterations: shape.iterations,
            learning_rate: shape.learning_rate,
            max_leaves: shape.max_leaves,
            max_depth: shape.max_depth,
            min_child_rows: shape.min_child_rows,
            l2: shape.l2,
            max_bins: shape.max_bins,
            row_sample: shape.row_sample,
            column_sample: shape.column_sample,
            class_weights,
            seed: seed.unwrap_or_default(),
        };
        train.no_leak(node, cx).then_some(train)
    }
}

/// How trees grow.
struct Shape {
    iterations: u32,
    learning_rate: f64,
    max_leaves: u32,
    max_depth: u32,
    min_child_rows: u32,
    l2: f64,
    max_bins: u32,
    row_sample: Share,
    column_sample: Share,
}

impl Shape {
    fn take(fields: &mut Fields<'_>, cx: &mut Cx) -> Self {
        let mut counted = |name, min, max, default, cx: &mut Cx| {
            let read = fields.read(name, cx, |node, cx| count(node, min, max, cx));
            read.unwrap_or(default)
        };
        let iterations = counted("iterations", 1, 100_000, default_iterations(), cx);
        let max_leaves = counted("max_leaves", 2, 65_536, default_max_leaves(), cx);
        let max_depth = counted("max_depth", 0, 1_000, 0, cx);
        let min_child_rows = counted("min_child_rows", 1, 1_000_000_000, default_min_child_rows(), cx);
        let max_bins = counted("max_bins", 2, 255, default_max_bins(), cx);
        let learning_rate = fields.read("learning_rate", cx, |node, cx| {
            number(node, "a number above 0 and at most 1", cx, |rate| {
                rate > 0.0 && rate <= 1.0
            })
        });
        let l2 = fields.read("l2", cx, |node, cx| {
            number(node, "a number that is not negative", cx, |l2| l2 >= 0.0)
        });
        Self {
            iterations,
            learning_rate: learning_rate.unwrap_or_else(default_learning_rate),
            max_leaves,
            max_depth,
            min_child_rows,
            l2: l2.unwrap_or_else(default_l2),
            max_bins,
            row_sample: fields
                .read("row_sample", cx, some_share)
                .unwrap_or_else(default_all),
            column_sample: fields
                .read("column_sample", cx, some_share)
                .unwrap_or_else(default_all),
        }
    }
}

impl Train {
    /// The target among the features, or a column both in and out, is a slip that gives a perfect or puzzling model.
    fn no_leak(&self, node: &Node, cx: &mut Cx) -> bool {
        let place = |index: usize| node.locate(&[key("features"), crate::node::Step::Index(index)]);
        let before = cx.count();
        for (index, feature) in self.features.iter().enumerate() {
            let clash = if *feature == self.target {
                "it is the target"
            } else if self.exclude.contains(feature) {
                "it is also excluded"
            } else if self.features[..index].contains(feature) {
                "it stands there twice"
            } else {
                continue;
            };
            cx.push(
                Problem::new(ProblemKind::BadValue, place(index), "a feature that can't be one")
                    .found(format!("{} ({clash})", quoted(feature.as_str())))
                    .expected("columns known before the prediction, each once")
                    .hint("remove it from features"),
            );
        }
        cx.count() == before
    }
}

fn valid_share(node: &Node, cx: &mut Cx) -> Option<Share> {
    let share = Share::decode(node, cx)?;
    if share.get() > 0.9 {
        cx.bad_value(node, "too little left to learn from", "a share of at most 0.9");
        return None;
    }
    Some(share)
}

fn some_share(node: &Node, cx: &mut Cx) -> Option<Share> {
    let share = Share::decode(node, cx)?;
    if share.get() == 0.0 {
        cx.bad_value(node, "nothing to learn from", "a share above 0");
        return None;
    }
    Some(share)
}

/// Judges a model on rows with known labels. The figures go to the stage's one metrics file.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// The model's folder or file.
    pub model: FilePath,
    /// The rows to judge it on: a dataset or a file.
    pub data: Source,
    /// The column that holds the truth.
    #[schemars(with = "String")]
    pub target: ColumnName,
    /// The figures to compute; by default all that fit the model's task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

impl Decode for Evaluate {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "evaluate", cx)?;
        let model = fields.required("model", "the folder or file of a model", cx);
        let data = fields.required("data", "a dataset or a file of rows", cx);
        let target = fields.required("target", "the column that holds the truth", cx);
        let metrics = fields
            .read("metrics", cx, crate::decode::list)
            .unwrap_or_default();
        fields.finish(cx);
        Some(Self {
            model: model?,
            data: data?,
            target: target?,
            metrics,
        })
    }
}

/// A query over datasets and files. The stage's one out is a Parquet file.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Sql {
    /// The query.
    #[serde(rename = "sql")]
    pub query: String,
    /// The tables it reads.
    pub from: Tables,
}

impl Sql {
    pub(crate) fn take(fields: &mut Fields<'_>, cx: &mut Cx) -> Option<Self> {
        let query = fields.read("sql", cx, filled);
        let from = fields.required("from", "the datasets and files that the query reads", cx);
        Some(Self {
            query: query?,
            from: from?,
        })
    }

    /// The datasets that the query reads.
    pub fn datasets(&self) -> impl Iterator<Item = &DatasetName> {
        self.from.0.values().filter_map(|source| match source {
            Source::Dataset(name) => Some(name),
            Source::Path(_) => None,
        })
    }
}
