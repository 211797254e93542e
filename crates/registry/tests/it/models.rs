use std::collections::BTreeMap;

use everloop_core::{AliasName, ModelName};
use everloop_registry::aliases::{self, Expected};
use everloop_registry::models::{self, Model, NewModel};
use everloop_registry::{Error, Result, VersionNumber, tags, versions};

use crate::support::{World, by, delay, onnx, worlds};

fn named(name: &str) -> ModelName {
    ModelName::new(name).unwrap()
}

async fn create(world: &World, name: &str) -> Result<()> {
    let (by, new) = (world.by.clone(), NewModel::named(named(name)));
    world.write(move |tx| models::create(tx, &by, &new)).await
}

async fn get(world: &World, name: &str) -> Option<Model> {
    let (project, name) = (world.by.project.clone(), named(name));
    world
        .read(move |tx| models::get(tx, &project, &name))
        .await
        .unwrap()
}

#[tokio::test]
async fn names_are_unique_in_a_project() {
    for world in worlds().await {
        create(&world, "a").await.unwrap();
        let again = create(&world, "a").await.unwrap_err();
        assert_eq!(again.to_string(), "model \"a\" exists already");
        let other = by("weather");
        world
            .write(move |tx| models::create(tx, &other, &NewModel::named(named("a"))))
            .await
            .unwrap();
        assert_eq!(get(&world, "b").await, None);
        assert_eq!(
            world.kinds().await,
            ["model.created", "model.created"],
            "{}",
            world.name
        );
    }
}

#[tokio::test]
async fn many_who_need_a_model_make_it_once() {
    for world in worlds().await {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (db, by) = (world.db.clone(), world.by.clone());
            tasks.spawn(async move {
                let made: Result<()> = db.write(move |tx| models::ensure(tx, &by, &delay())).await;
                made.unwrap();
            });
        }
        tasks.join_all().await;
        assert_eq!(world.kinds().await, ["model.created"], "{}", world.name);
    }
}

#[tokio::test]
async fn lists_go_by_name_in_pages_with_tags_and_aliases() {
    for world in worlds().await {
        for name in ["b", "C", "a", "é"] {
            create(&world, name).await.unwrap();
        }
        world.ready().await;
        world
            .move_alias(1, "champion", 1, Expected::Nothing)
            .await
            .unwrap();
        let by = world.by.clone();
        world
            .write(move |tx| tags::set_on_model(tx, &by, &delay(), "team", "ops"))
            .await
            .unwrap();
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let project = world.by.project.clone();
            let page = world
                .read(move |tx| models::list(tx, &project, after.as_ref(), 2))
                .await
                .unwrap();
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        // By bytes, on both databases.
        let names: Vec<&str> = found.iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["C", "a", "b", "flight delay", "é"], "{}", world.name);
        assert_eq!(
            found[3].aliases,
            BTreeMap::from([("champion".to_owned(), VersionNumber(1))])
        );
        assert_eq!(found[3].tags["team"], "ops");
    }
}

#[tokio::test]
async fn a_new_name_keeps_versions_aliases_and_history() {
    for world in worlds().await {
        world.ready().await;
        world
            .move_alias(1, "champion", 1, Expected::Nothing)
            .await
            .unwrap();
        create(&world, "taken").await.unwrap();
        let rename = |to: &'static str| {
            let by = world.by.clone();
            world.write(move |tx| models::rename(tx, &by, &delay(), &named(to)))
        };
        assert!(matches!(rename("taken").await, Err(Error::ModelExists(_))));
        rename("flight delay").await.unwrap();
        rename("delay").await.unwrap();
        assert!(matches!(rename("x").await, Err(Error::NoModel(_))));
        let (project, champion) = (world.by.project.clone(), AliasName::new("champion").unwrap());
        let version = world
            .read(move |tx| aliases::get(tx, &project, &named("delay"), &champion))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (version.model.as_str(), version.version.0),
            ("delay", 1),
            "{}",
            world.name
        );
        let renamed = world
            .kinds()
            .await
            .into_iter()
            .filter(|kind| kind == "model.renamed");
        assert_eq!(renamed.count(), 1);
    }
}

#[tokio::test]
async fn a_model_in_use_stays_and_a_deleted_one_frees_its_name() {
    for world in worlds().await {
        world.ready().await;
        world
            .move_alias(1, "champion", 1, Expected::Nothing)
            .await
            .unwrap();
        let delete = || {
            let by = world.by.clone();
            world.write(move |tx| models::delete(tx, &by, &delay()))
        };
        let refused = delete().await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "model \"flight delay\" can't be deleted: alias \"champion\" points at version 1"
        );
        let (by, champion) = (world.at(2), AliasName::new("champion").unwrap());
        world
            .write(move |tx| aliases::remove(tx, &by, &delay(), &champion, Expected::Anything, "retired"))
            .await
            .unwrap();
        delete().await.unwrap();
        assert_eq!(get(&world, "flight delay").await, None);
        let project = world.by.project.clone();
        let gone = world
            .read(move |tx| versions::get(tx, &project, &delay(), VersionNumber(1)))
            .await
            .unwrap();
        assert_eq!(gone, None);
        // A model of the same name begins anew and inherits nothing.
        assert_eq!(world.pending(onnx()).await, VersionNumber(1), "{}", world.name);
        let (project, champion) = (world.by.project.clone(), AliasName::new("champion").unwrap());
        let history = world
            .read(move |tx| aliases::history(tx, &project, &delay(), &champion, None, 10))
            .await
            .unwrap();
        assert!(history.items.is_empty());
    }
}

#[tokio::test]
async fn descriptions_and_tags_change_and_say_so() {
    for world in worlds().await {
        world.ready().await;
        let by = world.at(5);
        world
            .write(move |tx| {
                models::describe(tx, &by, &delay(), "minutes late")?;
                tags::set_on_model(tx, &by, &delay(), "a", "1")?;
                tags::set_on_model(tx, &by, &delay(), "a", "2")?;
                tags::set_on_version(tx, &by, &delay(), VersionNumber(1), "b", "3")?;
                versions::describe(tx, &by, &delay(), VersionNumber(1), "first")
            })
            .await
            .unwrap();
        let model = get(&world, "flight delay").await.unwrap();
        assert_eq!(
            (model.description.as_str(), model.updated_at),
            ("minutes late", world.at(5).at)
        );
        assert_eq!(model.tags["a"], "2");
        let by = world.by.clone();
        world
            .write(move |tx| {
                tags::delete_on_model(tx, &by, &delay(), "a")?;
                tags::delete_on_version(tx, &by, &delay(), VersionNumber(1), "b")
            })
            .await
            .unwrap();
        let by = world.by.clone();
        let absent = world
            .write(move |tx| tags::delete_on_version(tx, &by, &delay(), VersionNumber(1), "b"))
            .await
            .unwrap_err();
        assert_eq!(
            absent.to_string(),
            "version 1 of model \"flight delay\" has no tag \"b\""
        );
        let by = world.by.clone();
        let long = "x".repeat(100_001);
        let refused = world
            .write(move |tx| tags::set_on_model(tx, &by, &delay(), "a", &long))
            .await;
        assert!(matches!(refused, Err(Error::TooLong { limit: 100_000, .. })));
        assert_eq!(
            world.kinds().await[3..],
            [
                "model.described",
                "model.tag.set",
                "model.tag.set",
                "model.tag.set",
                "model.described",
                "model.tag.deleted",
                "model.tag.deleted"
            ]
        );
    }
}
