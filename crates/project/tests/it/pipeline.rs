//! The graph of stages at size, and by law.

use crate::parse;
use everloop_core::StageName;
use everloop_project::{Graph, limits};
use proptest::prelude::*;
use std::collections::HashMap;
use std::fmt::Write as _;

fn chain(stages: usize) -> String {
    let mut text = String::from("project: p\nstages:\n");
    for index in 0..stages {
        let dep = if index == 0 {
            String::new()
        } else {
            format!(",deps: [o{}]", index - 1)
        };
        writeln!(text, " s{index}: {{cmd: x{dep},outs: [o{index}]}}").unwrap();
    }
    text
}

#[test]
fn a_chain_as_long_as_allowed_is_ordered() {
    let text = chain(limits::STAGES);
    assert!(text.len() <= limits::FILE_BYTES, "{} bytes", text.len());
    let graph = parse(&text).unwrap().graph().unwrap();
    assert_eq!(graph.len(), limits::STAGES);
    let last = StageName::new(format!("s{}", limits::STAGES - 1)).unwrap();
    assert_eq!(graph.order().last(), Some(&last));
    assert_eq!(graph.levels().len(), limits::STAGES);
    assert_eq!(graph.ancestors(&last).len(), limits::STAGES - 1);
}

#[test]
fn a_wide_pipeline_is_two_levels() {
    let mut text = String::from("project: p\nstages:\n  first: { cmd: x, outs: [data] }\n");
    for index in 0..2_000 {
        writeln!(
            text,
            "  w{index}: {{ cmd: x, deps: [data/{index}.csv], outs: [out/{index}.csv] }}"
        )
        .unwrap();
    }
    text.push_str("  last: { cmd: x, deps: [out] }\n");
    let graph = parse(&text).unwrap().graph().unwrap();
    let sizes: Vec<usize> = graph.levels().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 2_000, 1]);
    assert_eq!(graph.edges().count(), 4_000);
}

#[test]
fn a_stage_too_many_is_refused() {
    let mut text = String::from("project: p\nstages:\n");
    for index in 0..=limits::STAGES {
        writeln!(text, " s{index}: {{cmd: x}}").unwrap();
    }
    let shown = parse(&text).unwrap_err().render();
    assert!(
        shown.contains("too many stages") && shown.contains("20001 stages"),
        "{shown}"
    );
}

#[test]
fn edges_beyond_the_limit_are_refused() {
    let mut text = String::from("project: p\nstages:\n");
    for index in 0..2_000 {
        writeln!(
            text,
            " w{index}: {{cmd: x,outs: [d/{index}]}}\n r{index}: {{cmd: x,deps: [d]}}"
        )
        .unwrap();
    }
    let shown = parse(&text).unwrap_err().render();
    assert!(shown.contains("too many edges"), "{shown}");
}

#[test]
fn a_long_cycle_is_found_and_named() {
    let mut text = chain(5_000);
    text = text.replacen(" s0: {cmd: x,", " s0: {cmd: x,deps: [o4999],", 1);
    let shown = parse(&text).unwrap_err().render();
    assert!(shown.contains("s0 -> s1 -> s2"), "{}", &shown[..200]);
    assert!(shown.contains("stages that wait for each other"));
}

#[test]
fn what_lies_above_beneath_or_at_an_out_makes_an_edge() {
    let check = |dep: &str, out: &str, edge: bool| {
        let text = format!(
            "project: p\nstages:\n  r: {{ cmd: x, deps: ['{dep}'] }}\n  w: {{ cmd: x, outs: ['{out}'] }}\n"
        );
        let edges = parse(&text).unwrap().graph().unwrap().edges().count();
        assert_eq!(edges == 1, edge, "{dep} {out}");
    };
    check("data", "data", true);
    check("./data/", "data", true);
    check("data/x", "data", true);
    check("data", "data/x/y", true);
    check("data2", "data", false);
    check("data", "data-old/x", false);
    check("data", "data.csv", false);
    check(".", "data/x", true);
    check("a/../data", "data", true);
}

#[test]
fn a_dataset_stands_for_its_files() {
    let check = |path: &str, out: &str, edge: bool| {
        let text = format!(
            "project: p\ndatasets: {{ d: {{ path: '{path}', watch: true }} }}\nstages:\n  r: {{ cmd: x, deps: ['dataset:d'] }}\n  w: {{ cmd: x, outs: ['{out}'] }}\n"
        );
        let edges = parse(&text).unwrap().graph().unwrap().edges().count();
        assert_eq!(edges == 1, edge, "{path} {out}");
    };
    check("data/*.parquet", "data/x.parquet", true);
    check("data/*.parquet", "data/x.csv", false);
    check("data/*.parquet", "data/build/train.parquet", false);
    check("data/*.parquet", "data", true);
    check("data/**/*.parquet", "data/build/train.parquet", true);
    check("data/raw", "data/raw/x.csv", true);
    check("*.csv", "x.csv", true);
    check("*.csv", "sub/x.csv", false);
}

#[test]
fn a_parameter_file_that_a_stage_writes_makes_an_edge() {
    let text = "project: p\nstages:\n  b: { cmd: x, params: [tuned.json: [lr]] }\n  a: { cmd: x, outs: [tuned.json] }\n";
    let graph = parse(text).unwrap().graph().unwrap();
    let order: Vec<&str> = graph.order().map(StageName::as_str).collect();
    assert_eq!(order, ["a", "b"]);
}

fn names(count: usize) -> Vec<StageName> {
    (0..count)
        .map(|index| StageName::new(format!("s{index}")).unwrap())
        .collect()
}

fn graph_of(
    count: usize,
    edges: &[(usize, usize)],
) -> (Vec<StageName>, Result<Graph, Vec<everloop_project::Cycle>>) {
    let names = names(count);
    let graph = Graph::new(
        &names,
        edges.iter().map(|(from, to)| (&names[*from], &names[*to])),
    );
    (names, graph)
}

proptest! {
    /// Edges that only lead from lower to higher numbers have no cycle; the order must keep each of them.
    #[test]
    fn order_keeps_every_edge(count in 1usize..40, raw in prop::collection::vec((0usize..40, 0usize..40), 0..120)) {
        let edges: Vec<(usize, usize)> = raw
            .into_iter()
            .map(|(a, b)| (a % count, b % count))
            .filter(|(a, b)| a != b)
            .map(|(a, b)| (a.min(b), a.max(b)))
            .collect();
        let (names, graph) = graph_of(count, &edges);
        let graph = graph.unwrap();
        let place: HashMap<&StageName, usize> = graph.order().enumerate().map(|(place, name)| (name, place)).collect();
        prop_assert_eq!(place.len(), count);
        for (from, to) in &edges {
            prop_assert!(place[&names[*from]] < place[&names[*to]]);
            prop_assert!(graph.ancestors(&names[*to]).contains(&&names[*from]));
            prop_assert!(graph.descendants(&names[*from]).contains(&&names[*to]));
        }
        let levels = graph.levels();
        prop_assert_eq!(levels.iter().map(Vec::len).sum::<usize>(), count);
        for (depth, level) in levels.iter().enumerate() {
            for name in level {
                let before: Vec<usize> = graph.before(name).map(|one| levels.iter().position(|level| level.contains(&one)).unwrap()).collect();
                prop_assert_eq!(before.into_iter().max().map_or(0, |deepest| deepest + 1), depth);
            }
        }
        // The order does not depend on the order in which edges came.
        let mut turned = edges.clone();
        turned.reverse();
        let (_, again) = graph_of(count, &turned);
        prop_assert_eq!(again.unwrap(), graph);
    }

    /// Any edges: either there is an order, or each cycle reported is one.
    #[test]
    fn a_cycle_is_reported_exactly_when_there_is_no_order(count in 1usize..20, raw in prop::collection::vec((0usize..20, 0usize..20), 0..40)) {
        let edges: Vec<(usize, usize)> = raw.into_iter().map(|(a, b)| (a % count, b % count)).collect();
        let (names, graph) = graph_of(count, &edges);
        let has = |from: &StageName, to: &StageName| edges.iter().any(|(a, b)| names[*a] == *from && names[*b] == *to);
        match graph {
            Ok(graph) => prop_assert_eq!(graph.order().count(), count),
            Err(cycles) => {
                prop_assert!(!cycles.is_empty());
                for cycle in cycles {
                    let next = cycle.stages.iter().cycle().skip(1);
                    for (from, to) in cycle.stages.iter().zip(next) {
                        prop_assert!(has(from, to), "{} has no edge {} -> {}", cycle, from, to);
                    }
                }
            }
        }
    }
}
