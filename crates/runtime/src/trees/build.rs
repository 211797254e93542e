//! From the nodes that a file lists to a checked ensemble.
//!
//! Files are hostile: children may point anywhere. Each tree is walked once, without recursion; only what its root
//! reaches is kept, and a cycle, a child or feature out of range, or too great a depth refuses the file.

use super::{EQUAL, FEATURE_BITS, LANES, LEAF, MANY, MEMBER, MISSING_YES, ZERO_IS_MISSING};
use super::{Node, Real, Root, Tests, Trees};
use crate::error::{Error, Result};
use crate::limits::Limits;

/// One tree as its file lists it.
#[derive(Debug, Clone)]
pub(crate) struct Tree<T> {
    pub(crate) nodes: Vec<TreeNode<T>>,
    pub(crate) root: usize,
    /// The output that its leaves add to.
    pub(crate) output: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TreeNode<T> {
    Leaf(T),
    /// A leaf that adds to several outputs.
    Leaves(Vec<(usize, T)>),
    Split(Split<T>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Split<T> {
    pub(crate) feature: usize,
    pub(crate) kind: SplitKind<T>,
    /// Where values that pass the test go.
    pub(crate) yes: usize,
    pub(crate) no: usize,
    /// Whether missing values go to `yes`.
    pub(crate) missing_yes: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SplitKind<T> {
    /// `value <= threshold`.
    AtMost(T),
    /// `value < threshold`.
    Below(T),
    /// `value == threshold`.
    Equal(T),
    /// The value's whole part is one of the bits set (in words of 32).
    Member(Vec<u32>),
    /// `value <= threshold`, with missing taken as 0.
    AtMostMissingIsZero(T),
    /// `value <= threshold`, with 0 and missing alike.
    AtMostZeroIsMissing(T),
}

/// Collects trees into an ensemble.
pub(crate) struct Builder<'a, T> {
    path: &'a str,
    format: &'static str,
    limits: &'a Limits,
    trees: Trees<T>,
}

/// Indices that a 32-bit float holds exactly.
const INDICES: u64 = (1 << 24) - 1;

const UNSEEN: u32 = u32::MAX;
const OPEN: u32 = u32::MAX - 1;

impl<'a, T: Real> Builder<'a, T> {
    /// An empty ensemble over `features` numbers that starts from `base`, one per output.
    pub(crate) fn new(
        path: &'a str,
        format: &'static str,
        limits: &'a Limits,
        features: usize,
        base: Vec<T>,
    ) -> Result<Self> {
        Limits::check(
            path,
            "number of features",
            features,
            limits.width.min(1 << FEATURE_BITS),
        )?;
        Limits::check(path, "number of outputs", base.len(), limits.width)?;
        if base.is_empty() || features == 0 {
            return Err(Error::malformed(path, format, "no features or no outputs"));
        }
        Ok(Self {
            path,
            format,
            limits,
            trees: Trees {
                nodes: Vec::new(),
                roots: Vec::new(),
                groups: Vec::new(),
                words: vec![1, 0],
                many: Vec::new(),
                weights: Vec::new(),
                base,
                features,
            },
        })
    }

    pub(crate) fn finish(mut self) -> Trees<T> {
        let group = |roots: &[Root]| {
            let tests = roots.iter().map(|root| root.tests).max().unwrap_or(Tests::Plain);
            (tests, roots.iter().map(|root| root.depth).max().unwrap_or(0))
        };
        self.trees.groups = self.trees.roots.chunks_exact(LANES).map(group).collect();
        self.trees
    }

    /// Adds a tree.
    pub(crate) fn add(&mut self, tree: &Tree<T>) -> Result<()> {
        let index = self.trees.roots.len();
        Limits::check(self.path, "number of trees", index + 1, self.limits.trees)?;
        let total = self.trees.nodes.len() + tree.nodes.len();
        Limits::check(
            self.path,
            "number of tree nodes",
            total,
            self.limits.nodes.min(u64::from(OPEN)),
        )?;
        if tree.output >= self.trees.base.len() {
            return Err(self.wrong(format!("tree {index} adds to output {}", tree.output)));
        }
        let (order, depth) = self.order(tree)?;
        let first = self.trees.nodes.len() as u32;
        let mut place = vec![UNSEEN; tree.nodes.len()];
        for (at, node) in order.iter().enumerate() {
            place[*node] = first + at as u32;
        }
        let mut tests = Tests::Plain;
        for node in &order {
            let laid = self.lay(&tree.nodes[*node], &place, place[*node])?;
            tests = tests.max(match laid.test {
                test if test & (EQUAL | ZERO_IS_MISSING) != 0 => Tests::Rare,
                test if test & MEMBER != 0 => Tests::Sets,
                _ => Tests::Plain,
            });
            self.trees.nodes.push(laid);
        }
        self.trees.roots.push(Root {
            node: first,
            output: tree.output as u32,
            depth,
            tests,
        });
        Ok(())
    }

    /// The reachable nodes, parents before children along each path first met, and the depth of the tree.
    fn order(&self, tree: &Tree<T>) -> Result<(Vec<usize>, u32)> {
        let children = |node: usize| match tree.nodes.get(node) {
            Some(TreeNode::Split(split)) => Ok([Some(split.yes), Some(split.no)]),
            Some(_) => Ok([None, None]),
            None => Err(self.wrong(format!("a child points to node {node} of {}", tree.nodes.len()))),
        };
        let mut order = Vec::with_capacity(tree.nodes.len());
        // Steps to the farthest leaf, once a node is closed.
        let mut depth = vec![UNSEEN; tree.nodes.len()];
        children(tree.root)?;
        let mut path = vec![(tree.root, 0_usize)];
        depth[tree.root] = OPEN;
        order.push(tree.root);
        while let Some((node, turn)) = path.last_mut() {
            let (node, next) = (*node, children(*node)?.get(*turn).copied().flatten());
            *turn += 1;
            let Some(child) = next else {
                let below = children(node)?
                    .into_iter()
                    .flatten()
                    .map(|child| depth[child] + 1);
                depth[node] = below.max().unwrap_or(0);
                path.pop();
                continue;
            };
            children(child)?;
            match depth[child] {
                OPEN => return Err(self.wrong(format!("node {child} is its own descendant"))),
                UNSEEN => {
                    depth[child] = OPEN;
                    order.push(child);
                    path.push((child, 0));
                    Limits::check(self.path, "depth of a tree", path.len(), self.limits.depth)?;
                }
                _ => {}
            }
        }
        Ok((order, depth[tree.root]))
    }

    fn lay(&mut self, node: &TreeNode<T>, place: &[u32], own: u32) -> Result<Node<T>> {
        match node {
            TreeNode::Leaf(value) => Ok(Node {
                value: *value,
                test: LEAF,
                children: [own; 2],
            }),
            TreeNode::Leaves(weights) => self.lay_leaves(weights, own),
            TreeNode::Split(split) => self.lay_split(split, place),
        }
    }

    fn lay_leaves(&mut self, weights: &[(usize, T)], own: u32) -> Result<Node<T>> {
        let start = self.trees.weights.len() as u32;
        for (output, weight) in weights {
            if *output >= self.trees.base.len() {
                let outputs = self.trees.base.len();
                return Err(self.wrong(format!("a leaf adds to output {output} of {outputs}")));
            }
            self.trees.weights.push((*output as u32, *weight));
        }
        let end = self.trees.weights.len();
        Limits::check(
            self.path,
            "number of leaf weights",
            end,
            self.limits.nodes.min(u64::from(OPEN)),
        )?;
        let place = self.trees.many.len();
        Limits::check(self.path, "number of leaves", place, INDICES)?;
        self.trees.many.push((start, end as u32));
        Ok(Node {
            value: T::from_f64(place as f64),
            test: LEAF | MANY,
            children: [own; 2],
        })
    }

    fn lay_split(&mut self, split: &Split<T>, place: &[u32]) -> Result<Node<T>> {
        if split.feature >= self.trees.features {
            return Err(self.wrong(format!(
                "a split reads feature {} of {}",
                split.feature, self.trees.features
            )));
        }
        let (value, flags) = match &split.kind {
            SplitKind::AtMost(threshold) => (*threshold, 0),
            SplitKind::Below(threshold) => (threshold.next_below(), 0),
            SplitKind::Equal(threshold) => (*threshold, EQUAL),
            SplitKind::Member(words) => (self.set(words)?, MEMBER),
            SplitKind::AtMostMissingIsZero(threshold) => (*threshold, 0),
            SplitKind::AtMostZeroIsMissing(threshold) => (*threshold, ZERO_IS_MISSING),
        };
        let missing_yes = match &split.kind {
            // Missing goes where 0 goes.
            SplitKind::AtMostMissingIsZero(threshold) => T::ZERO <= *threshold,
            _ => split.missing_yes,
        };
        let missing = if missing_yes { MISSING_YES } else { 0 };
        Ok(Node {
            value,
            test: split.feature as u32 | flags | missing,
            children: [place[split.yes], place[split.no]],
        })
    }

    /// Stores a set; answers where it begins.
    fn set(&mut self, words: &[u32]) -> Result<T> {
        let start = self.trees.words.len();
        Limits::check(self.path, "size of category sets", start + words.len(), INDICES)?;
        // One word at least, so that there is one to look at.
        self.trees.words.push(words.len().max(1) as u32);
        self.trees
            .words
            .extend_from_slice(if words.is_empty() { &[0] } else { words });
        Ok(T::from_f64(start as f64))
    }

    fn wrong(&self, reason: String) -> Error {
        Error::malformed(self.path, self.format, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(
        feature: usize,
        kind: SplitKind<f32>,
        yes: usize,
        no: usize,
        missing_yes: bool,
    ) -> TreeNode<f32> {
        TreeNode::Split(Split {
            feature,
            kind,
            yes,
            no,
            missing_yes,
        })
    }

    fn build(nodes: Vec<TreeNode<f32>>) -> Result<Trees<f32>> {
        let limits = Limits {
            depth: 100,
            ..Limits::default()
        };
        let mut builder = Builder::new("m", "test model", &limits, 2, vec![0.5])?;
        builder.add(&Tree {
            nodes,
            root: 0,
            output: 0,
        })?;
        Ok(builder.finish())
    }

    fn score(trees: &Trees<f32>, row: [f32; 2]) -> f32 {
        let mut one = [0.0];
        trees.score_row(&row, &mut one);
        let rows = row.repeat(11);
        let mut many = [0.0; 11];
        trees.score_rows(&rows, &mut many);
        assert_eq!(many, [one[0]; 11], "lock step and single walk agree");
        one[0]
    }

    #[test]
    fn every_kind_of_test_goes_its_way() {
        let check = |kind: SplitKind<f32>, missing_yes, value, expected: f32| {
            let trees = build(vec![
                split(1, kind, 1, 2, missing_yes),
                TreeNode::Leaf(1.0),
                TreeNode::Leaf(2.0),
            ]);
            assert_eq!(score(&trees.unwrap(), [9.0, value]), expected + 0.5);
        };
        check(SplitKind::AtMost(3.0), false, 3.0, 1.0);
        check(SplitKind::Below(3.0), false, 3.0, 2.0);
        check(SplitKind::AtMost(3.0), false, f32::NAN, 2.0);
        check(SplitKind::AtMost(3.0), true, f32::NAN, 1.0);
        check(SplitKind::Equal(3.0), false, 3.0, 1.0);
        check(SplitKind::Equal(3.0), true, f32::NAN, 1.0);
        check(SplitKind::Member(vec![0, 0b10]), false, 33.0, 1.0);
        check(SplitKind::Member(vec![0, 0b10]), true, 65.0, 2.0);
        check(SplitKind::Member(vec![0b10]), true, f32::NAN, 1.0);
        check(SplitKind::AtMostMissingIsZero(-1.0), true, f32::NAN, 2.0);
        check(SplitKind::AtMostZeroIsMissing(-1.0), true, 0.0, 1.0);
        check(SplitKind::AtMostZeroIsMissing(-1.0), false, -2.0, 1.0);
    }

    #[test]
    fn shared_subtrees_are_kept_once() {
        let trees = build(vec![
            split(0, SplitKind::AtMost(1.0), 2, 1, true),
            split(0, SplitKind::AtMost(2.0), 3, 2, false),
            split(1, SplitKind::AtMost(0.0), 3, 4, false),
            TreeNode::Leaf(1.0),
            TreeNode::Leaf(2.0),
            TreeNode::Leaf(99.0),
        ])
        .unwrap();
        assert_eq!(trees.nodes.len(), 5);
        assert_eq!(trees.roots[0].depth, 3);
        for (row, expected) in [
            ([0.0, 1.0], 2.5),
            ([1.5, 1.0], 1.5),
            ([3.0, -1.0], 1.5),
            ([f32::NAN, 1.0], 2.5),
        ] {
            assert_eq!(score(&trees, row), expected, "{row:?}");
        }
    }

    #[test]
    fn hostile_shapes_are_refused() {
        let check = |nodes: Vec<TreeNode<f32>>, expected: &str| {
            let error = build(nodes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let to = |yes, no| split(0, SplitKind::AtMost(0.0), yes, no, false);
        check(vec![], "points to node 0");
        check(vec![to(1, 7), TreeNode::Leaf(0.0)], "points to node 7");
        check(vec![to(0, 1), TreeNode::Leaf(0.0)], "its own descendant");
        check(
            vec![to(1, 2), to(2, 3), to(1, 3), TreeNode::Leaf(0.0)],
            "its own descendant",
        );
        check(
            vec![split(2, SplitKind::AtMost(0.0), 1, 1, false), TreeNode::Leaf(0.0)],
            "feature 2 of 2",
        );
        check(vec![TreeNode::Leaves(vec![(1, 0.0)])], "output 1 of 1");
        let mut chain: Vec<_> = (0..200).map(|node| to(node + 1, 200)).collect();
        chain.push(TreeNode::Leaf(0.0));
        check(chain, "depth of a tree");
    }

    #[test]
    fn leaves_may_add_to_several_outputs() {
        let limits = Limits::default();
        let mut builder = Builder::new("m", "test model", &limits, 1, vec![0.0_f64, 1.0]).unwrap();
        builder
            .add(&Tree {
                nodes: vec![TreeNode::Leaves(vec![(0, 0.25), (1, 0.5)])],
                root: 0,
                output: 0,
            })
            .unwrap();
        let trees = builder.finish();
        let mut scores = [0.0; 2];
        trees.score_row(&[0.0], &mut scores);
        assert_eq!(scores, [0.25, 1.5]);
    }
}
