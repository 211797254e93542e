use std::collections::BTreeSet;

use everloop_core::{ArtifactPath, Hash};
use everloop_tracking::artifacts::{self, File};
use everloop_tracking::provenance::{self, Code, Environment, Provenance};
use everloop_tracking::references::referenced;

use crate::support::{World, worlds};

async fn all(world: &World, page: usize) -> Vec<Hash> {
    let mut found = Vec::new();
    loop {
        let after: Option<Hash> = found.last().copied();
        let next = world
            .read(move |tx| referenced(tx, after.as_ref(), page))
            .await
            .unwrap();
        let last = next.len() < page;
        found.extend(next);
        if last {
            return found;
        }
    }
}

#[tokio::test]
async fn every_object_is_named_once_in_order_and_deleted_runs_keep_theirs() {
    for world in worlds().await {
        assert!(all(&world, 10).await.is_empty());
        let (one, two) = (world.run().await, world.run().await);
        let mut expected = BTreeSet::new();
        for (run, names) in [(&one, 0..20), (&two, 10..30)] {
            let files: Vec<File> = names
                .map(|n| File {
                    path: ArtifactPath::new(format!("f/{n}")).unwrap(),
                    hash: Hash::of(&[n]),
                    size_bytes: 1,
                })
                .collect();
            expected.extend(files.iter().map(|file| file.hash));
            let (by, run) = (world.by.clone(), run.clone());
            world
                .write(move |tx| artifacts::record(tx, &by, &run, &files))
                .await
                .unwrap();
        }
        let origin = Provenance {
            code: Some(Code {
                diff: Some(Hash::of(b"diff")),
                ..Code::default()
            }),
            environment: Environment {
                package_lock: Some(Hash::of(b"lock")),
                ..Environment::default()
            },
            ..Provenance::default()
        };
        expected.extend([Hash::of(b"diff"), Hash::of(b"lock")]);
        for run in [&one, &two] {
            let (by, run, origin) = (world.by.clone(), run.clone(), origin.clone());
            world
                .write(move |tx| provenance::record(tx, &by, &run, &origin))
                .await
                .unwrap();
        }
        world.delete_run(&two).await;
        let expected: Vec<Hash> = expected.into_iter().collect();
        for page in [1, 7, 32, 1_000] {
            assert_eq!(all(&world, page).await, expected, "{} by {page}", world.name);
        }
        let (by, run) = (world.by.clone(), one.clone());
        world
            .write(move |tx| artifacts::delete_all(tx, &by, &run))
            .await
            .unwrap();
        assert_eq!(all(&world, 1_000).await.len(), 22);
    }
}
