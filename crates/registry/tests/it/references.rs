use std::collections::BTreeSet;

use everloop_core::Hash;
use everloop_registry::references::referenced;
use everloop_registry::versions::{self, NewVersion};
use everloop_registry::{VersionNumber, models};

use crate::support::{World, delay, file, onnx, worlds};

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
async fn files_of_living_versions_are_named_once_in_order() {
    for world in worlds().await {
        let version = |names: std::ops::Range<u32>| NewVersion {
            files: names.map(|n| file(&format!("f{n}"), &n.to_string())).collect(),
            ..onnx()
        };
        world.pending(version(0..20)).await;
        world.pending(version(10..30)).await;
        let expected: BTreeSet<Hash> = (0..30).map(|n| Hash::of(n.to_string().as_bytes())).collect();
        let expected: Vec<Hash> = expected.into_iter().collect();
        for page in [1, 7, 30, 1_000] {
            assert_eq!(all(&world, page).await, expected, "{} by {page}", world.name);
        }
        let by = world.by.clone();
        world
            .write(move |tx| versions::delete(tx, &by, &delay(), VersionNumber(1)))
            .await
            .unwrap();
        assert_eq!(all(&world, 1_000).await.len(), 20);
        let by = world.by.clone();
        world
            .write(move |tx| models::delete(tx, &by, &delay()))
            .await
            .unwrap();
        assert!(all(&world, 1_000).await.is_empty());
    }
}
