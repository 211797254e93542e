use std::collections::BTreeMap;
use std::sync::Arc;

use everloop_core::{Hash, ModelName, RunId};
use everloop_tracking::inputs::{self, Dataset, DatasetInput, Direction, ModelLink};
use everloop_tracking::provenance::{self, Code, Environment, Provenance};
use everloop_tracking::{Error, Run, get_many};

use crate::support::{World, worlds};

fn input(name: &str, context: &str) -> DatasetInput {
    DatasetInput {
        dataset: Arc::new(Dataset {
            name: name.to_owned(),
            digest: "d1".to_owned(),
            version: Some(3),
            source_type: "everloop".to_owned(),
            source: format!("dataset:{name}@3"),
            schema: Some("{}".to_owned()),
            profile: None,
        }),
        context: context.to_owned(),
        tags: BTreeMap::from([("split".to_owned(), "a".to_owned())]),
    }
}

async fn log(world: &World, run: &RunId, given: Vec<DatasetInput>) -> Result<(), Error> {
    let (by, run) = (world.by.clone(), run.clone());
    world
        .write(move |tx| inputs::log_datasets(tx, &by, &run, &given))
        .await
}

async fn get(world: &World, ids: &[&RunId]) -> Vec<Run> {
    let (project, ids) = (
        world.by.project.clone(),
        ids.iter().map(|id| (*id).clone()).collect::<Vec<_>>(),
    );
    world.read(move |tx| get_many(tx, &project, &ids)).await.unwrap()
}

#[tokio::test]
async fn datasets_are_recorded_once_and_shared() {
    for world in worlds().await {
        let (one, two) = (world.run().await, world.run().await);
        log(&world, &one, vec![input("flights", "training")])
            .await
            .unwrap();
        let mut again = input("flights", "training");
        again.tags = BTreeMap::from([("more".to_owned(), "b".to_owned())]);
        log(&world, &one, vec![again, input("flights", "evaluation")])
            .await
            .unwrap();
        log(&world, &two, vec![input("flights", "training")])
            .await
            .unwrap();

        let found = get(&world, &[&one, &two]).await;
        let contexts: Vec<&str> = found[0].datasets.iter().map(|d| d.context.as_str()).collect();
        assert_eq!(contexts, ["evaluation", "training"], "{}", world.name);
        assert_eq!(
            found[0].datasets[1].tags.keys().collect::<Vec<_>>(),
            ["more", "split"]
        );
        assert_eq!(found[1].datasets[0], input("flights", "training"));
        assert!(Arc::ptr_eq(
            &found[0].datasets[0].dataset,
            &found[1].datasets[0].dataset
        ));

        let project = world.by.project.clone();
        let users = world
            .read(move |tx| inputs::runs_using(tx, &project, "flights", "d1", 10))
            .await
            .unwrap();
        assert_eq!(users, [two, one]);
    }
}

#[tokio::test]
async fn a_dataset_learns_its_version_but_keeps_its_first_description() {
    for world in worlds().await {
        let run = world.run().await;
        let mut first = input("flights", "");
        let known = Arc::make_mut(&mut first.dataset);
        known.version = None;
        known.source = "first".to_owned();
        log(&world, &run, vec![first]).await.unwrap();
        log(&world, &run, vec![input("flights", "")]).await.unwrap();
        let found = get(&world, &[&run]).await;
        let dataset = &found[0].datasets[0].dataset;
        assert_eq!((dataset.version, dataset.source.as_str()), (Some(3), "first"));
    }
}

#[tokio::test]
async fn inputs_have_limits() {
    for world in worlds().await {
        let run = world.run().await;
        let many = (0..1_001).map(|n| input(&format!("d{n}"), "")).collect();
        assert!(matches!(
            log(&world, &run, many).await,
            Err(Error::TooMany { .. })
        ));
        let nameless = vec![input("ok", ""), input(" ", "")];
        assert!(matches!(
            log(&world, &run, nameless).await,
            Err(Error::InvalidText { .. })
        ));
        assert!(get(&world, &[&run]).await[0].datasets.is_empty());
        world.delete_run(&run).await;
        assert!(matches!(
            log(&world, &run, vec![input("a", "")]).await,
            Err(Error::RunDeleted(_))
        ));
    }
}

#[tokio::test]
async fn models_are_linked_both_ways_and_follow_a_new_name() {
    for world in worlds().await {
        let (maker, user) = (world.run().await, world.run().await);
        let model = ModelName::new("flight delay").unwrap();
        let link = |direction| ModelLink {
            direction,
            model: ModelName::new("flight delay").unwrap(),
            version: 2,
        };
        for (run, direction) in [
            (&maker, Direction::Output),
            (&maker, Direction::Output),
            (&user, Direction::Input),
        ] {
            let (by, run, links) = (world.by.clone(), run.clone(), [link(direction)]);
            world
                .write(move |tx| inputs::log_models(tx, &by, &run, &links))
                .await
                .unwrap();
        }
        assert_eq!(get(&world, &[&maker]).await[0].models, [link(Direction::Output)]);
        for (direction, expected) in [(Direction::Output, &maker), (Direction::Input, &user)] {
            let (project, model) = (world.by.project.clone(), model.clone());
            let found = world
                .read(move |tx| inputs::runs_of_model(tx, &project, &model, 2, direction, 10))
                .await
                .unwrap();
            assert_eq!(
                found,
                std::slice::from_ref(expected),
                "{} {direction:?}",
                world.name
            );
        }
        let (project, from, to) = (world.by.project.clone(), model, ModelName::new("delay").unwrap());
        world
            .write(move |tx| inputs::rename_model(tx, &project, &from, &to))
            .await
            .unwrap();
        assert_eq!(get(&world, &[&user]).await[0].models[0].model.as_str(), "delay");
    }
}

#[tokio::test]
async fn provenance_is_one_document_that_is_found_by_commit() {
    for world in worlds().await {
        let run = world.run().await;
        let (project, of) = (world.by.project.clone(), run.clone());
        let nothing = world
            .read(move |tx| provenance::get(tx, &project, &of))
            .await
            .unwrap();
        assert_eq!(nothing, None);
        let document = Provenance {
            code: Some(Code {
                repo: Some("https://example.org/flights.git".to_owned()),
                commit: "4f2a".to_owned(),
                branch: Some("main".to_owned()),
                dirty: true,
                diff: Some(Hash::of(b"diff")),
            }),
            params: BTreeMap::from([(
                "train".to_owned(),
                serde_json::json!({ "depth": 5, "rates": [0.1] }),
            )]),
            environment: Environment {
                python: Some("3.12.3".to_owned()),
                package_lock: Some(Hash::of(b"lock")),
                os: Some("linux".to_owned()),
                ..Environment::default()
            },
            seed: Some(u64::MAX),
            command: Some("python train.py".to_owned()),
        };
        for commit in ["0000", "4f2a"] {
            let mut version = document.clone();
            version.code.as_mut().unwrap().commit = commit.to_owned();
            let (by, of) = (world.by.clone(), run.clone());
            world
                .write(move |tx| provenance::record(tx, &by, &of, &version))
                .await
                .unwrap();
        }
        let (project, of) = (world.by.project.clone(), run.clone());
        let (found, of_old, of_new) = world
            .read(move |tx| {
                Ok((
                    provenance::get(tx, &project, &of)?,
                    provenance::runs_of_commit(tx, &project, "0000", 10)?,
                    provenance::runs_of_commit(tx, &project, "4f2a", 10)?,
                ))
            })
            .await
            .unwrap();
        assert_eq!(found, Some(document), "{}", world.name);
        assert_eq!((of_old, of_new), (vec![], vec![run]));
    }
}
