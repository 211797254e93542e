use everloop_core::{AliasName, Timestamp};
use everloop_registry::aliases::{self, Expected, Span};
use everloop_registry::versions::State;
use everloop_registry::{Error, Result, VersionNumber};

use crate::support::{START, World, delay, onnx, worlds};

fn champion() -> AliasName {
    AliasName::new("champion").unwrap()
}

async fn as_of(world: &World, millis: i64) -> Option<Span> {
    let project = world.by.project.clone();
    world
        .read(move |tx| aliases::as_of(tx, &project, &delay(), &champion(), Timestamp(START.0 + millis)))
        .await
        .unwrap()
}

async fn history(world: &World) -> Vec<Span> {
    let project = world.by.project.clone();
    let page = world
        .read(move |tx| aliases::history(tx, &project, &delay(), &champion(), None, 100))
        .await
        .unwrap();
    page.items
}

#[tokio::test]
async fn a_move_is_kept_with_who_when_why_and_the_decision() {
    for world in worlds().await {
        world.ready().await;
        world.ready().await;
        world
            .move_alias(10, "champion", 1, Expected::Nothing)
            .await
            .unwrap();
        world
            .move_alias(20, "champion", 2, Expected::Version(VersionNumber(1)))
            .await
            .unwrap();
        assert_eq!(as_of(&world, 9).await, None);
        assert_eq!(as_of(&world, 10).await.unwrap().version.0, 1);
        assert_eq!(as_of(&world, 19).await.unwrap().version.0, 1);
        let now = as_of(&world, 20).await.unwrap();
        assert_eq!(
            (now.version.0, now.from, now.to),
            (2, world.at(20).at, None),
            "{}",
            world.name
        );
        assert_eq!(now.actor.to_string(), "local:ada");
        assert_eq!((now.why.as_str(), &now.ended), ("move at 20", &None));
        let before = as_of(&world, 19).await.unwrap();
        assert_eq!(before.ended.unwrap().1, "move at 20");
        assert_eq!(now.decision.unwrap().as_str(), "decision-20");
        let event = world.events().await.pop().unwrap();
        assert_eq!((event.kind.as_str(), event.seq.0), ("alias.moved", now.seq));
        assert_eq!(event.subject, "model:flight delay@2");
        assert_eq!(
            event.payload,
            serde_json::json!({
                "alias": "champion", "from": 1, "to": 2, "decision": "decision-20", "why": "move at 20"
            })
        );
        let project = world.by.project.clone();
        let version = world
            .read(move |tx| aliases::get(tx, &project, &delay(), &champion()))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (version.version.0, version.aliases),
            (2, vec!["champion".to_owned()])
        );
    }
}

#[tokio::test]
async fn a_move_from_elsewhere_than_expected_is_refused() {
    for world in worlds().await {
        world.ready().await;
        world.ready().await;
        let early = world
            .move_alias(1, "champion", 1, Expected::Version(VersionNumber(2)))
            .await
            .unwrap_err();
        assert_eq!(
            early.to_string(),
            "alias \"champion\" of model \"flight delay\" points at nothing, not at version 2 as expected"
        );
        world
            .move_alias(2, "champion", 1, Expected::Nothing)
            .await
            .unwrap();
        let late = world
            .move_alias(3, "champion", 2, Expected::Nothing)
            .await
            .unwrap_err();
        assert!(matches!(
            late,
            Error::AliasMoved {
                expected: None,
                found: Some(VersionNumber(1)),
                ..
            }
        ));
        // To where it points already is no move, but the expectation still holds.
        world
            .move_alias(4, "champion", 1, Expected::Version(VersionNumber(1)))
            .await
            .unwrap();
        world
            .move_alias(5, "champion", 1, Expected::Anything)
            .await
            .unwrap();
        assert!(
            world
                .move_alias(6, "champion", 1, Expected::Nothing)
                .await
                .is_err()
        );
        assert_eq!(history(&world).await.len(), 1, "{}", world.name);
    }
}

#[tokio::test]
async fn of_many_who_move_from_one_place_exactly_one_wins() {
    for world in worlds().await {
        for _ in 0..17 {
            world.ready().await;
        }
        world
            .move_alias(0, "champion", 17, Expected::Nothing)
            .await
            .unwrap();
        let world = std::sync::Arc::new(world);
        let mut tasks = tokio::task::JoinSet::new();
        for n in 1..=16_u32 {
            let world = std::sync::Arc::clone(&world);
            tasks.spawn(async move {
                let expected = Expected::Version(VersionNumber(17));
                (n, world.move_alias(i64::from(n), "champion", n, expected).await)
            });
        }
        let outcomes: Vec<(u32, Result<()>)> = tasks.join_all().await;
        let winners: Vec<u32> = outcomes
            .iter()
            .filter(|(_, moved)| moved.is_ok())
            .map(|(n, _)| *n)
            .collect();
        assert_eq!(winners.len(), 1, "{} {outcomes:?}", world.name);
        for (_, moved) in outcomes {
            assert!(
                matches!(moved, Ok(()) | Err(Error::AliasMoved { .. })),
                "{moved:?}"
            );
        }
        let spans = history(&world).await;
        assert_eq!((spans.len(), spans[0].version.0), (2, winners[0]));
    }
}

#[tokio::test]
async fn only_ready_versions_can_be_pointed_at() {
    for world in worlds().await {
        world.pending(onnx()).await;
        let refused = world.move_alias(1, "champion", 1, Expected::Nothing).await;
        assert!(matches!(
            refused,
            Err(Error::VersionState {
                found: State::Pending,
                ..
            })
        ));
        let absent = world.move_alias(1, "champion", 9, Expected::Nothing).await;
        assert!(matches!(absent, Err(Error::NoVersion { .. })));
        let reserved = world.move_alias(1, "v1", 1, Expected::Nothing).await;
        assert!(matches!(reserved, Err(Error::ReservedAlias(_))));
        assert_eq!(
            world.kinds().await,
            ["model.created", "model.version"],
            "{}",
            world.name
        );
    }
}

#[tokio::test]
async fn a_removed_alias_points_nowhere_and_keeps_its_history() {
    for world in worlds().await {
        world.ready().await;
        world
            .move_alias(10, "champion", 1, Expected::Nothing)
            .await
            .unwrap();
        let remove = |millis: i64, expected: Expected| {
            let by = world.at(millis);
            world.write(move |tx| aliases::remove(tx, &by, &delay(), &champion(), expected, "retired"))
        };
        let wrong = remove(20, Expected::Version(VersionNumber(5))).await;
        assert!(matches!(wrong, Err(Error::AliasMoved { .. })));
        remove(20, Expected::Version(VersionNumber(1))).await.unwrap();
        assert!(matches!(
            remove(30, Expected::Anything).await,
            Err(Error::NoAlias { .. })
        ));
        assert_eq!(as_of(&world, 25).await, None);
        let before = as_of(&world, 15).await.unwrap();
        assert_eq!(before.to, Some(world.at(20).at));
        assert_eq!(before.ended, Some((world.by.actor.clone(), "retired".to_owned())));
        world
            .move_alias(40, "champion", 1, Expected::Nothing)
            .await
            .unwrap();
        assert_eq!(as_of(&world, 30).await, None);
        assert_eq!(as_of(&world, 40).await.unwrap().version.0, 1);
        assert_eq!(history(&world).await.len(), 2, "{}", world.name);
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_turn_history_round() {
    for world in worlds().await {
        world.ready().await;
        world.ready().await;
        world
            .move_alias(100, "champion", 1, Expected::Nothing)
            .await
            .unwrap();
        world
            .move_alias(50, "champion", 2, Expected::Anything)
            .await
            .unwrap();
        assert_eq!(as_of(&world, 75).await, None);
        assert_eq!(as_of(&world, 100).await.unwrap().version.0, 2, "{}", world.name);
        let spans = history(&world).await;
        assert_eq!(
            (spans[0].from, spans[1].to),
            (world.at(100).at, Some(world.at(100).at))
        );
    }
}

#[tokio::test]
async fn aliases_of_one_model_are_their_own() {
    for world in worlds().await {
        world.ready().await;
        world.ready().await;
        world
            .move_alias(1, "champion", 1, Expected::Nothing)
            .await
            .unwrap();
        world
            .move_alias(2, "challenger", 2, Expected::Nothing)
            .await
            .unwrap();
        let project = world.by.project.clone();
        let all = world
            .read(move |tx| aliases::all(tx, &project, &delay()))
            .await
            .unwrap();
        let places: Vec<(&str, u32)> = all
            .iter()
            .map(|span| (span.alias.as_str(), span.version.0))
            .collect();
        assert_eq!(places, [("challenger", 2), ("champion", 1)], "{}", world.name);
        let project = world.by.project.clone();
        let page = world
            .read(move |tx| aliases::history(tx, &project, &delay(), &champion(), None, 1))
            .await
            .unwrap();
        assert_eq!((page.items.len(), page.next), (1, None));
    }
}
