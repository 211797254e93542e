//! Laws that hold for any sequence of calls, tried against plain collections.

use std::collections::{BTreeMap, BTreeSet};

use everloop_core::{ArtifactPath, Hash, Timestamp};
use everloop_tracking::artifacts::{self, Entry, File};
use everloop_tracking::{Batch, Error, Result, log_batch, metrics};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{World, worlds};

/// Runs `law` for many inputs on each database, which is slower than memory: fewer inputs than usual.
fn for_all<S: Strategy>(strategy: S, law: impl Fn(&tokio::runtime::Runtime, &World, S::Value)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for world in runtime.block_on(worlds()) {
        TestRunner::new(Config::with_cases(48))
            .run(&strategy, |input| {
                law(&runtime, &world, input);
                Ok(())
            })
            .unwrap();
    }
}

/// A point as it is compared: the value by its place in the order, NaN as 0 after 0.
type Point = (i64, i64, f64, bool);

fn point() -> impl Strategy<Value = (f64, i64, i64)> {
    let value = prop_oneof![
        Just(f64::NAN),
        Just(0.0),
        Just(-1.0),
        Just(f64::INFINITY),
        Just(2.5)
    ];
    (value, 0_i64..4, -2_i64..3)
}

fn comparable(value: f64) -> (f64, bool) {
    match value {
        v if v.is_nan() => (0.0, true),
        v => (v.clamp(f64::MIN, f64::MAX), false),
    }
}

#[test]
fn metrics_keep_the_set_of_points_and_the_greatest_as_latest() {
    for_all(vec(vec(point(), 1..8), 1..5), |runtime, world, batches| {
        let run = runtime.block_on(world.run());
        let mut expected: Vec<Point> = Vec::new();
        let mut latest: Option<(i64, i64, f64)> = None;
        for points in batches {
            let mut batch = Batch::default();
            for (value, at, step) in points {
                batch.metric("m", value, Timestamp(at), step).unwrap();
                let (number, nan) = comparable(value);
                if !expected.contains(&(at, step, number, nan)) {
                    expected.push((at, step, number, nan));
                }
                let head = (step, at, number);
                latest = latest.filter(|old| *old >= head).or(Some(head));
            }
            let (by, run) = (world.by.clone(), run.clone());
            runtime
                .block_on(world.write(move |tx| log_batch(tx, &by, &run, &batch)))
                .unwrap();
        }
        expected.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let project = world.by.project.clone();
        let (history, heads) = runtime
            .block_on(world.read(move |tx| {
                let history = metrics::history(tx, &project, &run, "m", None, 1_000)?;
                Ok((history.items, metrics::latest(tx, &project, &run)?))
            }))
            .unwrap();
        let found: Vec<Point> = history
            .iter()
            .map(|p| {
                let (number, nan) = comparable(p.value);
                (p.at.0, p.step, number, nan)
            })
            .collect();
        assert_eq!(found, expected);
        let head = &heads[0];
        assert_eq!(Some((head.step, head.at.0, comparable(head.value).0)), latest);
    });
}

#[derive(Debug, Clone)]
enum Step {
    Record(Vec<String>),
    Delete(String),
}

fn step() -> impl Strategy<Value = Step> {
    let path = vec("[ab]", 1..4).prop_map(|parts| parts.join("/"));
    prop_oneof![
        vec(path.clone(), 1..3).prop_map(Step::Record),
        path.prop_map(Step::Delete),
    ]
}

/// The artifacts of a run as a plain set of paths.
#[derive(Default)]
struct Plain(BTreeSet<String>);

impl Plain {
    fn is_folder(&self, path: &str) -> bool {
        self.0.iter().any(|file| file.starts_with(&format!("{path}/")))
    }

    fn record(&mut self, paths: &[String]) -> bool {
        let mut next = Self(self.0.clone());
        next.0.extend(paths.iter().cloned());
        let clash = next.0.iter().any(|file| next.is_folder(file));
        if !clash {
            *self = next;
        }
        !clash
    }

    fn delete(&mut self, path: &str) -> u64 {
        let before = self.0.len();
        self.0
            .retain(|file| file != path && !file.starts_with(&format!("{path}/")));
        (before - self.0.len()) as u64
    }

    fn level(&self, folder: &str) -> BTreeMap<String, bool> {
        let prefix = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        self.0
            .iter()
            .filter_map(|file| file.strip_prefix(&prefix))
            .map(|rest| match rest.split_once('/') {
                Some((name, _)) => (name.to_owned(), true),
                None => (rest.to_owned(), false),
            })
            .collect()
    }
}

#[test]
fn the_artifact_tree_is_what_its_set_of_paths_says() {
    for_all(vec(step(), 1..12), |runtime, world, steps| {
        let run = runtime.block_on(world.run());
        let mut plain = Plain::default();
        for step in steps {
            let (by, of) = (world.by.clone(), run.clone());
            match step {
                Step::Record(paths) => {
                    let files: Vec<File> = paths.iter().map(|path| file(path)).collect();
                    let recorded: Result<()> =
                        runtime.block_on(world.write(move |tx| artifacts::record(tx, &by, &of, &files)));
                    assert_eq!(recorded.is_ok(), plain.record(&paths), "{recorded:?}");
                }
                Step::Delete(path) => {
                    let at = ArtifactPath::new(path.clone()).unwrap();
                    let deleted: Result<u64> =
                        runtime.block_on(world.write(move |tx| artifacts::delete(tx, &by, &of, &at)));
                    match (plain.delete(&path), deleted) {
                        (0, deleted) => assert!(matches!(deleted, Err(Error::NoArtifact { .. }))),
                        (gone, deleted) => assert_eq!(deleted.unwrap(), gone),
                    }
                }
            }
            for folder in ["", "a", "b", "a/a", "a/b", "b/a", "b/b"] {
                assert_eq!(
                    level(runtime, world, &run, folder),
                    plain.level(folder),
                    "{folder}"
                );
            }
        }
    });
}

fn file(path: &str) -> File {
    File {
        path: ArtifactPath::new(path).unwrap(),
        hash: Hash::of(path.as_bytes()),
        size_bytes: 1,
    }
}

fn level(
    runtime: &tokio::runtime::Runtime,
    world: &World,
    run: &everloop_core::RunId,
    folder: &str,
) -> BTreeMap<String, bool> {
    let (project, run) = (world.by.project.clone(), run.clone());
    let folder = (!folder.is_empty()).then(|| ArtifactPath::new(folder).unwrap());
    let page = runtime
        .block_on(world.read(move |tx| artifacts::list(tx, &project, &run, folder.as_ref(), None, 100)))
        .unwrap();
    page.items
        .into_iter()
        .map(|entry| {
            let name = entry.path().name().to_owned();
            (name, matches!(entry, Entry::Folder(_)))
        })
        .collect()
}
