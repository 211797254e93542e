//! The graph of stages as pure data: order, levels, what comes before and after, and cycles.
//!
//! Everything is iterative and runs in `O(stages + edges)` (times `log stages` where an order is chosen), so that a
//! chain of twenty thousand stages is no deeper than one of two. Order is the same for the same stages and edges: by
//! dependency, then by name.

use everloop_core::{Code, Coded, StageName};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::fmt;

/// Stages and what they wait for, without cycles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Sorted.
    names: Vec<StageName>,
    /// For each stage those that wait for it, sorted.
    after: Vec<Vec<u32>>,
    /// For each stage those it waits for, sorted.
    before: Vec<Vec<u32>>,
    order: Vec<u32>,
    level: Vec<u32>,
}

/// Stages that wait for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// The stages in turn, each waiting for the one before it; the first waits for the last. Starts with the first by
    /// name.
    pub stages: Vec<StageName>,
}

impl fmt::Display for Cycle {
    /// `a -> b -> a`: `a` makes what `b` reads, `b` makes what `a` reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stage in &self.stages {
            write!(f, "{stage} -> ")?;
        }
        match self.stages.first() {
            Some(first) => write!(f, "{first}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Cycle {}

impl Coded for Cycle {
    fn code(&self) -> Code {
        Code::InvalidArgument
    }

    fn hint(&self) -> Option<String> {
        Some(
            "break the cycle: let one of the stages read something that none of the others writes".to_owned(),
        )
    }
}

impl Graph {
    /// A graph of `stages` and edges `(from, to)`: `to` waits for `from`. Edges given twice count once; an edge that
    /// names a stage not in `stages` is left out.
    ///
    /// # Errors
    /// With one short cycle for each knot of stages that wait for each other, at most ten.
    pub fn new<'a>(
        stages: impl IntoIterator<Item = &'a StageName>,
        edges: impl IntoIterator<Item = (&'a StageName, &'a StageName)>,
    ) -> Result<Self, Vec<Cycle>> {
        let names: BTreeSet<&StageName> = stages.into_iter().collect();
        let names: Vec<StageName> = names.into_iter().cloned().collect();
        let index = |name: &StageName| names.binary_search(name).ok();
        let pairs: Vec<(usize, usize)> = edges
            .into_iter()
            .filter_map(|(from, to)| Some((index(from)?, index(to)?)))
            .collect();
        Self::from_indices(names, &pairs)
    }

    /// The same, with stages as places in the sorted `names`.
    pub(crate) fn from_indices(names: Vec<StageName>, edges: &[(usize, usize)]) -> Result<Self, Vec<Cycle>> {
        let mut after = vec![Vec::new(); names.len()];
        let mut before = vec![Vec::new(); names.len()];
        for (from, to) in edges {
            after[*from].push(*to as u32);
            before[*to].push(*from as u32);
        }
        for list in after.iter_mut().chain(&mut before) {
            list.sort_unstable();
            list.dedup();
        }
        let (order, level) = order(&after, &before);
        if order.len() < names.len() {
            return Err(cycles(&names, &after, &order));
        }
        Ok(Self {
            names,
            after,
            before,
            order,
            level,
        })
    }

    /// Number of stages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no stages.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All stages, each after those it waits for; among stages that could come next, the first by name.
    pub fn order(&self) -> impl Iterator<Item = &StageName> {
        self.named(&self.order)
    }

    /// The stages in levels: those of level 0 wait for none, those of level `n` wait for some of level `n - 1`.
    /// The stages of one level can run at the same time.
    #[must_use]
    pub fn levels(&self) -> Vec<Vec<&StageName>> {
        let deepest = self.level.iter().max().map_or(0, |level| *level as usize + 1);
        let mut levels = vec![Vec::new(); deepest];
        for (name, level) in self.names.iter().zip(&self.level) {
            levels[*level as usize].push(name);
        }
        levels
    }

    /// The stages that `stage` waits for directly, by name; empty when it is not in the graph.
    pub fn before(&self, stage: &StageName) -> impl Iterator<Item = &StageName> {
        self.named(self.neighbours(&self.before, stage))
    }

    /// The stages that wait for `stage` directly, by name; empty when it is not in the graph.
    pub fn after(&self, stage: &StageName) -> impl Iterator<Item = &StageName> {
        self.named(self.neighbours(&self.after, stage))
    }

    /// All stages that `stage` waits for, directly or not, in order.
    #[must_use]
    pub fn ancestors(&self, stage: &StageName) -> Vec<&StageName> {
        self.closure(std::iter::once(stage), &self.before, false)
    }

    /// All stages that wait for `stage`, directly or not, in order.
    #[must_use]
    pub fn descendants(&self, stage: &StageName) -> Vec<&StageName> {
        self.closure(std::iter::once(stage), &self.after, false)
    }

    /// The stages to run to get `targets` done: those themselves and all they wait for, in order. Names that are not
    /// in the graph are left out.
    pub fn selection<'a>(&self, targets: impl IntoIterator<Item = &'a StageName>) -> Vec<&StageName> {
        self.closure(targets, &self.before, true)
    }

    /// Every edge `(from, to)`: `to` waits for `from`.
    pub fn edges(&self) -> impl Iterator<Item = (&StageName, &StageName)> {
        let names = &self.names;
        names
            .iter()
            .zip(&self.after)
            .flat_map(move |(from, after)| after.iter().map(move |to| (from, &names[*to as usize])))
    }

    fn index(&self, stage: &StageName) -> Option<usize> {
        self.names.binary_search(stage).ok()
    }

    fn neighbours<'g>(&self, lists: &'g [Vec<u32>], stage: &StageName) -> &'g [u32] {
        self.index(stage).map_or(&[], |index| &lists[index])
    }

    fn named<'g>(&'g self, indices: &'g [u32]) -> impl Iterator<Item = &'g StageName> {
        indices.iter().map(|index| &self.names[*index as usize])
    }

    fn closure<'a>(
        &self,
        from: impl IntoIterator<Item = &'a StageName>,
        lists: &[Vec<u32>],
        themselves: bool,
    ) -> Vec<&StageName> {
        let starts: Vec<usize> = from.into_iter().filter_map(|stage| self.index(stage)).collect();
        let mut reached = vec![false; self.names.len()];
        let mut open = starts.clone();
        while let Some(index) = open.pop() {
            for next in &lists[index] {
                if !std::mem::replace(&mut reached[*next as usize], true) {
                    open.push(*next as usize);
                }
            }
        }
        if themselves {
            for start in starts {
                reached[start] = true;
            }
        }
        let chosen = self.order.iter().filter(|index| reached[**index as usize]);
        chosen.map(|index| &self.names[*index as usize]).collect()
    }
}

/// Kahn's algorithm with a heap, so that ties go by name; stages on or behind a cycle stay out.
fn order(after: &[Vec<u32>], before: &[Vec<u32>]) -> (Vec<u32>, Vec<u32>) {
    let mut waiting: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut level = vec![0; before.len()];
    let mut ready: BinaryHeap<Reverse<u32>> = (0_u32..)
        .zip(&waiting)
        .filter(|(_, waits)| **waits == 0)
        .map(|(index, _)| Reverse(index))
        .collect();
    let mut order = Vec::with_capacity(before.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for next in &after[index as usize] {
            let next_index = *next as usize;
            level[next_index] = level[next_index].max(level[index as usize] + 1);
            waiting[next_index] -= 1;
            if waiting[next_index] == 0 {
                ready.push(Reverse(*next));
            }
        }
    }
    (order, level)
}

const MOST_CYCLES: usize = 10;

/// One shortest cycle through the first stage (by name) of each knot.
fn cycles(names: &[StageName], after: &[Vec<u32>], sound: &[u32]) -> Vec<Cycle> {
    let mut inside = vec![true; names.len()];
    for index in sound {
        inside[*index as usize] = false;
    }
    let knots = knots(after, &inside);
    let named = |path: Vec<usize>| Cycle {
        stages: path.into_iter().map(|index| names[index].clone()).collect(),
    };
    knots
        .iter()
        .take(MOST_CYCLES)
        .filter_map(|knot| shortest_cycle(knot, after))
        .map(named)
        .collect()
}

/// The strongly connected components that hold a cycle (Tarjan, without recursion), each sorted, in order of their
/// first stage.
fn knots(after: &[Vec<u32>], inside: &[bool]) -> Vec<Vec<usize>> {
    const NEW: usize = usize::MAX;
    let mut visit = Visit {
        number: vec![NEW; after.len()],
        lowest: vec![NEW; after.len()],
        on_stack: vec![false; after.len()],
        stack: Vec::new(),
        next: 0,
    };
    let mut knots = Vec::new();
    for root in (0..after.len()).filter(|index| inside[*index]) {
        if visit.number[root] != NEW {
            continue;
        }
        let mut calls = vec![(root, 0)];
        visit.enter(root);
        while let Some((node, child)) = calls.pop() {
            let Some(next) = after[node].get(child).map(|next| *next as usize) else {
                if let Some(parent) = calls.last().map(|(parent, _)| *parent) {
                    visit.lowest[parent] = visit.lowest[parent].min(visit.lowest[node]);
                }
                if visit.lowest[node] == visit.number[node] {
                    let knot = visit.leave(node);
                    if knot.len() > 1 || after[node].contains(&(node as u32)) {
                        knots.push(knot);
                    }
                }
                continue;
            };
            calls.push((node, child + 1));
            if visit.number[next] == NEW {
                visit.enter(next);
                calls.push((next, 0));
            } else if visit.on_stack[next] {
                visit.lowest[node] = visit.lowest[node].min(visit.number[next]);
            }
        }
    }
    knots.sort();
    knots
}

/// The state of Tarjan's walk.
struct Visit {
    number: Vec<usize>,
    lowest: Vec<usize>,
    on_stack: Vec<bool>,
    stack: Vec<usize>,
    next: usize,
}

impl Visit {
    fn enter(&mut self, node: usize) {
        self.number[node] = self.next;
        self.lowest[node] = self.next;
        self.on_stack[node] = true;
        self.stack.push(node);
        self.next += 1;
    }

    /// Takes the component of `root` off the stack.
    fn leave(&mut self, root: usize) -> Vec<usize> {
        let at = self.stack.iter().rposition(|node| *node == root).unwrap_or(0);
        let mut knot = self.stack.split_off(at);
        for node in &knot {
            self.on_stack[*node] = false;
        }
        knot.sort_unstable();
        knot
    }
}

/// A shortest way from the first stage of `knot` back to itself (breadth first).
fn shortest_cycle(knot: &[usize], after: &[Vec<u32>]) -> Option<Vec<usize>> {
    let start = *knot.first()?;
    let members: BTreeSet<usize> = knot.iter().copied().collect();
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(node) = open.pop_front() {
        for next in after[node].iter().map(|next| *next as usize) {
            if next == start {
                let mut path = vec![node];
                let mut at = node;
                while at != start {
                    at = *came_from.get(&at)?;
                    path.push(at);
                }
                path.reverse();
                return Some(path);
            }
            if members.contains(&next) && !came_from.contains_key(&next) {
                came_from.insert(next, node);
                open.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> StageName {
        StageName::new(text).unwrap()
    }

    fn graph(edges: &[(&str, &str)]) -> Result<Graph, Vec<Cycle>> {
        let edges: Vec<(StageName, StageName)> = edges.iter().map(|(a, b)| (name(a), name(b))).collect();
        let stages: BTreeSet<&StageName> = edges.iter().flat_map(|(a, b)| [a, b]).collect();
        Graph::new(stages, edges.iter().map(|(a, b)| (a, b)))
    }

    fn texts<'a>(names: impl IntoIterator<Item = &'a StageName>) -> Vec<&'a str> {
        names.into_iter().map(StageName::as_str).collect()
    }

    #[test]
    fn order_goes_by_dependency_then_name() {
        let graph = graph(&[
            ("prep", "train"),
            ("prep", "audit"),
            ("train", "eval"),
            ("fetch", "prep"),
        ])
        .unwrap();
        assert_eq!(texts(graph.order()), ["fetch", "prep", "audit", "train", "eval"]);
        let levels: Vec<Vec<&str>> = graph.levels().into_iter().map(texts).collect();
        assert_eq!(
            levels,
            [vec!["fetch"], vec!["prep"], vec!["audit", "train"], vec!["eval"]]
        );
    }

    #[test]
    fn relatives_and_selections() {
        let graph = graph(&[("a", "b"), ("b", "c"), ("a", "d"), ("x", "y")]).unwrap();
        assert_eq!(texts(graph.ancestors(&name("c"))), ["a", "b"]);
        assert_eq!(texts(graph.descendants(&name("a"))), ["b", "c", "d"]);
        assert_eq!(
            texts(graph.selection(&[name("c"), name("y")])),
            ["a", "b", "c", "x", "y"]
        );
        assert_eq!(texts(graph.before(&name("c"))), ["b"]);
        assert_eq!(texts(graph.after(&name("a"))), ["b", "d"]);
        assert!(graph.ancestors(&name("nobody")).is_empty());
        assert_eq!(graph.edges().count(), 4);
    }

    #[test]
    fn each_knot_is_named_by_its_shortest_cycle() {
        let knots = graph(&[
            ("a", "b"),
            ("b", "c"),
            ("c", "a"),
            ("b", "a"),
            ("q", "q"),
            ("c", "later"),
            ("start", "a"),
        ])
        .unwrap_err();
        let shown: Vec<String> = knots.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a -> b -> a", "q -> q"]);
    }

    #[test]
    fn an_empty_graph_has_no_levels() {
        let graph = Graph::new([], []).unwrap();
        assert!(graph.is_empty());
        assert!(graph.levels().is_empty());
    }
}
