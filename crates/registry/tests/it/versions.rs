use std::collections::{BTreeMap, BTreeSet};

use everloop_core::{DatasetName, ModelName, RunId};
use everloop_registry::aliases::Expected;
use everloop_registry::versions::{self, Approval, DatasetRef, ModelVersion, NewVersion, State};
use everloop_registry::{Error, Result, VersionNumber, files, models};

use crate::support::{World, delay, file, onnx, worlds};

async fn get(world: &World, version: u32) -> Option<ModelVersion> {
    let project = world.by.project.clone();
    world
        .read(move |tx| versions::get(tx, &project, &delay(), VersionNumber(version)))
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_given_is_kept() {
    for world in worlds().await {
        let new = NewVersion {
            source: "runs:/abc/model".to_owned(),
            run: Some(RunId::new("abc")),
            task: Some("classification".to_owned()),
            unsafe_format: true,
            signature: Some(serde_json::json!({ "inputs": [{ "name": "distance", "type": "double" }] })),
            metrics: serde_json::from_str(
                r#"{ "auc": { "value": 0.71, "low": 0.7, "high": 0.72, "n": 9000 } }"#,
            )
            .unwrap(),
            datasets: vec![DatasetRef {
                name: DatasetName::new("flights").unwrap(),
                version: 3,
                digest: "d3".to_owned(),
                role: "training".to_owned(),
            }],
            description: "first".to_owned(),
            tags: BTreeMap::from([("team".to_owned(), "ops".to_owned())]),
            ..onnx()
        };
        let given = new.clone();
        assert_eq!(world.pending(new).await, VersionNumber(1));
        let found = get(&world, 1).await.unwrap();
        assert_eq!(
            (found.state, found.approval),
            (State::Pending, Approval::NotAsked)
        );
        assert_eq!(
            (found.source, found.run, found.task),
            (given.source, given.run, given.task)
        );
        assert_eq!((found.flavor.as_str(), found.unsafe_format), ("onnx", true));
        assert_eq!(found.signature, given.signature, "{}", world.name);
        assert_eq!((found.metrics, found.datasets), (given.metrics, given.datasets));
        assert_eq!((found.description, found.tags), (given.description, given.tags));
        assert_eq!((found.size_bytes, found.created_by.as_str()), (14, "local:ada"));
        let event = world.events().await.pop().unwrap();
        assert_eq!(
            (event.kind.as_str(), event.subject.as_str()),
            ("model.version", "model:flight delay@1")
        );
        assert_eq!(event.payload["content"], found.content.to_hex());
    }
}

#[tokio::test]
async fn sixty_four_at_once_get_the_numbers_one_to_sixty_four() {
    for world in worlds().await {
        let by = world.by.clone();
        world
            .write(move |tx| models::ensure(tx, &by, &delay()))
            .await
            .unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..96 {
            let (db, by) = (world.db.clone(), world.by.clone());
            tasks.spawn(async move {
                let made: Result<VersionNumber> = db
                    .write(move |tx| {
                        let version = versions::create(tx, &by, &delay(), &onnx())?;
                        // A third of them fails after taking a number, which must leave no gap.
                        if n % 3 == 2 {
                            return Err(Error::NoModel(delay()));
                        }
                        Ok(version)
                    })
                    .await;
                made.ok().map(|version| version.0)
            });
        }
        let numbers: Vec<u32> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(numbers.len(), 64, "{}", world.name);
        assert_eq!(
            numbers.into_iter().collect::<BTreeSet<_>>(),
            (1..=64).collect(),
            "{}",
            world.name
        );
        let told = world
            .kinds()
            .await
            .into_iter()
            .filter(|kind| kind == "model.version");
        assert_eq!(told.count(), 64);
    }
}

#[tokio::test]
async fn a_pending_version_is_settled_once() {
    for world in worlds().await {
        let (good, bad) = (world.pending(onnx()).await, world.pending(onnx()).await);
        let ready = |version| {
            let by = world.by.clone();
            world.write(move |tx| versions::mark_ready(tx, &by, &delay(), version))
        };
        let failed = |version| {
            let by = world.by.clone();
            world.write(move |tx| versions::mark_failed(tx, &by, &delay(), version, "no such operator"))
        };
        for _ in 0..2 {
            ready(good).await.unwrap();
            failed(bad).await.unwrap();
        }
        let refused = failed(good).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "version 1 of model \"flight delay\" is ready"
        );
        assert!(matches!(
            ready(bad).await,
            Err(Error::VersionState {
                found: State::Failed,
                ..
            })
        ));
        assert!(matches!(
            ready(VersionNumber(9)).await,
            Err(Error::NoVersion { .. })
        ));
        assert_eq!(get(&world, 2).await.unwrap().state_message, "no such operator");
        let kinds = world.kinds().await;
        assert_eq!(
            kinds[3..],
            ["model.version.ready", "model.version.failed"],
            "{}",
            world.name
        );
    }
}

#[tokio::test]
async fn versions_are_listed_newest_first_and_found_by_run() {
    for world in worlds().await {
        for n in 1..=5_u32 {
            let run = if n % 2 == 0 { "even" } else { "odd" };
            let new = NewVersion {
                run: Some(RunId::new(run)),
                ..onnx()
            };
            let version = world.pending(new).await;
            if n < 4 {
                let by = world.by.clone();
                world
                    .write(move |tx| versions::mark_ready(tx, &by, &delay(), version))
                    .await
                    .unwrap();
            }
        }
        world
            .move_alias(1, "champion", 2, Expected::Nothing)
            .await
            .unwrap();
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let project = world.by.project.clone();
            let page = world
                .read(move |tx| versions::list(tx, &project, &delay(), before, 2))
                .await
                .unwrap();
            found.extend(page.items);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        let numbers: Vec<u32> = found.iter().map(|version| version.version.0).collect();
        assert_eq!(numbers, [5, 4, 3, 2, 1], "{}", world.name);
        assert_eq!(found[3].aliases, ["champion"]);
        let project = world.by.project.clone();
        let (newest, newest_ready, even) = world
            .read(move |tx| {
                Ok((
                    versions::latest(tx, &project, &delay(), None)?,
                    versions::latest(tx, &project, &delay(), Some(State::Ready))?,
                    versions::of_run(tx, &project, &RunId::new("even"))?,
                ))
            })
            .await
            .unwrap();
        assert_eq!(
            (newest.unwrap().version.0, newest_ready.unwrap().version.0),
            (5, 3)
        );
        assert_eq!(
            even.iter().map(|version| version.version.0).collect::<Vec<_>>(),
            [2, 4]
        );
    }
}

#[tokio::test]
async fn statements_do_not_grow_with_the_page() {
    for world in worlds().await {
        for _ in 0..40 {
            world.pending(onnx()).await;
        }
        let mut counts = Vec::new();
        for limit in [1, 40] {
            let before = world.db.stats().statements;
            let project = world.by.project.clone();
            let page = world
                .read(move |tx| versions::list(tx, &project, &delay(), None, limit))
                .await
                .unwrap();
            assert_eq!(page.items.len(), limit);
            counts.push(world.db.stats().statements - before);
        }
        assert_eq!(counts, [4, 4], "{}", world.name);
    }
}

#[tokio::test]
async fn deleting_needs_a_version_without_alias_and_never_frees_a_number() {
    for world in worlds().await {
        world.ready().await;
        let last = world.ready().await;
        world
            .move_alias(1, "champion", 2, Expected::Nothing)
            .await
            .unwrap();
        let delete = |version| {
            let by = world.by.clone();
            world.write(move |tx| versions::delete(tx, &by, &delay(), version))
        };
        let refused = delete(last).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "version 2 of model \"flight delay\" can't be deleted: alias \"champion\" points at it"
        );
        world
            .move_alias(2, "champion", 1, Expected::Version(last))
            .await
            .unwrap();
        delete(last).await.unwrap();
        assert!(matches!(delete(last).await, Err(Error::NoVersion { .. })));
        assert_eq!(get(&world, 2).await, None);
        assert_eq!(world.pending(onnx()).await, VersionNumber(3), "{}", world.name);
        assert!(world.kinds().await.contains(&"model.version.deleted".to_owned()));
    }
}

#[tokio::test]
async fn files_are_listed_by_path_and_make_the_content() {
    for world in worlds().await {
        world.pending(onnx()).await;
        let mut same = onnx();
        same.files.reverse();
        world.pending(same).await;
        let mut other = onnx();
        other.files.push(file("requirements.txt", "onnx"));
        world.pending(other).await;
        let mut contents = Vec::new();
        for version in 1..=3 {
            contents.push(get(&world, version).await.unwrap().content);
        }
        assert_eq!(contents[0], contents[1], "{}", world.name);
        assert_ne!(contents[0], contents[2]);
        let project = world.by.project.clone();
        let (all, page) = world
            .read(move |tx| {
                let all = files::all(tx, &project, &delay(), VersionNumber(3))?;
                let page = files::list(tx, &project, &delay(), VersionNumber(3), Some(&all[0].path), 1)?;
                Ok((all, page))
            })
            .await
            .unwrap();
        let paths: Vec<&str> = all.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["MLmodel", "data/model.onnx", "requirements.txt"]);
        assert_eq!(
            (page.items, page.next),
            (vec![all[1].clone()], Some(all[1].path.clone()))
        );
    }
}

#[tokio::test]
async fn versions_need_a_model_and_a_flavor() {
    for world in worlds().await {
        let create = |name: &str, new: NewVersion| {
            let (by, name) = (world.by.clone(), ModelName::new(name).unwrap());
            world.write(move |tx| versions::create(tx, &by, &name, &new))
        };
        assert!(matches!(create("nobody", onnx()).await, Err(Error::NoModel(_))));
        world.pending(onnx()).await;
        let nameless = NewVersion {
            flavor: " ".to_owned(),
            ..onnx()
        };
        assert!(matches!(
            create("flight delay", nameless).await,
            Err(Error::InvalidText { .. })
        ));
        let twice = NewVersion {
            files: vec![file("a", "1"), file("a", "2")],
            ..onnx()
        };
        assert!(matches!(
            create("flight delay", twice).await,
            Err(Error::DuplicateFile(_))
        ));
        assert_eq!(world.pending(onnx()).await, VersionNumber(2), "{}", world.name);
    }
}
