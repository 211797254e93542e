//! The graph of stages: outs that overlap, cycles, inputs that nothing makes, parameters that are not there.

use super::Whole;
use super::reads::Writers;
use crate::decode::{Cx, key, unknown_name};
use crate::graph::{Cycle, Graph};
use crate::hints::did_you_mean;
use crate::limits;
use crate::node::Step;
use crate::params::{self, ParamDep, Params};
use crate::paths::{FilePath, Source};
use crate::problem::{Problem, ProblemKind, quoted};
use crate::project::Project;
use crate::stages::Stage;
use everloop_core::StageName;
use std::collections::BTreeSet;

pub(super) fn check(whole: &Whole<'_>, cx: &mut Cx) {
    let before = cx.count();
    if whole.writers.is_exhausted() {
        whole.report(&[key("datasets")], cx, |at| {
            Problem::new(ProblemKind::TooLarge, at, "too many wildcards over too many outs")
                .expected(format!("at most {} pairs of them", limits::GLOB_PAIRS))
                .hint("let datasets name folders of their own")
        });
        return;
    }
    overlapping_outs(whole, cx);
    missing_inputs(whole, cx);
    missing_datasets(whole, cx);
    stage_params(whole, cx);
    let edges = edges_by(whole.project, &whole.writers);
    if edges.len() > limits::EDGES {
        whole.report(&[key("stages")], cx, |at| {
            Problem::new(ProblemKind::TooLarge, at, "too many edges between stages")
                .found(format!("more than {}", limits::EDGES))
                .expected(format!("at most {}", limits::EDGES))
                .hint("let stages read the files they need instead of a folder that many write to")
        });
        return;
    }
    // Overlapping outs would show again as odd edges.
    if cx.count() == before {
        let names = whole.project.stages.keys().cloned().collect();
        if let Err(cycles) = Graph::from_indices(names, &edges) {
            for cycle in &cycles {
                report_cycle(whole, cycle, cx);
            }
        }
    }
}

/// Every edge as places in the sorted stages; at most one more than [`limits::EDGES`].
pub(crate) fn edges(project: &Project) -> Vec<(usize, usize)> {
    edges_by(project, &Writers::of(project))
}

fn edges_by(project: &Project, writers: &Writers<'_>) -> Vec<(usize, usize)> {
    let mut edges = Vec::new();
    for (to, stage) in project.stages.values().enumerate() {
        let mut from = BTreeSet::new();
        for source in stage.reads() {
            from.extend(writers.of_source(&source));
        }
        for file in params_read(project, stage) {
            from.extend(writers.of_path(&file));
        }
        edges.extend(from.into_iter().map(|from| (from, to)));
        if edges.len() > limits::EDGES {
            edges.truncate(limits::EDGES + 1);
            break;
        }
    }
    edges
}

/// The parameter files that a stage names, as seen from the project's folder.
pub(crate) fn param_files(stage: &Stage) -> impl Iterator<Item = FilePath> + '_ {
    stage.params.iter().filter_map(|param| match param {
        ParamDep::File { file, .. } => Some(file.from_wdir(stage.wdir.as_ref())),
        ParamDep::Key(_) => None,
    })
}

/// The parameter files that a stage reads: those it names, and the project's when it names keys of that.
fn params_read(project: &Project, stage: &Stage) -> Vec<FilePath> {
    let by_key = stage.params.iter().any(|param| matches!(param, ParamDep::Key(_)));
    let own = by_key.then(|| params_file(project, stage)).flatten();
    param_files(stage).chain(own).collect()
}

/// The file of the keys that a stage names without a file: none when they stand in the project file itself.
pub(crate) fn params_file(project: &Project, stage: &Stage) -> Option<FilePath> {
    match &project.params {
        Some(Params::Inline(_)) => None,
        Some(Params::File(file)) => Some(file.clone()),
        None => {
            let default: FilePath = params::DEFAULT_FILE.parse().expect("a plain file name is a path");
            Some(default.from_wdir(stage.wdir.as_ref()))
        }
    }
}

fn stage_steps(name: &StageName, rest: &[Step]) -> Vec<Step> {
    let mut steps = vec![key("stages"), key(name.as_str())];
    steps.extend_from_slice(rest);
    steps
}

/// Two outs at one place, or one within the other: who wrote last would decide what it holds.
fn overlapping_outs(whole: &Whole<'_>, cx: &mut Cx) {
    struct Placed<'a> {
        stage: &'a StageName,
        path: FilePath,
        steps: Vec<Step>,
    }
    let mut placed: Vec<Placed<'_>> = Vec::new();
    for (stage, body) in &whole.project.stages {
        for written in body.writes() {
            let steps = stage_steps(stage, &[key(written.section), Step::Index(written.index)]);
            placed.push(Placed {
                stage,
                path: written.path,
                steps,
            });
        }
    }
    // With "/" before every other character, what lies beneath a path follows it at once.
    placed.sort_by_cached_key(|out| (out.path.as_str().replace('/', "\u{0}"), out.steps.len()));
    let mut top: Option<&Placed<'_>> = None;
    for out in &placed {
        let Some(over) = top.filter(|top| out.path.is_beneath(&top.path)) else {
            top = Some(out);
            continue;
        };
        if cx.is_full() {
            return;
        }
        let (first, second) = match whole.root.locate(&over.steps) <= whole.root.locate(&out.steps) {
            true => (over, out),
            false => (out, over),
        };
        let line = whole.root.locate(&first.steps).line;
        let other = format!("{} of stage \"{}\"", quoted(first.path.as_str()), first.stage);
        whole.report(&second.steps, cx, |at| {
            let problem = Problem::new(ProblemKind::OverlappingOuts, at, "overlapping outs")
                .found(format!(
                    "{}, which overlaps {other}",
                    quoted(second.path.as_str())
                ))
                .expected("each place to be written by one stage, once");
            if line > 0 {
                problem.hint(format!("the other stands in line {line}"))
            } else {
                problem
            }
        });
    }
}

fn report_cycle(whole: &Whole<'_>, cycle: &Cycle, cx: &mut Cx) {
    let Some(first) = cycle.stages.first() else {
        return;
    };
    let turns = cycle.stages.iter().cycle().skip(1);
    let links: Vec<String> = cycle
        .stages
        .iter()
        .zip(turns)
        .take(4)
        .filter_map(|(from, to)| link(whole.project, from, to))
        .collect();
    whole.report(&stage_steps(first, &[]), cx, |at| {
        let message = match cycle.stages.len() {
            1 => "a stage that waits for itself",
            _ => "stages that wait for each other",
        };
        Problem::new(ProblemKind::Cycle, at, message)
            .found(cycle.to_string())
            .expected("stages that can run one after the other")
            .hint(links.join("; "))
    });
}

/// Why `to` waits for `from`.
fn link(project: &Project, from: &StageName, to: &StageName) -> Option<String> {
    let (writer, reader) = (project.stages.get(from)?, project.stages.get(to)?);
    let params = params_read(project, reader).into_iter().map(Source::Path);
    for source in reader.reads().into_iter().chain(params) {
        for written in writer.writes() {
            let overlap = match &source {
                Source::Path(path) => path.is_beneath(&written.path) || written.path.is_beneath(path),
                Source::Dataset(name) => project.datasets.get(name).is_some_and(|data| {
                    data.path
                        .iter()
                        .any(|data| super::reads::touches(data, &written.path))
                }),
            };
            if overlap {
                let written = quoted(written.path.as_str());
                let read = match &source {
                    Source::Path(path) => quoted(path.as_str()),
                    Source::Dataset(name) => format!("the dataset \"{name}\""),
                };
                let as_what = if read == written {
                    String::new()
                } else {
                    format!(" as {written}")
                };
                return Some(format!("\"{to}\" reads {read}, which \"{from}\" writes{as_what}"));
            }
        }
    }
    None
}

/// Inputs that no stage writes must be there.
fn missing_inputs(whole: &Whole<'_>, cx: &mut Cx) {
    for (name, stage) in &whole.project.stages {
        for (steps, source) in stage.located_reads() {
            let steps = stage_steps(name, &steps);
            match &source {
                Source::Dataset(dataset) => {
                    if !whole.project.datasets.contains_key(dataset) {
                        let defined = whole.project.datasets.keys().map(|name| name.as_str());
                        whole.report(&steps, cx, |at| {
                            unknown_name(at, "dataset", dataset.as_str(), defined)
                        });
                    }
                }
                Source::Path(path) => {
                    if whole.writers.of_path(path).is_empty() && !whole.exists(path) {
                        report_missing(whole, &steps, path, cx);
                    }
                }
            }
        }
    }
}

fn report_missing(whole: &Whole<'_>, steps: &[Step], path: &FilePath, cx: &mut Cx) {
    whole.report(steps, cx, |at| {
        Problem::new(ProblemKind::MissingFile, at, "missing file")
            .found(format!(
                "{}, which is not there and no stage writes",
                quoted(path.as_str())
            ))
            .expected("a file or folder that is there, or an out of a stage")
            .maybe_hint(hint_for_missing(whole, path))
    });
}

fn hint_for_missing(whole: &Whole<'_>, path: &FilePath) -> Option<String> {
    if whole
        .project
        .datasets
        .keys()
        .any(|name| name.as_str() == path.as_str())
    {
        return Some(format!("write dataset:{path} for the dataset"));
    }
    if path.as_str().contains(['*', '?']) {
        return Some("name a file or a folder; only datasets take wildcards".to_owned());
    }
    did_you_mean(path.as_str(), whole.writers.paths())
}

/// A dataset's files must be there, unless they are awaited (`watch`) or made by a stage.
fn missing_datasets(whole: &Whole<'_>, cx: &mut Cx) {
    for (name, dataset) in whole
        .project
        .datasets
        .iter()
        .filter(|(_, dataset)| !dataset.watch)
    {
        for (index, data) in dataset.path.iter().enumerate() {
            let prefix = data.prefix();
            let made = !whole.writers.of_source(&Source::Dataset(name.clone())).is_empty();
            if made || prefix.as_str() == "." || whole.exists(prefix) {
                continue;
            }
            let mut steps = vec![key("datasets"), key(name.as_str()), key("path")];
            if dataset.path.len() > 1 {
                steps.push(Step::Index(index));
            }
            whole.report(&steps, cx, |at| {
                Problem::new(ProblemKind::MissingFile, at, "missing data")
                    .found(format!(
                        "{}, which is not there and no stage writes",
                        quoted(prefix.as_str())
                    ))
                    .expected("files that are there")
                    .hint("add \"watch: true\" when they are yet to come")
            });
        }
    }
}

/// Parameters must be there: keys where they stand in the project file, files otherwise.
fn stage_params(whole: &Whole<'_>, cx: &mut Cx) {
    let inline = whole
        .project
        .params
        .as_ref()
        .filter(|params| matches!(params, Params::Inline(_)));
    let mut known: Option<Vec<String>> = None;
    let mut missing: BTreeSet<FilePath> = BTreeSet::new();
    for (name, stage) in &whole.project.stages {
        for (index, param) in stage.params.iter().enumerate() {
            let steps = stage_steps(name, &[key("params"), Step::Index(index)]);
            let file = match (param, inline) {
                (ParamDep::Key(wanted), Some(params)) => {
                    if params.get(wanted).is_none() {
                        let known = known.get_or_insert_with(|| params.keys());
                        whole.report(&steps, cx, |at| {
                            unknown_name(at, "param", wanted, known.iter().map(String::as_str))
                        });
                    }
                    continue;
                }
                (ParamDep::Key(_), None) => params_file(whole.project, stage),
                (ParamDep::File { file, .. }, _) => Some(file.from_wdir(stage.wdir.as_ref())),
            };
            let Some(file) = file else {
                continue;
            };
            let there = !whole.writers.of_path(&file).is_empty() || whole.exists(&file);
            // Once for each file: a hundred stages may read it.
            if !there && missing.insert(file.clone()) {
                whole.report(&steps, cx, |at| {
                    Problem::new(ProblemKind::MissingFile, at, "missing file of parameters")
                        .found(format!("{}, which is not there", quoted(file.as_str())))
                        .expected(
                            "the file that holds the parameter, or a \"params\" section in everloop.yaml",
                        )
                });
            }
        }
    }
}
