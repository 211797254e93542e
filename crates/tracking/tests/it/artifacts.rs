use everloop_core::{ArtifactPath, Hash, RunId};
use everloop_tracking::artifacts::{self, Entry, File};
use everloop_tracking::{Error, Result};

use crate::support::{World, worlds};

pub fn path(text: &str) -> ArtifactPath {
    ArtifactPath::new(text).unwrap()
}

fn file(text: &str) -> File {
    File {
        path: path(text),
        hash: Hash::of(text.as_bytes()),
        size_bytes: text.len() as u64,
    }
}

async fn record(world: &World, run: &RunId, files: &[&str]) -> Result<()> {
    let (by, run, files) = (
        world.by.clone(),
        run.clone(),
        files.iter().map(|f| file(f)).collect::<Vec<_>>(),
    );
    world
        .write(move |tx| artifacts::record(tx, &by, &run, &files))
        .await
}

/// One level, read in pages of `page`; folders end in `/`.
async fn list(world: &World, run: &RunId, folder: Option<&str>, page: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let (project, run, folder) = (world.by.project.clone(), run.clone(), folder.map(path));
        let page = world
            .read(move |tx| artifacts::list(tx, &project, &run, folder.as_ref(), after.as_deref(), page))
            .await
            .unwrap();
        found.extend(page.items.into_iter().map(|entry| match entry {
            Entry::Folder(path) => format!("{path}/"),
            Entry::File(file, _) => file.path.to_string(),
        }));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

async fn walk(world: &World, run: &RunId, folder: Option<&str>, page: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut after: Option<ArtifactPath> = None;
    loop {
        let (project, run, folder) = (world.by.project.clone(), run.clone(), folder.map(path));
        let page = world
            .read(move |tx| artifacts::walk(tx, &project, &run, folder.as_ref(), after.as_ref(), page))
            .await
            .unwrap();
        found.extend(page.items.into_iter().map(|file| file.path.to_string()));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

async fn delete(world: &World, run: &RunId, text: &str) -> Result<u64> {
    let (by, run, path) = (world.by.clone(), run.clone(), path(text));
    world
        .write(move |tx| artifacts::delete(tx, &by, &run, &path))
        .await
}

const TREE: [&str; 7] = [
    "a/b/deep.txt",
    "a/top.txt",
    "a.txt",
    "a0/x",
    "model/MLmodel",
    "model/data/model.onnx",
    "z.txt",
];

#[tokio::test]
async fn one_level_is_listed_at_a_time() {
    for world in worlds().await {
        let run = world.run().await;
        record(&world, &run, &TREE).await.unwrap();
        for page in [1, 2, 100] {
            assert_eq!(
                list(&world, &run, None, page).await,
                ["a/", "a.txt", "a0/", "model/", "z.txt"],
                "{} by {page}",
                world.name
            );
            assert_eq!(list(&world, &run, Some("a"), page).await, ["a/b/", "a/top.txt"]);
            assert_eq!(
                list(&world, &run, Some("model/data"), page).await,
                ["model/data/model.onnx"]
            );
        }
        assert!(list(&world, &run, Some("nowhere"), 10).await.is_empty());
        assert!(list(&world, &run, Some("z.txt"), 10).await.is_empty());
    }
}

#[tokio::test]
async fn all_files_below_a_folder_are_walked() {
    for world in worlds().await {
        let run = world.run().await;
        record(&world, &run, &TREE).await.unwrap();
        for page in [1, 3, 100] {
            assert_eq!(
                walk(&world, &run, Some("a"), page).await,
                ["a/top.txt", "a/b/deep.txt"]
            );
            assert_eq!(
                walk(&world, &run, None, page).await.len(),
                TREE.len(),
                "{}",
                world.name
            );
            assert!(walk(&world, &run, Some("a.txt"), page).await.is_empty());
        }
    }
}

#[tokio::test]
async fn writing_again_replaces_the_content() {
    for world in worlds().await {
        let run = world.run().await;
        record(&world, &run, &["model/MLmodel"]).await.unwrap();
        let newer = File {
            hash: Hash::of(b"newer"),
            size_bytes: 5,
            ..file("model/MLmodel")
        };
        let (by, of, files) = (world.at(7), run.clone(), [newer.clone()]);
        world
            .write(move |tx| artifacts::record(tx, &by, &of, &files))
            .await
            .unwrap();
        let (project, of) = (world.by.project.clone(), run.clone());
        let (found, entry) = world
            .read(move |tx| {
                let at = path("model/MLmodel");
                Ok((
                    artifacts::get(tx, &project, &of, &at)?,
                    artifacts::find(tx, &project, &of, &at)?,
                ))
            })
            .await
            .unwrap();
        assert_eq!(found, newer);
        assert_eq!(entry, Some(Entry::File(newer, world.at(7).at)));
    }
}

#[tokio::test]
async fn files_and_folders_do_not_take_each_others_place() {
    for world in worlds().await {
        let run = world.run().await;
        record(&world, &run, &["a/b", "f"]).await.unwrap();
        let as_file = record(&world, &run, &["new/x", "a"]).await.unwrap_err();
        assert_eq!(
            as_file.to_string(),
            format!("artifact \"a\" of run \"{run}\" is a folder")
        );
        let as_folder = record(&world, &run, &["new/x", "f/g/h"]).await.unwrap_err();
        assert_eq!(
            as_folder.to_string(),
            format!("artifact \"f\" of run \"{run}\" is a file")
        );
        let at_once = record(&world, &run, &["n", "n/m"]).await.unwrap_err();
        assert!(matches!(at_once, Error::ArtifactIsFolder { .. }), "{at_once}");
        // Nothing of a refused call is there.
        assert_eq!(walk(&world, &run, None, 10).await, ["f", "a/b"], "{}", world.name);
        assert_eq!(list(&world, &run, None, 10).await, ["a/", "f"]);
    }
}

#[tokio::test]
async fn deleting_takes_a_folder_whole_and_empty_folders_along() {
    for world in worlds().await {
        let run = world.run().await;
        record(&world, &run, &TREE).await.unwrap();
        assert_eq!(delete(&world, &run, "a/b/deep.txt").await.unwrap(), 1);
        assert_eq!(
            list(&world, &run, Some("a"), 10).await,
            ["a/top.txt"],
            "{}",
            world.name
        );
        assert_eq!(delete(&world, &run, "model").await.unwrap(), 2);
        assert_eq!(
            list(&world, &run, None, 10).await,
            ["a/", "a.txt", "a0/", "z.txt"]
        );
        let absent = delete(&world, &run, "model/MLmodel").await.unwrap_err();
        assert_eq!(
            absent.to_string(),
            format!("run \"{run}\" has no artifact \"model/MLmodel\"")
        );
        let (by, of) = (world.by.clone(), run.clone());
        let rest = world
            .write(move |tx| artifacts::delete_all(tx, &by, &of))
            .await
            .unwrap();
        assert_eq!(rest, 4);
        assert!(list(&world, &run, None, 10).await.is_empty());
        let kinds = world.kinds().await;
        assert_eq!(
            kinds[2..],
            ["artifact.deleted", "artifact.deleted", "artifact.deleted"]
        );
    }
}

#[tokio::test]
async fn runs_do_not_see_each_others_files() {
    for world in worlds().await {
        let (one, two) = (world.run().await, world.run().await);
        record(&world, &one, &["a/x"]).await.unwrap();
        record(&world, &two, &["a/x", "a/y"]).await.unwrap();
        assert_eq!(delete(&world, &two, "a").await.unwrap(), 2);
        assert_eq!(walk(&world, &one, None, 10).await, ["a/x"]);
        world.delete_run(&one).await;
        assert!(matches!(
            record(&world, &one, &["b"]).await,
            Err(Error::RunDeleted(_))
        ));
        assert!(matches!(
            delete(&world, &one, "a").await,
            Err(Error::RunDeleted(_))
        ));
    }
}

#[tokio::test]
async fn a_thousand_nested_folders_and_a_crowded_one_are_listed() {
    for world in worlds().await {
        let run = world.run().await;
        let deep = "d/".repeat(500) + "x";
        record(&world, &run, &[&deep]).await.unwrap();
        assert_eq!(
            list(&world, &run, Some(&deep[..999]), 10).await,
            std::slice::from_ref(&deep)
        );
        let crowd: Vec<String> = (0..3_000).map(|n| format!("crowd/{n:05}")).collect();
        let names: Vec<&str> = crowd.iter().map(String::as_str).collect();
        record(&world, &run, &names).await.unwrap();
        assert_eq!(
            list(&world, &run, Some("crowd"), 999).await,
            crowd,
            "{}",
            world.name
        );
        // Taking away the one file takes away all the folders above it.
        delete(&world, &run, &deep).await.unwrap();
        assert_eq!(list(&world, &run, None, 10).await, ["crowd/"]);
    }
}
