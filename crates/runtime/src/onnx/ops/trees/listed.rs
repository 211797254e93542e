//! The trees of versions 1 and 3: one array per property of all nodes, another list for what leaves add.

use super::{floats, same_length, simplified, split};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::OpResult;
use crate::trees::{Real, Tree, TreeNode};
use std::collections::HashMap;

/// The arrays that describe the nodes, in one width of floats.
struct Nodes<'a, T> {
    tree_ids: &'a [i64],
    node_ids: &'a [i64],
    features: &'a [i64],
    modes: Vec<String>,
    thresholds: Vec<T>,
    yes: &'a [i64],
    no: &'a [i64],
    missing_yes: &'a [i64],
}

/// What leaves add: (tree, node) to weights.
struct Weights<'a, T> {
    tree_ids: &'a [i64],
    node_ids: &'a [i64],
    outputs: &'a [i64],
    values: Vec<T>,
}
/// The trees that a node's attributes list.
pub(in crate::onnx) fn listed<T: Real>(attributes: &Attributes<'_>, prefix: &str) -> OpResult<Vec<Tree<T>>> {
    let nodes = Nodes::<T> {
        tree_ids: attributes.ints("nodes_treeids"),
        node_ids: attributes.ints("nodes_nodeids"),
        features: attributes.ints("nodes_featureids"),
        modes: attributes.texts("nodes_modes")?,
        thresholds: floats(attributes, "nodes_values")?,
        yes: attributes.ints("nodes_truenodeids"),
        no: attributes.ints("nodes_falsenodeids"),
        missing_yes: attributes.ints("nodes_missing_value_tracks_true"),
    };
    let weights = Weights::<T> {
        tree_ids: attributes.ints(&format!("{prefix}_treeids")),
        node_ids: attributes.ints(&format!("{prefix}_nodeids")),
        outputs: attributes.ints(&format!("{prefix}_ids")),
        values: floats(attributes, &format!("{prefix}_weights"))?,
    };
    nodes.trees(&weights)
}
impl<T: Real> Nodes<'_, T> {
    fn trees(&self, weights: &Weights<'_, T>) -> OpResult<Vec<Tree<T>>> {
        let count = same_length(&[
            self.tree_ids.len(),
            self.node_ids.len(),
            self.features.len(),
            self.modes.len(),
            self.thresholds.len(),
            self.yes.len(),
            self.no.len(),
        ])?;
        // The nodes of each tree, in the order listed: the first is its root.
        let mut places: HashMap<i64, usize> = HashMap::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        for node in 0..count {
            let place = *places.entry(self.tree_ids[node]).or_insert_with(|| {
                members.push(Vec::new());
                members.len() - 1
            });
            members[place].push(node);
        }
        let leaves = weights.by_leaf()?;
        members
            .iter()
            .map(|members| self.tree(members, &leaves))
            .collect()
    }

    fn tree(&self, members: &[usize], leaves: &HashMap<(i64, i64), Vec<(usize, T)>>) -> OpResult<Tree<T>> {
        let places: HashMap<i64, usize> = members
            .iter()
            .enumerate()
            .map(|(place, node)| (self.node_ids[*node], place))
            .collect();
        if places.len() != members.len() {
            return Err("two nodes of a tree have one number".to_owned());
        }
        let mut nodes = Vec::with_capacity(members.len());
        for node in members {
            nodes.push(self.node(*node, &places, leaves)?);
        }
        Ok(simplified(nodes))
    }

    fn node(
        &self,
        node: usize,
        places: &HashMap<i64, usize>,
        leaves: &HashMap<(i64, i64), Vec<(usize, T)>>,
    ) -> OpResult<TreeNode<T>> {
        if self.modes[node] == "LEAF" {
            let weights = leaves.get(&(self.tree_ids[node], self.node_ids[node]));
            return Ok(TreeNode::Leaves(weights.cloned().unwrap_or_default()));
        }
        let child = |id: i64| {
            places
                .get(&id)
                .copied()
                .ok_or_else(|| format!("a child points to node {id}"))
        };
        let feature = usize::try_from(self.features[node]).map_err(|_| "a negative feature")?;
        let missing_yes = self.missing_yes.get(node).is_some_and(|flag| *flag != 0);
        let (yes, no) = (child(self.yes[node])?, child(self.no[node])?);
        Ok(TreeNode::Split(split(
            &self.modes[node],
            self.thresholds[node],
            feature,
            (yes, no),
            missing_yes,
        )?))
    }
}
impl<T: Real> Weights<'_, T> {
    fn by_leaf(&self) -> OpResult<HashMap<(i64, i64), Vec<(usize, T)>>> {
        let count = same_length(&[
            self.tree_ids.len(),
            self.node_ids.len(),
            self.outputs.len(),
            self.values.len(),
        ])?;
        let mut leaves: HashMap<(i64, i64), Vec<(usize, T)>> = HashMap::with_capacity(count);
        for at in 0..count {
            let output = usize::try_from(self.outputs[at]).map_err(|_| "a negative output")?;
            let leaf = leaves.entry((self.tree_ids[at], self.node_ids[at])).or_default();
            leaf.push((output, self.values[at]));
        }
        Ok(leaves)
    }
}
