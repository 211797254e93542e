//! TreeEnsemble of version 5: nodes and leaves apart, numbers for modes, sets of members.

use super::{Forest, Regressor, build, is_wide, same_length, simplified, split};
use crate::limits::Limits;
use crate::onnx::attributes::Attributes;
use crate::onnx::ops::linear::PostTransform;
use crate::onnx::ops::{Context, Operator};
use crate::onnx::tensor::OpResult;
use crate::trees::{Real, Tree, TreeNode};
use std::collections::HashMap;

pub(super) fn ensemble(attributes: &Attributes<'_>, context: &Context<'_>) -> OpResult<Box<dyn Operator>> {
    let outputs =
        usize::try_from(attributes.int_or("n_targets", 1)).map_err(|_| "a negative number of targets")?;
    let average = match attributes.int_or("aggregate_function", 1) {
        0 => true,
        1 => false,
        other => return Err(format!("aggregate_function {other}")),
    };
    let transform = match attributes.int_or("post_transform", 0) {
        0 => PostTransform::None,
        1 => PostTransform::Softmax,
        2 => PostTransform::Logistic,
        3 => PostTransform::SoftmaxZero,
        other => return Err(format!("post_transform {other}")),
    };
    let forest = if is_wide(attributes, "nodes_splits") {
        Forest::Wide(build(
            context,
            &Ensemble::read(attributes)?.trees(context)?,
            outputs,
        )?)
    } else {
        Forest::Narrow(build(
            context,
            &Ensemble::read(attributes)?.trees(context)?,
            outputs,
        )?)
    };
    Ok(Box::new(Regressor {
        forest,
        average,
        base: Vec::new(),
        transform,
        keep_width: true,
    }))
}

struct Ensemble<'a, T> {
    features: &'a [i64],
    modes: Vec<i64>,
    thresholds: Vec<T>,
    yes: &'a [i64],
    no: &'a [i64],
    yes_is_leaf: &'a [i64],
    no_is_leaf: &'a [i64],
    missing_yes: &'a [i64],
    /// Per node the members of its set.
    members: Vec<Vec<T>>,
    leaf_outputs: &'a [i64],
    leaf_values: Vec<T>,
    roots: &'a [i64],
}

/// The mode of a node that tests for members of a set.
const MEMBER: i64 = 6;
const MODES: [&str; 6] = [
    "BRANCH_LEQ",
    "BRANCH_LT",
    "BRANCH_GTE",
    "BRANCH_GT",
    "BRANCH_EQ",
    "BRANCH_NEQ",
];

impl<'a, T: Real> Ensemble<'a, T> {
    fn read(attributes: &Attributes<'a>) -> OpResult<Self> {
        let tensor = |name: &str| -> OpResult<Vec<T>> {
            let tensor = attributes
                .tensor(name)?
                .map_or(Ok(Vec::new()), |tensor| tensor.to_f64())?;
            Ok(tensor.into_iter().map(T::from_f64).collect())
        };
        let modes = attributes
            .tensor("nodes_modes")?
            .ok_or("nodes_modes are missing")?
            .to_i64()?;
        let members = members(&modes, tensor("membership_values")?)?;
        let ensemble = Self {
            features: attributes.ints("nodes_featureids"),
            modes,
            thresholds: tensor("nodes_splits")?,
            yes: attributes.ints("nodes_truenodeids"),
            no: attributes.ints("nodes_falsenodeids"),
            yes_is_leaf: attributes.ints("nodes_trueleafs"),
            no_is_leaf: attributes.ints("nodes_falseleafs"),
            missing_yes: attributes.ints("nodes_missing_value_tracks_true"),
            members,
            leaf_outputs: attributes.ints("leaf_targetids"),
            leaf_values: tensor("leaf_weights")?,
            roots: attributes.ints("tree_roots"),
        };
        same_length(&[
            ensemble.features.len(),
            ensemble.modes.len(),
            ensemble.thresholds.len(),
            ensemble.yes.len(),
            ensemble.no.len(),
            ensemble.yes_is_leaf.len(),
            ensemble.no_is_leaf.len(),
        ])?;
        same_length(&[ensemble.leaf_outputs.len(), ensemble.leaf_values.len()])?;
        Ok(ensemble)
    }

    /// Roots may share nodes, and each gets its own: the sum is bounded before it fills the memory.
    fn trees(&self, context: &Context<'_>) -> OpResult<Vec<Tree<T>>> {
        let mut trees = Vec::new();
        let mut total = 0;
        for root in self.roots {
            let tree = self.tree(*root)?;
            total += tree.nodes.len();
            Limits::check(context.path, "number of tree nodes", total, context.limits.nodes)
                .map_err(|error| error.to_string())?;
            trees.push(tree);
        }
        Ok(trees)
    }

    /// The nodes that a root reaches, numbered as they are met.
    fn tree(&self, root: i64) -> OpResult<Tree<T>> {
        let mut places: HashMap<(bool, i64), usize> = HashMap::from([((false, root), 0)]);
        let mut waiting = vec![(false, root)];
        let mut nodes: Vec<TreeNode<T>> = vec![TreeNode::Leaf(T::ZERO)];
        while let Some((is_leaf, index)) = waiting.pop() {
            let place = places[&(is_leaf, index)];
            let at = usize::try_from(index).map_err(|_| format!("a child points to node {index}"))?;
            if is_leaf {
                let found = self.leaf_outputs.get(at).zip(self.leaf_values.get(at));
                let (output, value) = found.ok_or_else(|| format!("a child points to leaf {index}"))?;
                let output = usize::try_from(*output).map_err(|_| "a negative output")?;
                nodes[place] = TreeNode::Leaves(vec![(output, *value)]);
                continue;
            }
            if at >= self.modes.len() {
                return Err(format!("a child points to node {index}"));
            }
            let mut child = |is_leaf: bool, index: i64| {
                *places.entry((is_leaf, index)).or_insert_with(|| {
                    waiting.push((is_leaf, index));
                    nodes.push(TreeNode::Leaf(T::ZERO));
                    nodes.len() - 1
                })
            };
            let yes = child(self.yes_is_leaf[at] != 0, self.yes[at]);
            let no = child(self.no_is_leaf[at] != 0, self.no[at]);
            self.test(at, place, (yes, no), &mut nodes)?;
        }
        Ok(simplified(nodes))
    }

    /// The test of one node; a set becomes a chain of comparisons with one target.
    fn test(
        &self,
        at: usize,
        place: usize,
        (yes, no): (usize, usize),
        nodes: &mut Vec<TreeNode<T>>,
    ) -> OpResult<()> {
        let feature = usize::try_from(self.features[at]).map_err(|_| "a negative feature")?;
        let missing_yes = self.missing_yes.get(at).is_some_and(|flag| *flag != 0);
        if self.modes[at] != MEMBER {
            let mode = usize::try_from(self.modes[at])
                .ok()
                .and_then(|mode| MODES.get(mode));
            let mode = mode.ok_or_else(|| format!("node mode {}", self.modes[at]))?;
            nodes[place] =
                TreeNode::Split(split(mode, self.thresholds[at], feature, (yes, no), missing_yes)?);
            return Ok(());
        }
        let mut own = place;
        let members = &self.members[at];
        for (index, member) in members.iter().enumerate() {
            let next = if index + 1 == members.len() {
                no
            } else {
                nodes.len()
            };
            if next == nodes.len() {
                nodes.push(TreeNode::Leaf(T::ZERO));
            }
            let equal = split("BRANCH_EQ", *member, feature, (yes, next), missing_yes)?;
            nodes[own] = TreeNode::Split(equal);
            own = next;
        }
        Ok(())
    }
}

/// The members of each set: one list in the order of the nodes, NaN after each set.
fn members<T: Real>(modes: &[i64], values: Vec<T>) -> OpResult<Vec<Vec<T>>> {
    let mut sets = values.split(|value| value.is_nan());
    let set = |mode: &i64| match *mode {
        MEMBER => match sets.next() {
            Some(set) if !set.is_empty() => Ok(set.to_vec()),
            _ => Err("a node without members".to_owned()),
        },
        _ => Ok(Vec::new()),
    };
    modes.iter().map(set).collect()
}
