//! Many who change one model at once: locks are taken in one order, so nobody has to be sent back.

use std::sync::Arc;

use everloop_registry::aliases::Expected;
use everloop_registry::approvals::{self, Verdict};
use everloop_registry::gates::{self, Outcome};
use everloop_registry::{Error, Result, VersionNumber, models, tags, versions};

use crate::support::{World, delay, onnx, worlds};

/// A version's whole life: made, tried, judged, promoted, pushed aside.
async fn live(world: &World, n: i64) -> Result<()> {
    let by = world.at(n);
    let version = world
        .write(move |tx| {
            let version = versions::create(tx, &by, &delay(), &onnx())?;
            tags::set_on_version(tx, &by, &delay(), version, "n", "1")?;
            Ok(version)
        })
        .await?;
    let by = world.at(n);
    world
        .write(move |tx| versions::mark_ready(tx, &by, &delay(), version))
        .await?;
    let by = world.at(n);
    world
        .write(move |tx| {
            gates::record(
                tx,
                &by,
                &delay(),
                version,
                "auc",
                Outcome::Passed,
                &serde_json::json!({}),
                None,
            )?;
            approvals::give(tx, &by, &delay(), version, Verdict::Approved, "")
        })
        .await?;
    world
        .move_alias(n, "champion", version.0, Expected::Anything)
        .await?;
    let by = world.at(n);
    world
        .write(move |tx| models::describe(tx, &by, &delay(), "busy"))
        .await?;
    let by = world.at(n);
    let deleted = world
        .write(move |tx| versions::delete(tx, &by, &delay(), version))
        .await;
    match deleted {
        Ok(()) | Err(Error::VersionInUse { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[tokio::test]
async fn versions_live_side_by_side() {
    for world in worlds().await {
        let world = Arc::new(world);
        let by = world.by.clone();
        world
            .write(move |tx| models::ensure(tx, &by, &delay()))
            .await
            .unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..24 {
            let world = Arc::clone(&world);
            tasks.spawn(async move { live(&world, n).await.unwrap() });
        }
        tasks.join_all().await;
        assert_eq!(world.db.stats().retries, 0, "{}", world.name);
        // Whoever moved last holds the alias, and only that version is left of those it pointed at.
        let project = world.by.project.clone();
        let (model, left) = world
            .read(move |tx| {
                let model = models::get(tx, &project, &delay())?.unwrap();
                Ok((model, versions::list(tx, &project, &delay(), None, 100)?.items))
            })
            .await
            .unwrap();
        let champion: VersionNumber = model.aliases["champion"];
        assert!(left.iter().any(|version| version.version == champion));
        let told = world
            .kinds()
            .await
            .into_iter()
            .filter(|kind| kind == "alias.moved");
        assert_eq!(told.count(), 24, "{}", world.name);
    }
}
