//! Tree ensembles: TreeEnsembleRegressor, TreeEnsembleClassifier (versions 1 and 3) and TreeEnsemble (version 5).
//!
//! Scores of classifiers follow ONNX Runtime 1.32 also where the specification is silent: two classes with weights for
//! only one of them.

mod ensemble;
mod listed;

use super::linear::PostTransform;
use super::{Context, Inputs, Operator};
use crate::onnx::attributes::Attributes;
use crate::onnx::proto::TYPE_DOUBLE;
use crate::onnx::tensor::{Data, OpResult, Tensor};
use crate::prediction::argmax;
use crate::task::Label;
use crate::trees::{Builder, Real, Split, SplitKind, Tree, TreeNode, Trees};
use ensemble::ensemble;
pub(in crate::onnx) use listed::listed;

const FORMAT: &str = "ONNX tree ensemble";

pub(super) fn read(
    kind: &str,
    attributes: &Attributes<'_>,
    context: &Context<'_>,
) -> Option<OpResult<Box<dyn Operator>>> {
    match kind {
        "TreeEnsembleRegressor" => Some(regressor(attributes, context)),
        "TreeEnsembleClassifier" => Some(classifier(attributes, context)),
        "TreeEnsemble" => Some(ensemble(attributes, context)),
        _ => None,
    }
}

#[derive(Debug)]
enum Forest {
    Narrow(Trees<f32>),
    Wide(Trees<f64>),
}

impl Forest {
    /// Rows, and rows x outputs of sums. Numbers are compared in the width of the thresholds.
    fn sums(&self, inputs: &Inputs<'_>) -> OpResult<(usize, Vec<f64>)> {
        let x = inputs.require(0)?;
        let (rows, columns) = x.rows_and_columns()?;
        match self {
            Self::Narrow(trees) => {
                let sums = sums(trees, &x.to_f32()?, (rows, columns), inputs)?;
                Ok((rows, sums.into_iter().map(f64::from).collect()))
            }
            Self::Wide(trees) => Ok((rows, sums(trees, &x.to_f64()?, (rows, columns), inputs)?)),
        }
    }

    fn outputs(&self) -> usize {
        match self {
            Self::Narrow(trees) => trees.outputs(),
            Self::Wide(trees) => trees.outputs(),
        }
    }

    fn trees(&self) -> usize {
        match self {
            Self::Narrow(trees) => trees.trees(),
            Self::Wide(trees) => trees.trees(),
        }
    }

    fn split_counts(&self) -> Vec<u64> {
        match self {
            Self::Narrow(trees) => trees.split_counts(),
            Self::Wide(trees) => trees.split_counts(),
        }
    }
}

fn sums<T: Real>(
    trees: &Trees<T>,
    x: &[T],
    (rows, columns): (usize, usize),
    inputs: &Inputs<'_>,
) -> OpResult<Vec<T>> {
    let features = trees.features();
    if columns < features {
        return Err(format!("{columns} features where {features} are read"));
    }
    let mut sums = vec![T::ZERO; inputs.room(&[rows, trees.outputs()])?];
    if columns == features {
        trees.score_rows(x, &mut sums);
        return Ok(sums);
    }
    // The trees read only the first columns.
    let narrow: Vec<T> = x
        .chunks_exact(columns)
        .flat_map(|row| row[..features].iter().copied())
        .collect();
    trees.score_rows(&narrow, &mut sums);
    Ok(sums)
}
fn same_length(lengths: &[usize]) -> OpResult<usize> {
    match lengths {
        [first, rest @ ..] if rest.iter().all(|length| length == first) => Ok(*first),
        _ => Err(format!("the arrays of the trees differ in length: {lengths:?}")),
    }
}

/// Floats of a list, or of the tensor that replaces it for doubles.
fn floats<T: Real>(attributes: &Attributes<'_>, name: &str) -> OpResult<Vec<T>> {
    if let Some(tensor) = attributes.tensor(&format!("{name}_as_tensor"))? {
        return Ok(tensor.to_f64()?.into_iter().map(T::from_f64).collect());
    }
    Ok(attributes
        .floats(name)
        .iter()
        .map(|value| T::from_f64(f64::from(*value)))
        .collect())
}

fn is_wide(attributes: &Attributes<'_>, tensor: &str) -> bool {
    attributes
        .tensor_proto(tensor)
        .is_some_and(|tensor| tensor.data_type == Some(TYPE_DOUBLE))
}

/// The trees of versions 1 and 3; `prefix` is that of the weights' attributes, `class` or `target`.
fn forest(
    attributes: &Attributes<'_>,
    context: &Context<'_>,
    prefix: &str,
    outputs: usize,
) -> OpResult<Forest> {
    if is_wide(attributes, "nodes_values_as_tensor") {
        return Ok(Forest::Wide(listed_trees(attributes, context, prefix, outputs)?));
    }
    Ok(Forest::Narrow(listed_trees(
        attributes, context, prefix, outputs,
    )?))
}

fn listed_trees<T: Real>(
    attributes: &Attributes<'_>,
    context: &Context<'_>,
    prefix: &str,
    outputs: usize,
) -> OpResult<Trees<T>> {
    build(context, &listed(attributes, prefix)?, outputs)
}
fn build<T: Real>(context: &Context<'_>, trees: &[Tree<T>], outputs: usize) -> OpResult<Trees<T>> {
    let features = trees.iter().flat_map(|tree| &tree.nodes).map(|node| {
        if let TreeNode::Split(split) = node {
            split.feature + 1
        } else {
            1
        }
    });
    let features = features.max().unwrap_or(1);
    let text = |error: crate::error::Error| error.to_string();
    let mut builder = Builder::new(
        context.path,
        FORMAT,
        context.limits,
        features,
        vec![T::ZERO; outputs],
    )
    .map_err(text)?;
    for tree in trees {
        builder.add(tree).map_err(text)?;
    }
    Ok(builder.finish())
}
/// A comparison in the form our trees have; where it must be turned round, the branches are exchanged.
fn split<T: Real>(
    mode: &str,
    threshold: T,
    feature: usize,
    (yes, no): (usize, usize),
    missing_yes: bool,
) -> OpResult<Split<T>> {
    let (kind, turned) = match mode {
        "BRANCH_LEQ" => (SplitKind::AtMost(threshold), false),
        "BRANCH_LT" => (SplitKind::Below(threshold), false),
        "BRANCH_GTE" => (SplitKind::Below(threshold), true),
        "BRANCH_GT" => (SplitKind::AtMost(threshold), true),
        "BRANCH_EQ" => (SplitKind::Equal(threshold), false),
        "BRANCH_NEQ" => (SplitKind::Equal(threshold), true),
        other => return Err(format!("node mode \"{other}\"")),
    };
    // `NaN != t` holds, so missing values pass that test whatever is said of them.
    let missing_yes = missing_yes || mode == "BRANCH_NEQ";
    Ok(Split {
        feature,
        kind,
        yes: if turned { no } else { yes },
        no: if turned { yes } else { no },
        missing_yes: missing_yes != turned,
    })
}
/// Leaves that all add one value to the same output need no list.
fn simplified<T: Real>(mut nodes: Vec<TreeNode<T>>) -> Tree<T> {
    let mut output = None;
    let alike = nodes.iter().all(|node| match node {
        TreeNode::Leaves(weights) => match weights.as_slice() {
            [] => true,
            [(own, _)] => *output.get_or_insert(*own) == *own,
            _ => false,
        },
        TreeNode::Leaf(_) | TreeNode::Split(_) => true,
    });
    if alike {
        for node in &mut nodes {
            if let TreeNode::Leaves(weights) = node {
                *node = TreeNode::Leaf(weights.first().map_or(T::ZERO, |(_, value)| *value));
            }
        }
    }
    Tree {
        nodes,
        root: 0,
        output: if alike { output.unwrap_or(0) } else { 0 },
    }
}

/// Whether sums are divided by the number of trees.
fn is_average(attributes: &Attributes<'_>) -> OpResult<bool> {
    match attributes.text_or("aggregate_function", "SUM")?.as_str() {
        "SUM" => Ok(false),
        "AVERAGE" => Ok(true),
        other => Err(format!("aggregate_function \"{other}\"")),
    }
}

#[derive(Debug)]
struct Regressor {
    forest: Forest,
    average: bool,
    base: Vec<f64>,
    transform: PostTransform,
    /// Whether answers keep the width of the thresholds; version 3 always answers 32 bits.
    keep_width: bool,
}

fn regressor(attributes: &Attributes<'_>, context: &Context<'_>) -> OpResult<Box<dyn Operator>> {
    let outputs =
        usize::try_from(attributes.int_or("n_targets", 1)).map_err(|_| "a negative number of targets")?;
    let base = base(attributes)?;
    if !base.is_empty() && base.len() != outputs {
        return Err(format!("{} base values for {outputs} targets", base.len()));
    }
    Ok(Box::new(Regressor {
        forest: forest(attributes, context, "target", outputs)?,
        average: is_average(attributes)?,
        base,
        transform: PostTransform::read(attributes)?,
        keep_width: false,
    }))
}

fn base(attributes: &Attributes<'_>) -> OpResult<Vec<f64>> {
    if is_wide(attributes, "base_values_as_tensor") {
        return floats::<f64>(attributes, "base_values");
    }
    Ok(floats::<f32>(attributes, "base_values")?
        .into_iter()
        .map(f64::from)
        .collect())
}

impl Operator for Regressor {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let (rows, mut sums) = self.forest.sums(inputs)?;
        let outputs = self.forest.outputs();
        let divisor = if self.average {
            self.forest.trees().max(1) as f64
        } else {
            1.0
        };
        for row in sums.chunks_exact_mut(outputs) {
            for (output, sum) in row.iter_mut().enumerate() {
                *sum = *sum / divisor + self.base.get(output).copied().unwrap_or(0.0);
            }
            if outputs > 1 {
                self.transform.apply(row);
            }
        }
        let data = match &self.forest {
            Forest::Wide(_) if self.keep_width => Data::F64(sums),
            _ => Data::F32(sums.into_iter().map(|sum| sum as f32).collect()),
        };
        Ok(vec![Tensor::new(vec![rows, outputs], data)?])
    }

    fn split_counts(&self) -> Option<Vec<u64>> {
        Some(self.forest.split_counts())
    }
}

#[derive(Debug)]
struct Classifier {
    forest: Forest,
    base: Vec<f64>,
    labels: Vec<Label>,
    transform: PostTransform,
    /// Whether any leaf speaks of the class at this index.
    spoken_of: Vec<bool>,
    /// Whether all leaves add something positive: sums are probabilities then.
    all_positive: bool,
}

fn classifier(attributes: &Attributes<'_>, context: &Context<'_>) -> OpResult<Box<dyn Operator>> {
    let labels = super::encode::class_labels(attributes, "classlabels_strings", "classlabels_int64s")?;
    if labels.len() < 2 {
        return Err("a classifier of one class".to_owned());
    }
    let forest = forest(attributes, context, "class", labels.len())?;
    let mut spoken_of = vec![false; labels.len()];
    for class in attributes.ints("class_ids") {
        let place = usize::try_from(*class)
            .ok()
            .and_then(|class| spoken_of.get_mut(class));
        *place.ok_or("a weight for a class that has no name")? = true;
    }
    Ok(Box::new(Classifier {
        forest,
        base: base(attributes)?,
        labels,
        transform: PostTransform::read(attributes)?,
        spoken_of,
        all_positive: floats::<f64>(attributes, "class_weights")?
            .iter()
            .all(|weight| *weight >= 0.0),
    }))
}

impl Operator for Classifier {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let (rows, mut sums) = self.forest.sums(inputs)?;
        let classes = self.labels.len();
        let winners: Vec<usize> = sums
            .chunks_exact_mut(classes)
            .map(|row| match row {
                [first, second] => self.two(first, second),
                row => self.several(row),
            })
            .collect();
        let scores = sums.into_iter().map(|score| score as f32).collect();
        Ok(vec![
            super::encode::label_tensor(&self.labels, &winners)?,
            Tensor::f32(vec![rows, classes], scores)?,
        ])
    }

    fn classes(&self) -> Option<Vec<Label>> {
        Some(self.labels.clone())
    }

    fn split_counts(&self) -> Option<Vec<u64>> {
        Some(self.forest.split_counts())
    }
}

impl Classifier {
    /// Scores of three classes and more, in place; answers the winner.
    fn several(&self, scores: &mut [f64]) -> usize {
        for (score, base) in scores.iter_mut().zip(&self.base) {
            *score += base;
        }
        let counts = |class: &usize| !self.base.is_empty() || self.spoken_of[*class];
        let candidates: Vec<usize> = (0..scores.len()).filter(counts).collect();
        let best: Vec<f64> = candidates.iter().map(|class| scores[*class]).collect();
        let winner = candidates.get(argmax(&best) as usize).copied().unwrap_or(0);
        self.transform.apply(scores);
        winner
    }

    /// Scores of two classes, in place; answers the winner.
    fn two(&self, first: &mut f64, second: &mut f64) -> usize {
        let second_spoken = self.spoken_of[1];
        let mut alone = !second_spoken;
        match self.base[..] {
            [_, base] if second_spoken => {
                *second = base + *first;
                *first = -*second;
            }
            [first_base, second_base] => {
                *first += first_base;
                *second += second_base;
                alone = false;
            }
            [base] => *first += base,
            _ => {}
        }
        let deciding = if second_spoken { *second } else { *first };
        let one_spoken = self.spoken_of[0] != self.spoken_of[1];
        let bar = if one_spoken && self.all_positive { 0.5 } else { 0.0 };
        let winner = usize::from(deciding > bar);
        if !alone {
            let mut pair = [*first, *second];
            self.transform.apply(&mut pair);
            [*first, *second] = pair;
            return winner;
        }
        let score = *first;
        (*first, *second) = match (self.all_positive, self.transform, winner) {
            (true, ..) => (1.0 - score, score),
            (false, PostTransform::Logistic, _) => {
                let mut pair = [-score, score];
                self.transform.apply(&mut pair);
                (pair[0], pair[1])
            }
            (false, _, 1) => (-score, score),
            (false, ..) => (score, -score),
        };
        winner
    }
}
