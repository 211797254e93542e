//! Sections that need each other: a model and its stage, a monitor and its endpoint, a trigger and what it waits for.

use super::Whole;
use crate::bounds::{AbortRule, Signal};
use crate::counts::Reference;
use crate::datasets::SuiteRef;
use crate::decode::{Cx, key, unknown_name};
use crate::hints::did_you_mean;
use crate::metric::{Metric, Task};
use crate::model::Gate;
use crate::node::Step;
use crate::paths::{FilePath, Source};
use crate::problem::{Problem, ProblemKind, quoted};
use crate::serve::Rollout;
use crate::stages::{Action, Stage};
use crate::suite::CheckKind;
use crate::triggers::{Event, Start, Trigger, When};
use everloop_core::DatasetName;
use std::collections::BTreeSet;

/// The model comes out of the pipeline, and everything judges it by metrics of its task.
pub(super) fn model(whole: &Whole<'_>, cx: &mut Cx) {
    let Some(model) = &whole.project.model else {
        return;
    };
    let writers = &whole.writers;
    if writers.of_path(&model.from).is_empty() && !whole.exists(&model.from) {
        whole.report(&[key("model"), key("from")], cx, |at| {
            Problem::new(ProblemKind::MissingFile, at, "a model that nothing makes")
                .found(format!(
                    "{}, which is not there and no stage writes",
                    quoted(model.from.as_str())
                ))
                .expected("an out of a stage")
                .maybe_hint(did_you_mean(model.from.as_str(), writers.paths()))
        });
    }
    if let Some(test) = &model.test {
        let steps = [key("model"), key("test")];
        match test {
            Source::Dataset(name) => dataset(whole, &steps, name, cx),
            Source::Path(path) if writers.of_path(path).is_empty() && !whole.exists(path) => {
                missing(whole, &steps, path, cx);
            }
            Source::Path(_) => {}
        }
    }
    for (index, gate) in model.gates.iter().enumerate() {
        let at = |rest: &str| vec![key("model"), key("gates"), Step::Index(index), key(rest)];
        match gate {
            Gate::Metric(bound) => fits(whole, &at("metric"), bound.metric.known(), model.task, cx),
            Gate::BetterThan(better) => fits(whole, &at("metric"), Some(better.metric), model.task, cx),
            Gate::Checks(SuiteRef::Inline(checks)) => {
                for metric in checks.iter().filter_map(|check| check_metric(&check.kind)) {
                    fits(whole, &at("checks"), Some(metric), model.task, cx);
                }
            }
            Gate::Checks(SuiteRef::File(_)) | Gate::Latency(_) | Gate::Approval(_) => {}
        }
    }
    stages_of_the_model(whole, &model.from, model.task, cx);
}

fn check_metric(kind: &CheckKind) -> Option<Metric> {
    match kind {
        CheckKind::Metric(bound) => bound.metric.known(),
        CheckKind::Slices(slices) => Some(slices.metric),
        CheckKind::BetterThan(better) => Some(better.metric),
        _ => None,
    }
}

/// The stages that train and judge this model are of its task.
fn stages_of_the_model(whole: &Whole<'_>, from: &FilePath, task: Task, cx: &mut Cx) {
    for (name, stage) in &whole.project.stages {
        let steps = |rest: &[&str]| {
            let mut steps = vec![key("stages"), key(name.as_str())];
            steps.extend(rest.iter().map(|step| key(step)));
            steps
        };
        match &stage.action {
            Action::Train { train } if train.task != task && makes(stage, from) => {
                whole.report(&steps(&["train", "task"]), cx, |at| {
                    Problem::new(ProblemKind::BadValue, at, "a task other than the model's")
                        .found(word(train.task))
                        .expected(format!("{}, as under \"model\"", word(task)))
                });
            }
            Action::Evaluate { evaluate } if evaluate.model.from_wdir(stage.wdir.as_ref()) == *from => {
                for metric in &evaluate.metrics {
                    fits(whole, &steps(&["evaluate", "metrics"]), Some(*metric), task, cx);
                }
            }
            _ => {}
        }
    }
}

fn makes(stage: &Stage, path: &FilePath) -> bool {
    stage.writes().any(|written| path.is_beneath(&written.path))
}

fn word(task: Task) -> &'static str {
    match task {
        Task::Classification => "classification",
        Task::Regression => "regression",
    }
}

/// A metric of ours judges one task; a metric that a training step logs is its own affair.
fn fits(whole: &Whole<'_>, steps: &[Step], metric: Option<Metric>, task: Task, cx: &mut Cx) {
    let Some(metric) = metric.filter(|metric| metric.task() != task) else {
        return;
    };
    let names: Vec<&str> = Metric::ALL
        .iter()
        .filter(|metric| metric.task() == task)
        .map(|metric| metric.name())
        .collect();
    whole.report(steps, cx, |at| {
        Problem::new(
            ProblemKind::BadValue,
            at,
            "a metric that does not fit the model's task",
        )
        .found(format!("\"{metric}\", which judges {}", word(metric.task())))
        .expected(format!("a metric for {}: {}", word(task), names.join(", ")))
    });
}

fn dataset(whole: &Whole<'_>, steps: &[Step], name: &DatasetName, cx: &mut Cx) {
    if !whole.project.datasets.contains_key(name) {
        let defined = whole.project.datasets.keys().map(|name| name.as_str());
        whole.report(steps, cx, |at| {
            unknown_name(at, "dataset", name.as_str(), defined)
        });
    }
}

fn missing(whole: &Whole<'_>, steps: &[Step], path: &FilePath, cx: &mut Cx) {
    whole.report(steps, cx, |at| {
        Problem::new(ProblemKind::MissingFile, at, "missing file")
            .found(format!("{}, which is not there", quoted(path.as_str())))
            .expected("a file that is there")
    });
}

fn needs(whole: &Whole<'_>, steps: &[Step], found: &str, section: &str, why: &str, cx: &mut Cx) {
    whole.report(steps, cx, |at| {
        Problem::new(
            ProblemKind::MissingKey,
            at,
            format!("missing section \"{section}\""),
        )
        .found(found)
        .expected(why)
    });
}

/// The endpoint serves the model; the monitor watches the endpoint.
pub(super) fn watch(whole: &Whole<'_>, cx: &mut Cx) {
    let project = whole.project;
    if project.serve.is_some() && project.model.is_none() {
        needs(
            whole,
            &[key("serve")],
            "an endpoint without a model",
            "model",
            "the model that it serves",
            cx,
        );
    }
    if project.monitor.is_some() && project.serve.is_none() {
        needs(
            whole,
            &[key("monitor")],
            "a monitor without an endpoint",
            "serve",
            "the endpoint that it watches",
            cx,
        );
    }
    let task = project.model.as_ref().map(|model| model.task);
    if let (Some(serve), Some(task)) = (&project.serve, task) {
        let rules: &[AbortRule] = match &serve.rollout {
            Rollout::Direct => &[],
            Rollout::Canary(canary) => &canary.abort_if,
            Rollout::Shadow(shadow) => &shadow.abort_if,
        };
        for (index, rule) in rules.iter().enumerate() {
            let metric = match rule {
                AbortRule::Metric { metric, .. } | AbortRule::Worse(Signal::Metric(metric)) => Some(*metric),
                _ => None,
            };
            let steps = [key("serve"), key("rollout"), key("abort_if"), Step::Index(index)];
            fits(whole, &steps, metric, task, cx);
        }
    }
    let Some(monitor) = &project.monitor else {
        return;
    };
    if let (Some(performance), Some(task)) = (&monitor.performance, task) {
        let steps = [key("monitor"), key("performance"), key("metric")];
        fits(whole, &steps, Some(performance.metric), task, cx);
    }
    if let Some(Reference::Dataset(name)) = monitor.drift.as_ref().map(|drift| &drift.reference) {
        dataset(whole, &[key("monitor"), key("drift"), key("reference")], name, cx);
    }
}

/// Suite files are there.
pub(super) fn suites(whole: &Whole<'_>, cx: &mut Cx) {
    let mut named: Vec<(Vec<Step>, &FilePath)> = Vec::new();
    for (name, dataset) in &whole.project.datasets {
        if let Some(file) = dataset.checks.as_ref().and_then(SuiteRef::file) {
            named.push((vec![key("datasets"), key(name.as_str()), key("checks")], file));
        }
    }
    for (index, gate) in whole
        .project
        .model
        .iter()
        .flat_map(|model| model.gates.iter().enumerate())
    {
        if let Gate::Checks(SuiteRef::File(file)) = gate {
            named.push((
                vec![key("model"), key("gates"), Step::Index(index), key("checks")],
                file,
            ));
        }
    }
    let quality = whole
        .project
        .monitor
        .as_ref()
        .and_then(|monitor| monitor.quality.as_ref());
    if let Some(file) = quality.and_then(SuiteRef::file) {
        named.push((vec![key("monitor"), key("quality")], file));
    }
    for (steps, file) in named {
        if !whole.exists(file) {
            missing(whole, &steps, file, cx);
        }
    }
}

/// Each trigger waits for something that can happen, and starts something that is there.
pub(super) fn triggers(whole: &Whole<'_>, cx: &mut Cx) {
    let mut names = BTreeSet::new();
    for (index, trigger) in whole.project.on.iter().enumerate() {
        let steps = |rest: &str| vec![key("on"), Step::Index(index), key(rest)];
        can_happen(whole, trigger, &steps, cx);
        can_start(whole, trigger, &steps("do"), cx);
        if let Some(name) = trigger.name.as_ref().filter(|name| !names.insert(name.as_str())) {
            whole.report(&steps("name"), cx, |at| {
                Problem::new(ProblemKind::DuplicateKey, at, "two triggers of one name")
                    .found(quoted(name))
                    .expected("each trigger under a name of its own")
            });
        }
    }
}

fn can_happen(whole: &Whole<'_>, trigger: &Trigger, steps: &dyn Fn(&str) -> Vec<Step>, cx: &mut Cx) {
    let When::Event(event) = &trigger.when else {
        return;
    };
    let monitor = whole.project.monitor.as_ref();
    let (section, watched) = match event {
        Event::GitPush { .. } | Event::DatasetVersion { dataset: None } => return,
        Event::DatasetVersion { dataset: Some(name) } => {
            dataset(whole, &steps("dataset"), name, cx);
            let made = !whole.writers.of_source(&Source::Dataset(name.clone())).is_empty();
            if made && trigger.action != Start::Notify {
                whole.report(&steps("dataset"), cx, |at| {
                    Problem::new(ProblemKind::BadValue, at, "a trigger that sets itself off")
                        .found(format!("\"{name}\", which the pipeline itself writes"))
                        .expected("a dataset that the pipeline only reads")
                });
            }
            return;
        }
        Event::MonitorDrift => (
            "monitor.drift",
            monitor.is_some_and(|monitor| monitor.drift.is_some()),
        ),
        Event::MonitorPerformance => (
            "monitor.performance",
            monitor.is_some_and(|monitor| monitor.performance.is_some()),
        ),
        Event::MonitorQuality => (
            "monitor.quality",
            monitor.is_some_and(|monitor| monitor.quality.is_some()),
        ),
    };
    if !watched {
        let found = format!("a trigger on \"{}\"", event.kind());
        needs(
            whole,
            &steps("event"),
            &found,
            section,
            "what the trigger waits for",
            cx,
        );
    }
}

fn can_start(whole: &Whole<'_>, trigger: &Trigger, steps: &[Step], cx: &mut Cx) {
    let project = whole.project;
    let (section, why) = match trigger.action {
        Start::Retrain | Start::Run if project.stages.is_empty() => ("stages", "the pipeline that it starts"),
        Start::Retrain if project.model.is_none() => ("model", "the model that it trains again"),
        Start::Notify if project.notify.is_empty() => ("notify", "who is told"),
        Start::Retrain | Start::Run | Start::Notify => return,
    };
    let found = format!("a trigger without \"{section}\"");
    needs(whole, steps, &found, section, why, cx);
}
