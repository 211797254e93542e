//! Many who change related things at once: locks are taken in one order, so nobody has to be sent back.

use everloop_core::{ExperimentId, RunId};
use everloop_tracking::artifacts;
use everloop_tracking::runs::{self, Filter, NewRun, RunStatus};
use everloop_tracking::{Batch, Error, Result, experiments, log_batch, tags};

use crate::support::{World, worlds};

async fn live(world: &World, experiment: ExperimentId, run: RunId, n: i64) -> Result<()> {
    let (by, new) = (world.at(n), NewRun::new(run.clone(), experiment));
    world.write(move |tx| runs::create(tx, &by, &new)).await?;
    let mut batch = Batch::default();
    batch
        .param("n", &n.to_string())?
        .metric("auc", 0.5, by_time(world, n), 0)?;
    batch.tag(tags::RUN_NAME, &format!("run {n}"))?;
    let (by, id) = (world.at(n), run.clone());
    world.write(move |tx| log_batch(tx, &by, &id, &batch)).await?;
    let (by, id) = (world.at(n), run.clone());
    world.write(move |tx| artifacts::delete_all(tx, &by, &id)).await?;
    let (by, id) = (world.at(n), run);
    world
        .write(move |tx| runs::finish(tx, &by, &id, RunStatus::Finished))
        .await?;
    Ok(())
}

fn by_time(world: &World, n: i64) -> everloop_core::Timestamp {
    world.at(n).at
}

async fn delete_and_restore(world: &World, experiment: &ExperimentId) {
    for _ in 0..4 {
        let (by, id) = (world.by.clone(), experiment.clone());
        world
            .write(move |tx| experiments::delete(tx, &by, &id))
            .await
            .unwrap();
        let (project, filter) = (world.by.project.clone(), Filter::of(experiment.clone()));
        let living = world
            .read(move |tx| runs::count(tx, &project, &filter))
            .await
            .unwrap();
        assert_eq!(living, 0, "{}: a run outlived its experiment", world.name);
        let (by, id) = (world.by.clone(), experiment.clone());
        world
            .write(move |tx| experiments::restore(tx, &by, &id))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn runs_live_while_their_experiment_comes_and_goes() {
    for world in worlds().await {
        let world = std::sync::Arc::new(world);
        let experiment = world.experiment("delays").await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..32 {
            let (world, experiment, run) = (world.clone(), experiment.clone(), world.ids.run());
            tasks.spawn(async move {
                match live(&world, experiment, run, n).await {
                    Ok(()) | Err(Error::ExperimentDeleted(_) | Error::RunDeleted(_)) => {}
                    Err(error) => panic!("{}: {error}", world.name),
                }
            });
        }
        let (there, gone) = (world.clone(), experiment.clone());
        tasks.spawn(async move { delete_and_restore(&there, &gone).await });
        tasks.join_all().await;
        assert_eq!(world.db.stats().retries, 0, "{}", world.name);
    }
}
