use std::collections::BTreeMap;

use everloop_core::{RunId, Timestamp};
use everloop_tracking::metrics::{self, Cursor, Metric};
use everloop_tracking::{Batch, Error, Result, Run, get_many, log_batch, params, tags};

use crate::support::{World, worlds};

async fn log(world: &World, run: &RunId, batch: Batch) -> Result<()> {
    let (by, run) = (world.by.clone(), run.clone());
    world.write(move |tx| log_batch(tx, &by, &run, &batch)).await
}

async fn get(world: &World, id: &RunId) -> Run {
    let (project, ids) = (world.by.project.clone(), [id.clone()]);
    world
        .read(move |tx| get_many(tx, &project, &ids))
        .await
        .unwrap()
        .pop()
        .unwrap()
}

async fn history(world: &World, run: &RunId, key: &'static str, page: usize) -> Vec<Metric> {
    let mut found = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let (project, run) = (world.by.project.clone(), run.clone());
        let page = world
            .read(move |tx| metrics::history(tx, &project, &run, key, after.as_ref(), page))
            .await
            .unwrap();
        found.extend(page.items);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

fn params_of(pairs: &[(&str, &str)]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in pairs {
        batch.param(key, value).unwrap();
    }
    batch
}

fn points(key: &str, points: &[(f64, i64, i64)]) -> Batch {
    let mut batch = Batch::default();
    for (value, at, step) in points {
        batch.metric(key, *value, Timestamp(*at), *step).unwrap();
    }
    batch
}

#[tokio::test]
async fn params_never_change_and_a_refused_batch_leaves_nothing() {
    for world in worlds().await {
        let run = world.run().await;
        log(&world, &run, params_of(&[("depth", "5"), ("note", "")]))
            .await
            .unwrap();
        log(&world, &run, params_of(&[("depth", "5"), ("rate", "0.1")]))
            .await
            .unwrap();
        let mut mixed = params_of(&[("a new one", "1"), ("depth", "6")]);
        mixed
            .metric("auc", 0.7, Timestamp(1), 0)
            .unwrap()
            .tag("t", "1")
            .unwrap();
        let refused = log(&world, &run, mixed).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("param \"depth\" of run \"{run}\" is \"5\" already and can't become \"6\"")
        );
        let found = get(&world, &run).await;
        let expected = [("depth", "5"), ("note", ""), ("rate", "0.1")];
        assert_eq!(
            found.params,
            expected
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        );
        assert!(found.metrics.is_empty());
        assert!(!found.tags.contains_key("t"));
    }
}

#[tokio::test]
async fn of_many_who_log_one_param_exactly_one_wins() {
    for world in worlds().await {
        let run = world.run().await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..64 {
            let (db, by, run) = (world.db.clone(), world.by.clone(), run.clone());
            let value = n.to_string();
            let batch = params_of(&[("seed", &value)]);
            tasks.spawn(async move {
                let logged: Result<()> = db.write(move |tx| log_batch(tx, &by, &run, &batch)).await;
                (value, logged)
            });
        }
        let outcomes = tasks.join_all().await;
        let kept = get(&world, &run).await.params["seed"].clone();
        for (value, logged) in outcomes {
            match logged {
                Ok(()) => assert_eq!(value, kept, "{}", world.name),
                Err(error) => {
                    assert!(
                        matches!(error, Error::ParamChanged { .. }),
                        "{} {error}",
                        world.name
                    );
                    assert_ne!(value, kept);
                }
            }
        }
    }
}

#[tokio::test]
async fn many_who_log_to_one_run_lose_nothing() {
    for world in worlds().await {
        let run = world.run().await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..64_i64 {
            let (db, by, run) = (world.db.clone(), world.by.clone(), run.clone());
            // Everyone brings a metric of their own and a point of a shared one.
            let mut batch = points(&format!("own/{n:02}"), &[(n as f64, 1, 0)]);
            batch.metric("shared", n as f64, Timestamp(n), n).unwrap();
            tasks.spawn(async move {
                let logged: Result<()> = db.write(move |tx| log_batch(tx, &by, &run, &batch)).await;
                logged.unwrap();
            });
        }
        tasks.join_all().await;
        let found = get(&world, &run).await;
        assert_eq!(found.metrics.len(), 65, "{}", world.name);
        for (n, metric) in found.metrics[..64].iter().enumerate() {
            assert_eq!(
                (metric.key.as_str(), metric.value),
                (format!("own/{n:02}").as_str(), n as f64)
            );
        }
        assert_eq!(found.metrics[64].value, 63.0);
        assert_eq!(history(&world, &run, "shared", 10).await.len(), 64);
        assert_eq!(history(&world, &run, "own/07", 10).await.len(), 1);
    }
}

#[tokio::test]
async fn the_latest_point_does_not_depend_on_the_order_of_arrival() {
    for world in worlds().await {
        let run = world.run().await;
        for batch in [
            points("auc", &[(0.9, 500, 3)]),
            points("auc", &[(0.1, 900, 2)]),
            points("auc", &[(0.2, 500, 3), (0.95, 500, 3), (0.3, 400, 3)]),
            points("auc", &[(7.0, 100, -1)]),
        ] {
            log(&world, &run, batch).await.unwrap();
        }
        let latest = get(&world, &run).await.metrics;
        assert_eq!(
            latest,
            [Metric {
                key: "auc".to_owned(),
                value: 0.95,
                at: Timestamp(500),
                step: 3
            }],
            "{}",
            world.name
        );
    }
}

#[tokio::test]
async fn history_is_in_order_whole_and_without_exact_duplicates() {
    for world in worlds().await {
        let run = world.run().await;
        log(
            &world,
            &run,
            points("loss", &[(3.0, 20, 1), (2.0, 10, 9), (1.0, 20, 0)]),
        )
        .await
        .unwrap();
        log(
            &world,
            &run,
            points("loss", &[(3.0, 20, 1), (-3.0, 20, 1), (3.0, 20, 1)]),
        )
        .await
        .unwrap();
        let expected = [(2.0, 10, 9), (1.0, 20, 0), (-3.0, 20, 1), (3.0, 20, 1)];
        for page in [1, 2, 3, 100] {
            let found: Vec<_> = history(&world, &run, "loss", page)
                .await
                .into_iter()
                .map(|point| (point.value, point.at.0, point.step))
                .collect();
            assert_eq!(found, expected, "{} by {page}", world.name);
        }
        assert!(history(&world, &run, "unknown", 10).await.is_empty());
    }
}

#[tokio::test]
async fn numbers_that_are_not_finite_come_back_as_they_were() {
    for world in worlds().await {
        let run = world.run().await;
        let odd = [f64::NEG_INFINITY, -0.5, f64::NAN, 0.0, f64::MAX, f64::INFINITY];
        let batch: Vec<_> = odd.iter().map(|value| (*value, 1, 0)).collect();
        log(&world, &run, points("odd", &batch)).await.unwrap();
        // NaN counts as zero wherever points are ordered, just after an ordinary zero.
        for page in [1, 100] {
            let found: Vec<f64> = history(&world, &run, "odd", page)
                .await
                .iter()
                .map(|p| p.value)
                .collect();
            assert_eq!(found.len(), 6, "{} by {page}: {found:?}", world.name);
            assert_eq!((found[0], found[1], found[2]), (f64::NEG_INFINITY, -0.5, 0.0));
            assert!(found[3].is_nan());
            assert_eq!((found[4], found[5]), (f64::MAX, f64::INFINITY));
        }
        log(&world, &run, points("nan", &[(f64::NAN, 1, 0)]))
            .await
            .unwrap();
        let latest = get(&world, &run).await.metrics;
        assert!(latest[0].key == "nan" && latest[0].value.is_nan());
        assert_eq!(latest[1].value, f64::INFINITY.min(latest[1].value));
    }
}

#[tokio::test]
async fn the_run_name_tag_is_the_runs_name() {
    for world in worlds().await {
        let run = world.run().await;
        let mut batch = Batch::default();
        batch
            .tag(tags::RUN_NAME, "renamed")
            .unwrap()
            .tag("x", "1")
            .unwrap();
        log(&world, &run, batch).await.unwrap();
        let found = get(&world, &run).await;
        assert_eq!(
            (found.info.name.as_str(), found.tags["x"].as_str()),
            ("renamed", "1")
        );
        let (by, of) = (world.by.clone(), run.clone());
        world
            .write(move |tx| {
                tags::delete(tx, &by, &of, "x")?;
                tags::set(tx, &by, &of, &BTreeMap::from([("y".to_owned(), "2".to_owned())]))
            })
            .await
            .unwrap();
        let (by, of) = (world.by.clone(), run.clone());
        let absent = world.write(move |tx| tags::delete(tx, &by, &of, "x")).await;
        assert!(matches!(absent, Err(Error::NoTag { .. })));
        let (project, of) = (world.by.project.clone(), run.clone());
        let left = world.read(move |tx| tags::get(tx, &project, &of)).await.unwrap();
        assert_eq!(left.keys().collect::<Vec<_>>(), [tags::RUN_NAME, "y"]);
        assert_eq!(world.kinds().await.last().unwrap(), "run.renamed");
    }
}

#[tokio::test]
async fn deleted_and_unknown_runs_take_nothing() {
    for world in worlds().await {
        let run = world.run().await;
        world.delete_run(&run).await;
        let refused = log(&world, &run, params_of(&[("a", "1")])).await;
        assert!(matches!(refused, Err(Error::RunDeleted(_))));
        let refused = log(&world, &RunId::new("nobody"), params_of(&[("a", "1")])).await;
        assert!(matches!(refused, Err(Error::NoRun(_))));
        let (project, of) = (world.by.project.clone(), run.clone());
        let kept = world
            .read(move |tx| params::get(tx, &project, &of))
            .await
            .unwrap();
        assert!(kept.is_empty());
    }
}

#[tokio::test]
async fn a_full_batch_of_a_thousand_names_is_taken() {
    for world in worlds().await {
        let run = world.run().await;
        for step in 0..2 {
            let mut batch = Batch::default();
            for n in 0..1_000 {
                batch
                    .metric(
                        &format!("m{n}"),
                        f64::from(n + step),
                        Timestamp(1),
                        i64::from(step),
                    )
                    .unwrap();
            }
            log(&world, &run, batch).await.unwrap();
        }
        let found = get(&world, &run).await.metrics;
        assert_eq!(found.len(), 1_000);
        for metric in found {
            let n: f64 = metric.key[1..].parse().unwrap();
            assert_eq!(
                (metric.value, metric.step),
                (n + 1.0, 1),
                "{} {}",
                world.name,
                metric.key
            );
        }
    }
}

#[tokio::test]
async fn statements_do_not_grow_with_the_runs_asked_for() {
    for world in worlds().await {
        let experiment = world.experiment("delays").await;
        let mut ids = Vec::new();
        for n in 0..100_i64 {
            let new = everloop_tracking::runs::NewRun::new(world.ids.run(), experiment.clone());
            let id = world.create(&world.at(n), new).await.unwrap().id;
            let mut batch = params_of(&[("depth", "5"), ("rate", "0.1")]);
            batch
                .metric("auc", n as f64, Timestamp(1), 0)
                .unwrap()
                .tag("t", "x")
                .unwrap();
            log(&world, &id, batch).await.unwrap();
            ids.push(id);
        }
        let statements = |ids: Vec<RunId>| {
            let (world, project) = (&world, world.by.project.clone());
            async move {
                let before = world.db.stats().statements;
                let wanted = ids.clone();
                let found = world
                    .read(move |tx| get_many(tx, &project, &wanted))
                    .await
                    .unwrap();
                let order: Vec<RunId> = found.iter().map(|run| run.info.id.clone()).collect();
                assert_eq!(order, ids);
                assert!(
                    found
                        .iter()
                        .all(|run| run.params.len() == 2 && run.metrics.len() == 1)
                );
                world.db.stats().statements - before
            }
        };
        let one = statements(ids[..1].to_vec()).await;
        let all = statements(ids.iter().rev().cloned().collect()).await;
        assert_eq!((one, all), (7, 7), "{}", world.name);
    }
}
