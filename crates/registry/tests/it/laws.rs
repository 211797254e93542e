//! The history of an alias, for any sequence of moves, against a plain list of what pointed where.

use everloop_core::{AliasName, Timestamp};
use everloop_registry::aliases::{self, Expected, Span};
use everloop_registry::{Error, Result, VersionNumber, models};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{START, World, delay, worlds};

const VERSIONS: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    /// Move to a version, expecting some place, after so many milliseconds (or back).
    Set(u32, Option<Option<u32>>, i64),
    /// Remove, after so many milliseconds.
    Remove(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let span = -2_i64..4;
    let expected = proptest::option::of(proptest::option::of(1..=VERSIONS));
    prop_oneof![
        4 => (1..=VERSIONS, expected, span.clone()).prop_map(|(to, expected, span)| Step::Set(to, expected, span)),
        1 => span.prop_map(Step::Remove),
    ]
}

/// What pointed where, as a list of changes in the order they were made.
#[derive(Default)]
struct Plain(Vec<(i64, Option<u32>)>);

impl Plain {
    fn now(&self) -> Option<u32> {
        self.0.last().and_then(|(_, place)| *place)
    }

    fn change(&mut self, at: i64, place: Option<u32>) {
        let last = self.0.last().map_or(i64::MIN, |(at, _)| *at);
        self.0.push((at.max(last), place));
    }

    fn as_of(&self, at: i64) -> Option<u32> {
        self.0
            .iter()
            .rev()
            .find(|(from, _)| *from <= at)
            .and_then(|(_, place)| *place)
    }
}

#[test]
fn history_says_what_pointed_where_at_every_moment() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for world in runtime.block_on(worlds()) {
        for _ in 0..VERSIONS {
            runtime.block_on(world.ready());
        }
        let names = std::sync::atomic::AtomicU32::new(0);
        TestRunner::new(Config::with_cases(48))
            .run(&vec(step(), 1..12), |steps| {
                // A new alias for each case, so that cases don't see each other.
                let n = names.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                runtime.block_on(check(&world, &format!("alias-{n}"), steps));
                Ok(())
            })
            .unwrap();
    }
}

async fn check(world: &World, alias: &str, steps: Vec<Step>) {
    let mut plain = Plain::default();
    let mut now = 0;
    for step in steps {
        match step {
            Step::Set(to, expected, span) => {
                now += span;
                let may = expected.is_none_or(|place| place == plain.now());
                let moved = world.move_alias(now, alias, to, expectation(expected)).await;
                assert_eq!(moved.is_ok(), may, "{moved:?}");
                if may && plain.now() != Some(to) {
                    plain.change(now, Some(to));
                }
            }
            Step::Remove(span) => {
                now += span;
                let removed = remove(world, alias, now).await;
                match plain.now() {
                    Some(_) => {
                        removed.unwrap();
                        plain.change(now, None);
                    }
                    None => assert!(matches!(removed, Err(Error::NoAlias { .. }))),
                }
            }
        }
    }
    for at in -3..(now.max(0) + 40) {
        let found = as_of(world, alias, at).await.map(|span| span.version.0);
        assert_eq!(found, plain.as_of(at), "at {at}: {:?}", plain.0);
    }
    let (project, name) = (world.by.project.clone(), AliasName::new(alias).unwrap());
    let (current, spans) = world
        .read(move |tx| {
            let current = models::get(tx, &project, &delay())?;
            let spans = aliases::history(tx, &project, &delay(), &name, None, 100)?;
            Ok((current.unwrap(), spans.items))
        })
        .await
        .unwrap();
    assert_eq!(current.aliases.get(alias).map(|version| version.0), plain.now());
    assert_eq!(
        spans.len(),
        plain.0.iter().filter(|(_, place)| place.is_some()).count()
    );
    for pair in spans.windows(2) {
        // Newest first: the older one ended before, or when, the newer one began.
        assert!(pair[1].to.unwrap() <= pair[0].from, "{spans:?}");
    }
}

fn expectation(place: Option<Option<u32>>) -> Expected {
    match place {
        None => Expected::Anything,
        Some(None) => Expected::Nothing,
        Some(Some(version)) => Expected::Version(VersionNumber(version)),
    }
}

async fn remove(world: &World, alias: &str, millis: i64) -> Result<()> {
    let (by, alias) = (world.at(millis), AliasName::new(alias).unwrap());
    world
        .write(move |tx| aliases::remove(tx, &by, &delay(), &alias, Expected::Anything, "retired"))
        .await
}

async fn as_of(world: &World, alias: &str, millis: i64) -> Option<Span> {
    let (project, alias) = (world.by.project.clone(), AliasName::new(alias).unwrap());
    world
        .read(move |tx| aliases::as_of(tx, &project, &delay(), &alias, Timestamp(START.0 + millis)))
        .await
        .unwrap()
}
