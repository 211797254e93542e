use std::collections::BTreeSet;

use everloop_core::{Coded, ExperimentId};
use everloop_tracking::experiments::{self, Cursor, Experiment, NewExperiment};
use everloop_tracking::runs::{self, Filter, NewRun};
use everloop_tracking::{Error, Lifecycle, Result};

use crate::support::{World, by, worlds};

async fn create(world: &World, name: &str) -> Result<ExperimentId> {
    let (by, new) = (world.by.clone(), NewExperiment::named(name));
    world.write(move |tx| experiments::create(tx, &by, &new)).await
}

async fn get(world: &World, id: &ExperimentId) -> Option<Experiment> {
    let (project, id) = (world.by.project.clone(), id.clone());
    world
        .read(move |tx| experiments::get(tx, &project, &id))
        .await
        .unwrap()
}

#[tokio::test]
async fn created_experiments_are_found_by_id_and_name() {
    for world in worlds().await {
        let id = create(&world, "delays").await.unwrap();
        assert_eq!(id.as_str(), "1", "{}", world.name);
        let found = get(&world, &id).await.unwrap();
        assert_eq!(
            (found.name.as_str(), found.created_by.as_str()),
            ("delays", "local:ada")
        );
        let project = world.by.project.clone();
        let same = world
            .read(move |tx| experiments::get_by_name(tx, &project, "delays"))
            .await
            .unwrap();
        assert_eq!(same, Some(found));
        assert_eq!(get(&world, &ExperimentId::new("99")).await, None);
        assert_eq!(
            world.events().await,
            [("experiment.created".to_owned(), "experiment:1".to_owned())]
        );
    }
}

#[tokio::test]
async fn names_are_taken_also_by_the_deleted() {
    for world in worlds().await {
        let id = create(&world, "delays").await.unwrap();
        let again = create(&world, "delays").await.unwrap_err();
        assert_eq!(again.to_string(), "experiment \"delays\" exists already");
        let (by, gone) = (world.by.clone(), id.clone());
        world
            .write(move |tx| experiments::delete(tx, &by, &gone))
            .await
            .unwrap();
        let again = create(&world, "delays").await.unwrap_err();
        assert!(
            matches!(again, Error::ExperimentExists { deleted: true, .. }),
            "{again}"
        );
        assert_eq!(again.hint().unwrap(), "restore it, or take another name");
        // What failed left no ledger row behind, and took no number.
        assert_eq!(world.kinds().await, ["experiment.created", "experiment.deleted"]);
        assert_eq!(create(&world, "other").await.unwrap().as_str(), "2");
    }
}

#[tokio::test]
async fn projects_have_their_own_names_and_numbers() {
    for world in worlds().await {
        create(&world, "delays").await.unwrap();
        let other = by("weather", 0);
        let id = world
            .write(move |tx| {
                experiments::ensure_default(tx, &other)?;
                experiments::create(tx, &other, &NewExperiment::named("delays"))
            })
            .await
            .unwrap();
        assert_eq!(id.as_str(), "1");
        assert_eq!(get(&world, &ExperimentId::new("0")).await, None);
    }
}

#[tokio::test]
async fn the_default_experiment_is_number_zero_and_made_once() {
    for world in worlds().await {
        for _ in 0..2 {
            let by = world.by.clone();
            let id = world
                .write(move |tx| experiments::ensure_default(tx, &by))
                .await
                .unwrap();
            assert_eq!(id.as_str(), "0");
        }
        assert_eq!(world.kinds().await, ["experiment.created"]);
        assert_eq!(create(&world, "first").await.unwrap().as_str(), "1");
    }
}

#[tokio::test]
async fn a_number_that_was_brought_along_is_not_given_again() {
    for world in worlds().await {
        let imported = NewExperiment {
            id: Some(ExperimentId::new("41")),
            ..NewExperiment::named("imported")
        };
        let (by, new) = (world.by.clone(), imported.clone());
        world
            .write(move |tx| experiments::create(tx, &by, &new))
            .await
            .unwrap();
        let (by, new) = (
            world.by.clone(),
            NewExperiment {
                name: "other".to_owned(),
                ..imported
            },
        );
        let taken = world.write(move |tx| experiments::create(tx, &by, &new)).await;
        assert!(matches!(taken, Err(Error::ExperimentExists { what, .. }) if what == "41"));
        assert_eq!(create(&world, "next").await.unwrap().as_str(), "42");
    }
}

#[tokio::test]
async fn sixty_four_at_once_get_sixty_four_numbers() {
    for world in worlds().await {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..64 {
            let (db, by) = (world.db.clone(), world.by.clone());
            let new = NewExperiment::named(format!("e{n}"));
            tasks.spawn(async move { db.write(move |tx| experiments::create(tx, &by, &new)).await });
        }
        let numbers: BTreeSet<u32> = tasks
            .join_all()
            .await
            .into_iter()
            .map(|id: Result<ExperimentId>| id.unwrap().as_str().parse().unwrap())
            .collect();
        assert_eq!(numbers, (1..=64).collect(), "{}", world.name);
    }
}

#[tokio::test]
async fn one_of_many_who_want_a_name_gets_it() {
    for world in worlds().await {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (db, by) = (world.db.clone(), world.by.clone());
            tasks.spawn(async move {
                let made: Result<ExperimentId> = db
                    .write(move |tx| experiments::create(tx, &by, &NewExperiment::named("delays")))
                    .await;
                made
            });
        }
        let made = tasks.join_all().await;
        assert_eq!(
            made.iter().filter(|made| made.is_ok()).count(),
            1,
            "{}",
            world.name
        );
        let refused = made
            .iter()
            .filter(|made| matches!(made, Err(Error::ExperimentExists { .. })));
        assert_eq!(refused.count(), 15);
        assert_eq!(world.kinds().await, ["experiment.created"]);
    }
}

#[tokio::test]
async fn lists_are_newest_first_and_pages_join_without_gaps() {
    for world in worlds().await {
        // Two of each moment, so that the order within a moment matters.
        for n in 0..7 {
            let (by, new) = (world.at(n / 2), NewExperiment::named(format!("e{n}")));
            world
                .write(move |tx| experiments::create(tx, &by, &new))
                .await
                .unwrap();
        }
        let (by, gone) = (world.by.clone(), ExperimentId::new("3"));
        world
            .write(move |tx| experiments::delete(tx, &by, &gone))
            .await
            .unwrap();
        for (lifecycle, expected) in [
            (Lifecycle::Active, vec!["7", "6", "5", "4", "2", "1"]),
            (Lifecycle::Deleted, vec!["3"]),
            (Lifecycle::All, vec!["7", "6", "5", "4", "3", "2", "1"]),
        ] {
            let mut found = Vec::new();
            let mut after: Option<Cursor> = None;
            loop {
                let project = world.by.project.clone();
                let page = world
                    .read(move |tx| experiments::list(tx, &project, lifecycle, after.as_ref(), 2))
                    .await
                    .unwrap();
                found.extend(page.items.into_iter().map(|e| e.id.to_string()));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{} {lifecycle:?}", world.name);
        }
    }
}

#[tokio::test]
async fn deleting_takes_the_runs_along_and_restoring_brings_them_back() {
    for world in worlds().await {
        let id = create(&world, "delays").await.unwrap();
        let run = world
            .create(&world.by, NewRun::new(world.ids.run(), id.clone()))
            .await
            .unwrap()
            .id;
        let (by, gone) = (world.at(5), id.clone());
        world
            .write(move |tx| experiments::delete(tx, &by, &gone))
            .await
            .unwrap();
        assert_eq!(get(&world, &id).await.unwrap().deleted_at, Some(world.at(5).at));

        let (project, gone) = (world.by.project.clone(), run.clone());
        let found = world
            .read(move |tx| runs::get(tx, &project, &gone))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.deleted_at, Some(world.at(5).at));
        let refused = world
            .create(&world.by, NewRun::new(world.ids.run(), id.clone()))
            .await;
        assert!(matches!(refused, Err(Error::ExperimentDeleted(_))));
        let (by, alone) = (world.by.clone(), run.clone());
        let refused = world.write(move |tx| runs::restore(tx, &by, &alone)).await;
        assert!(matches!(refused, Err(Error::ExperimentDeleted(_))));
        let (by, twice) = (world.by.clone(), id.clone());
        let refused = world.write(move |tx| experiments::delete(tx, &by, &twice)).await;
        assert!(matches!(refused, Err(Error::ExperimentDeleted(_))));

        let (by, back) = (world.at(9), id.clone());
        world
            .write(move |tx| experiments::restore(tx, &by, &back))
            .await
            .unwrap();
        let (project, filter) = (world.by.project.clone(), Filter::of(id.clone()));
        let living = world
            .read(move |tx| runs::count(tx, &project, &filter))
            .await
            .unwrap();
        assert_eq!(living, 1);
        let (by, twice) = (world.by.clone(), id);
        let refused = world.write(move |tx| experiments::restore(tx, &by, &twice)).await;
        assert!(matches!(refused, Err(Error::ExperimentNotDeleted(_))));
        assert_eq!(
            world.kinds().await,
            [
                "experiment.created",
                "run.created",
                "experiment.deleted",
                "experiment.restored"
            ]
        );
    }
}

#[tokio::test]
async fn renaming_keeps_the_id_and_refuses_taken_names() {
    for world in worlds().await {
        let id = create(&world, "delays").await.unwrap();
        create(&world, "taken").await.unwrap();
        let rename = |name: &'static str| {
            let (by, id) = (world.at(3), id.clone());
            world.write(move |tx| experiments::rename(tx, &by, &id, name))
        };
        assert!(matches!(
            rename("taken").await,
            Err(Error::ExperimentExists { .. })
        ));
        assert!(matches!(rename(" ").await, Err(Error::InvalidText { .. })));
        rename("late arrivals").await.unwrap();
        rename("late arrivals").await.unwrap();
        let found = get(&world, &id).await.unwrap();
        assert_eq!(
            (found.name.as_str(), found.updated_at),
            ("late arrivals", world.at(3).at)
        );
        let renamed = world
            .kinds()
            .await
            .into_iter()
            .filter(|kind| kind == "experiment.renamed");
        assert_eq!(renamed.count(), 1);
    }
}

#[tokio::test]
async fn tags_are_set_replaced_and_removed() {
    for world in worlds().await {
        let mut new = NewExperiment::named("delays");
        new.tags.insert("team".to_owned(), "ops".to_owned());
        let by = world.by.clone();
        let id = world
            .write(move |tx| experiments::create(tx, &by, &new))
            .await
            .unwrap();
        let (by, of) = (world.by.clone(), id.clone());
        world
            .write(move |tx| {
                experiments::set_tag(tx, &by, &of, "team", "data")?;
                experiments::set_tag(tx, &by, &of, "note", "")
            })
            .await
            .unwrap();
        let tags = get(&world, &id).await.unwrap().tags;
        assert_eq!((tags["team"].as_str(), tags["note"].as_str()), ("data", ""));
        let delete = || {
            let (by, of) = (world.by.clone(), id.clone());
            world.write(move |tx| experiments::delete_tag(tx, &by, &of, "note"))
        };
        delete().await.unwrap();
        let absent = delete().await.unwrap_err();
        assert_eq!(absent.to_string(), "experiment \"1\" has no tag \"note\"");
    }
}
