//! Tree ensembles: one layout and one walk for the trees of every library.
//!
//! A node is 16 bytes with 32-bit thresholds and 24 with 64-bit ones; it holds both children, so that subtrees may be
//! shared (ONNX writes sets of categories as chains of comparisons with a common target). Every comparison is brought
//! to `value <= threshold`, which is exact for floats: `value < t` is `value <= next_below(t)`. Thresholds keep the
//! width of the library that trained them: rounding a double threshold to a float moves rows to the other side.
//!
//! Which way a row goes cannot be foreseen, so the walk does not branch on it: the outcome of a test is an index into
//! the node's children, and eight walks go in lock step (eight rows through a tree, or one row through eight trees), so
//! that the processor works on one while it waits for another's node.

mod build;
mod link;
mod model;
mod real;
mod vocabulary;

pub(crate) use build::{Builder, Split, SplitKind, Tree, TreeNode};
pub(crate) use link::Link;
pub(crate) use model::{AnyTrees, Encoding, LoadedTrees, RowSpace, TreeModel};
pub(crate) use real::Real;
pub(crate) use vocabulary::Vocabulary;

/// The features of a node fit into this many bits; the flags stand above them.
const FEATURE_BITS: u32 = 24;
const FEATURE: u32 = (1 << FEATURE_BITS) - 1;
/// The node is a leaf; both its children are itself.
const LEAF: u32 = 1 << 24;
/// A missing value passes the test.
const MISSING_YES: u32 = 1 << 25;
/// The test is `value == threshold`.
const EQUAL: u32 = 1 << 26;
/// The test is whether the value's code is in the set at `words[value]`.
const MEMBER: u32 = 1 << 27;
/// A value as good as 0 is missing (LightGBM's `zero_as_missing`).
const ZERO_IS_MISSING: u32 = 1 << 28;
/// The leaf adds to several outputs: `many[value]`.
const MANY: u32 = 1 << 29;

/// Walks that go in lock step.
const LANES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
struct Node<T> {
    /// The threshold; where the set begins; the value of a leaf, or the place of its values.
    value: T,
    /// Feature and flags.
    test: u32,
    /// Where a value goes that passes the test, and where one that does not.
    children: [u32; 2],
}

#[derive(Debug, Clone, Copy)]
struct Root {
    node: u32,
    /// The output that leaves add to, unless they name several.
    output: u32,
    /// Steps to the farthest leaf.
    depth: u32,
    tests: Tests,
}

/// The kinds of tests that a tree has, the costlier last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tests {
    /// Only `value <= threshold`.
    Plain,
    /// Also sets of codes.
    Sets,
    /// Others too.
    Rare,
}

/// Trees over rows of `features` numbers that sum up to `outputs` scores.
#[derive(Debug, Clone)]
pub(crate) struct Trees<T> {
    nodes: Vec<Node<T>>,
    roots: Vec<Root>,
    /// For every [`LANES`] roots the costliest tests and the greatest depth.
    groups: Vec<(Tests, u32)>,
    /// Sets of codes behind each other, each as its number of words and then its bits. The first set is empty.
    words: Vec<u32>,
    /// What leaves add that add to several outputs: `weights[start..end]`.
    many: Vec<(u32, u32)>,
    weights: Vec<(u32, T)>,
    /// What each output starts with.
    base: Vec<T>,
    features: usize,
}

impl<T: Real> Trees<T> {
    pub(crate) fn features(&self) -> usize {
        self.features
    }

    pub(crate) fn outputs(&self) -> usize {
        self.base.len()
    }

    pub(crate) fn trees(&self) -> usize {
        self.roots.len()
    }

    /// Splits per feature.
    pub(crate) fn split_counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.features];
        for node in self.nodes.iter().filter(|node| node.test & LEAF == 0) {
            counts[(node.test & FEATURE) as usize] += 1;
        }
        counts
    }

    /// Scores of one row: `row` has [`features`](Self::features) numbers, `scores` [`outputs`](Self::outputs).
    pub(crate) fn score_row(&self, row: &[T], scores: &mut [T]) {
        scores.copy_from_slice(&self.base);
        let mut groups = self.roots.chunks_exact(LANES);
        for (roots, (tests, depth)) in groups.by_ref().zip(&self.groups) {
            let start = std::array::from_fn(|lane| roots[lane].node);
            let leaves = self.walk_lanes(start, *tests, *depth, |_, feature| row[feature]);
            for (root, leaf) in roots.iter().zip(leaves) {
                self.add(root, leaf, scores);
            }
        }
        for root in groups.remainder() {
            self.add(root, self.walk(root.node, row), scores);
        }
    }

    /// Scores of many rows, both row by row. Trees are the outer loop: a tree stays in the cache for a block of rows.
    /// Rows that fill no group go through the trees one by one.
    pub(crate) fn score_rows(&self, rows: &[T], scores: &mut [T]) {
        let (features, outputs) = (self.features, self.base.len());
        let grouped = scores.len() / outputs / LANES * LANES;
        let (rows, rest) = rows.split_at(grouped * features);
        let (scores, rest_scores) = scores.split_at_mut(grouped * outputs);
        for score in scores.chunks_exact_mut(outputs) {
            score.copy_from_slice(&self.base);
        }
        for root in &self.roots {
            let row_groups = rows.chunks_exact(features * LANES);
            let score_groups = scores.chunks_exact_mut(outputs * LANES);
            for (group, group_scores) in row_groups.zip(score_groups) {
                let value = |lane: usize, feature: usize| group[lane * features + feature];
                let leaves = self.walk_lanes([root.node; LANES], root.tests, root.depth, value);
                for (leaf, row_scores) in leaves.into_iter().zip(group_scores.chunks_exact_mut(outputs)) {
                    self.add(root, leaf, row_scores);
                }
            }
        }
        let rest_scores = rest_scores.chunks_exact_mut(outputs);
        for (row, row_scores) in rest.chunks_exact(features).zip(rest_scores) {
            self.score_row(row, row_scores);
        }
    }

    fn add(&self, root: &Root, leaf: u32, scores: &mut [T]) {
        let leaf = &self.nodes[leaf as usize];
        if leaf.test & MANY == 0 {
            scores[root.output as usize] += leaf.value;
            return;
        }
        let (start, end) = self.many[leaf.value.to_index()];
        for (output, weight) in &self.weights[start as usize..end as usize] {
            scores[*output as usize] += *weight;
        }
    }

    /// One walk on its own.
    fn walk(&self, root: u32, row: &[T]) -> u32 {
        let mut at = root;
        loop {
            let node = &self.nodes[at as usize];
            if node.test & LEAF != 0 {
                return at;
            }
            let yes = self.passes_any(node, row[(node.test & FEATURE) as usize]);
            at = node.children[usize::from(!yes)];
        }
    }

    /// [`LANES`] walks in lock step; `value` tells a lane's value of a feature. A walk that has arrived waits at its
    /// leaf for the others.
    #[inline(always)]
    fn walk_lanes(
        &self,
        start: [u32; LANES],
        tests: Tests,
        depth: u32,
        value: impl Fn(usize, usize) -> T,
    ) -> [u32; LANES] {
        match tests {
            Tests::Plain => self.lock_step(start, depth, value, |node, value| passes(node, value)),
            Tests::Sets => self.lock_step(start, depth, value, |node, value| {
                let member = node.test & MEMBER != 0;
                (member & self.contains(node, value)) | (!member & passes(node, value))
            }),
            Tests::Rare => self.lock_step(start, depth, value, |node, value| self.passes_any(node, value)),
        }
    }

    #[inline(always)]
    fn lock_step(
        &self,
        mut at: [u32; LANES],
        depth: u32,
        value: impl Fn(usize, usize) -> T,
        passes: impl Fn(&Node<T>, T) -> bool,
    ) -> [u32; LANES] {
        for _ in 0..depth {
            let mut all = LEAF;
            for (lane, at) in at.iter_mut().enumerate() {
                let node = &self.nodes[*at as usize];
                let yes = passes(node, value(lane, (node.test & FEATURE) as usize));
                *at = node.children[usize::from(!yes)];
                all &= node.test;
            }
            if all & LEAF != 0 {
                break;
            }
        }
        at
    }

    fn passes_any(&self, node: &Node<T>, value: T) -> bool {
        if node.test & MEMBER != 0 {
            return self.contains(node, value);
        }
        if node.test & EQUAL != 0 {
            return value == node.value || (value.is_nan() && node.test & MISSING_YES != 0);
        }
        if node.test & ZERO_IS_MISSING != 0 && value.is_as_good_as_zero() {
            return node.test & MISSING_YES != 0;
        }
        passes(node, value)
    }

    /// Whether the code is in the node's set, or missing and told to pass; without a branch. Of a node without a set
    /// the answer means nothing, but it is safe to ask: the first set is empty.
    #[inline(always)]
    fn contains(&self, node: &Node<T>, value: T) -> bool {
        let has_set = (node.test & MEMBER != 0) as usize;
        let start = node.value.to_index() * has_set;
        let (code, known) = (value.to_index(), value >= T::ZERO);
        let inside = code / 32 < self.words[start] as usize;
        let word = self.words[start + 1 + code / 32 * usize::from(inside)];
        let bit = word >> (code % 32) & 1 == 1;
        (bit & inside & known) | (value.is_nan() & (node.test & MISSING_YES != 0))
    }
}

/// `value <= threshold`, or missing and told to pass; without a branch.
#[inline(always)]
fn passes<T: Real>(node: &Node<T>, value: T) -> bool {
    (value <= node.value) | (value.is_nan() & (node.test & MISSING_YES != 0))
}
