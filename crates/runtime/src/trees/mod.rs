//! Tree ensembles: one layout and one walk for the trees of every library.
//!
//! A node is 16 bytes with 32-bit thresholds and 24 with 64-bit ones; it holds both children, so that subtrees may be
//! shared (ONNX writes sets of categories as chains of comparisons with a common target). Every comparison is brought
//! to `value <= threshold`, which is exact for floats: `value < t` is `value <= next_below(t)`. Thresholds keep the
//! width of the library that trained them: rounding a double threshold to a float moves rows to the other side.

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
/// The node is a leaf.
const LEAF: u32 = 1 << 24;
/// A missing value goes to `yes`.
const MISSING_YES: u32 = 1 << 25;
/// The test is `value == threshold`.
const EQUAL: u32 = 1 << 26;
/// The test is whether the value's code is in a set.
const MEMBER: u32 = 1 << 27;
/// A missing value is taken as 0 (LightGBM without missing values).
const MISSING_IS_ZERO: u32 = 1 << 28;
/// A value as good as 0 is missing (LightGBM's `zero_as_missing`).
const ZERO_IS_MISSING: u32 = 1 << 29;
/// The leaf adds to several outputs: `weights[yes..no]`.
const MANY: u32 = 1 << 30;
/// Any test but `value <= threshold`, or a leaf with several outputs.
const SPECIAL: u32 = EQUAL | MEMBER | MISSING_IS_ZERO | ZERO_IS_MISSING | MANY;

/// Rows that walk a tree in lock step, so that the processor works on one while it waits for another's node.
const LANES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
struct Node<T> {
    /// The threshold; the index of the set; the value of a leaf.
    value: T,
    /// Feature and flags.
    test: u32,
    /// Where a value that passes the test goes. A leaf points to itself.
    yes: u32,
    no: u32,
}

#[derive(Debug, Clone, Copy)]
struct Root {
    node: u32,
    /// The output that leaves add to, unless they name several.
    output: u32,
    /// Steps to the farthest leaf.
    depth: u32,
    /// Every test is `value <= threshold`.
    plain: bool,
}

/// Bits of one set of category codes: `words[start..end]`.
#[derive(Debug, Clone, Copy)]
struct Set {
    start: u32,
    end: u32,
}

/// Trees over rows of `features` numbers that sum up to `outputs` scores.
#[derive(Debug, Clone)]
pub(crate) struct Trees<T> {
    nodes: Vec<Node<T>>,
    roots: Vec<Root>,
    sets: Vec<Set>,
    words: Vec<u32>,
    /// Output and value of leaves that add to several outputs.
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
        for root in &self.roots {
            let leaf = self.walk(root.node, row);
            self.add(root, leaf, scores);
        }
    }

    /// Scores of many rows, both row by row. Trees are the outer loop: a tree stays in the cache for a block of rows.
    pub(crate) fn score_rows(&self, rows: &[T], scores: &mut [T]) {
        let (features, outputs) = (self.features, self.base.len());
        for score in scores.chunks_exact_mut(outputs) {
            score.copy_from_slice(&self.base);
        }
        for root in &self.roots {
            let mut row_groups = rows.chunks_exact(features * LANES);
            let mut score_groups = scores.chunks_exact_mut(outputs * LANES);
            for (group, group_scores) in row_groups.by_ref().zip(score_groups.by_ref()) {
                let leaves = if root.plain {
                    self.walk_lanes::<true>(root, group)
                } else {
                    self.walk_lanes::<false>(root, group)
                };
                for (leaf, row_scores) in leaves.into_iter().zip(group_scores.chunks_exact_mut(outputs)) {
                    self.add(root, leaf, row_scores);
                }
            }
            let rest = row_groups.remainder().chunks_exact(features);
            let rest_scores = score_groups.into_remainder().chunks_exact_mut(outputs);
            for (row, row_scores) in rest.zip(rest_scores) {
                self.add(root, self.walk(root.node, row), row_scores);
            }
        }
    }

    fn add(&self, root: &Root, leaf: u32, scores: &mut [T]) {
        let leaf = &self.nodes[leaf as usize];
        if leaf.test & MANY == 0 {
            scores[root.output as usize] += leaf.value;
            return;
        }
        for (output, weight) in &self.weights[leaf.yes as usize..leaf.no as usize] {
            scores[*output as usize] += *weight;
        }
    }

    fn walk(&self, root: u32, row: &[T]) -> u32 {
        let mut at = root;
        loop {
            let node = &self.nodes[at as usize];
            if node.test & LEAF != 0 {
                return at;
            }
            at = self.next::<false>(node, row[(node.test & FEATURE) as usize]);
        }
    }

    /// Walks [`LANES`] rows at once. A leaf points to itself, so that a row that has arrived waits for the others.
    fn walk_lanes<const PLAIN: bool>(&self, root: &Root, rows: &[T]) -> [u32; LANES] {
        let mut at = [root.node; LANES];
        for _ in 0..root.depth {
            let mut all = LEAF;
            for (lane, at) in at.iter_mut().enumerate() {
                let node = &self.nodes[*at as usize];
                all &= node.test;
                if PLAIN || node.test & LEAF == 0 {
                    *at =
                        self.next::<PLAIN>(node, rows[lane * self.features + (node.test & FEATURE) as usize]);
                }
            }
            if all & LEAF != 0 {
                break;
            }
        }
        at
    }

    #[inline(always)]
    fn next<const PLAIN: bool>(&self, node: &Node<T>, value: T) -> u32 {
        let yes = if PLAIN || node.test & SPECIAL == 0 {
            passes(node, value)
        } else {
            self.passes_special(node, value)
        };
        if yes { node.yes } else { node.no }
    }

    /// LightGBM's ways with missing values.
    fn passes_rare(&self, node: &Node<T>, value: T) -> bool {
        let value = if node.test & MISSING_IS_ZERO != 0 && value.is_nan() {
            T::ZERO
        } else {
            value
        };
        if value.is_nan() || (node.test & ZERO_IS_MISSING != 0 && value.is_as_good_as_zero()) {
            return node.test & MISSING_YES != 0;
        }
        value <= node.value
    }

    #[inline]
    fn passes_special(&self, node: &Node<T>, value: T) -> bool {
        if node.test & MEMBER != 0 {
            return self.contains(node, value);
        }
        if node.test & EQUAL != 0 {
            return value == node.value || (value.is_nan() && node.test & MISSING_YES != 0);
        }
        self.passes_rare(node, value)
    }

    fn contains(&self, node: &Node<T>, value: T) -> bool {
        if value.is_nan() {
            return node.test & MISSING_YES != 0;
        }
        let (Some(code), Some(set)) = (value.to_index(), node.value.to_index()) else {
            return false;
        };
        let set = &self.sets[set];
        let word = set.start as usize + code / 32;
        word < set.end as usize && self.words[word] >> (code % 32) & 1 == 1
    }
}

/// `value <= threshold`, or missing and told to pass; without a branch.
#[inline(always)]
fn passes<T: Real>(node: &Node<T>, value: T) -> bool {
    (value <= node.value) | (value.is_nan() & (node.test & MISSING_YES != 0))
}
