use std::collections::BTreeMap;

use everloop_core::{ExperimentId, RunId, Timestamp};
use everloop_tracking::runs::{self, Cursor, Filter, NewRun, RunInfo, RunKind, RunStatus, Update};
use everloop_tracking::{Error, Lifecycle, Result, Run, get_many, tags};

use crate::support::{START, World, by, worlds};

async fn get(world: &World, id: &RunId) -> Run {
    let (project, ids) = (world.by.project.clone(), [id.clone()]);
    let mut found = world.read(move |tx| get_many(tx, &project, &ids)).await.unwrap();
    found.pop().unwrap()
}

async fn finish(world: &World, id: &RunId, millis: i64, status: RunStatus) -> Result<RunInfo> {
    let (by, id) = (world.at(millis), id.clone());
    world.write(move |tx| runs::finish(tx, &by, &id, status)).await
}

async fn update(world: &World, id: &RunId, millis: i64, change: Update) -> Result<RunInfo> {
    let (by, id) = (world.at(millis), id.clone());
    world.write(move |tx| runs::update(tx, &by, &id, &change)).await
}

#[tokio::test]
async fn a_new_run_is_running_and_has_a_name() {
    for world in worlds().await {
        let run = get(&world, &world.run().await).await;
        assert_eq!(run.info.status, RunStatus::Running);
        assert_eq!((run.info.started_at, run.info.ended_at), (START, None));
        assert_eq!(run.info.name.split('-').count(), 3);
        assert_eq!(run.tags[tags::RUN_NAME], run.info.name);
        assert_eq!(
            world.events().await.pop().unwrap(),
            ("run.created".to_owned(), format!("run:{}", run.info.id))
        );
    }
}

#[tokio::test]
async fn what_was_given_is_kept() {
    for world in worlds().await {
        let experiment = world.experiment("delays").await;
        let new = NewRun {
            name: Some("first try".to_owned()),
            user: "grace".to_owned(),
            started_at: Some(Timestamp(5)),
            kind: RunKind::Stage,
            source: "pipeline 7/train".to_owned(),
            tags: BTreeMap::from([("a".to_owned(), "1".to_owned())]),
            ..NewRun::new(RunId::new("kept-id_1"), experiment.clone())
        };
        world.create(&world.by, new).await.unwrap();
        let run = get(&world, &RunId::new("kept-id_1")).await;
        assert_eq!(run.info.name, "first try");
        assert_eq!((run.info.user.as_str(), run.info.kind), ("grace", RunKind::Stage));
        assert_eq!(
            (run.info.source.as_str(), run.info.started_at),
            ("pipeline 7/train", Timestamp(5))
        );
        assert_eq!(run.info.experiment, experiment);
        assert_eq!(run.tags["a"], "1");
    }
}

#[tokio::test]
async fn a_name_comes_from_the_tag_and_must_not_contradict_it() {
    for world in worlds().await {
        let experiment = world.experiment("delays").await;
        let mut new = NewRun::new(world.ids.run(), experiment);
        new.tags.insert(tags::RUN_NAME.to_owned(), "tagged".to_owned());
        new.name = Some("named".to_owned());
        let refused = world.create(&world.by, new.clone()).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "run name \"named\" and tag mlflow.runName \"tagged\" differ"
        );
        new.name = None;
        assert_eq!(world.create(&world.by, new).await.unwrap().name, "tagged");
    }
}

#[tokio::test]
async fn runs_need_a_free_id_and_an_experiment() {
    for world in worlds().await {
        let id = world.run().await;
        let experiment = world.experiment("delays").await;
        let taken = world.create(&world.by, NewRun::new(id, experiment.clone())).await;
        assert!(matches!(taken, Err(Error::RunExists(_))));
        let nowhere = NewRun::new(world.ids.run(), ExperimentId::new("77"));
        assert!(matches!(
            world.create(&world.by, nowhere).await,
            Err(Error::NoExperiment(_))
        ));
        let odd = NewRun::new(RunId::new("../x"), experiment);
        assert!(matches!(
            world.create(&world.by, odd).await,
            Err(Error::InvalidRunId(_))
        ));
        assert_eq!(world.kinds().await, ["experiment.created", "run.created"]);
    }
}

#[tokio::test]
async fn an_end_is_final_and_told_once() {
    for world in worlds().await {
        let id = world.run().await;
        assert!(matches!(
            finish(&world, &id, 1, RunStatus::Running).await,
            Err(Error::NotAnEnd(_))
        ));
        let ended = finish(&world, &id, 10, RunStatus::Finished).await.unwrap();
        assert_eq!(
            (ended.status, ended.ended_at),
            (RunStatus::Finished, Some(world.at(10).at))
        );
        // The same end again is the same end.
        let again = finish(&world, &id, 20, RunStatus::Finished).await.unwrap();
        assert_eq!(again, ended);
        let other = finish(&world, &id, 20, RunStatus::Failed).await.unwrap_err();
        assert_eq!(
            other.to_string(),
            format!("run \"{id}\" has ended already as FINISHED")
        );
        let told = world
            .kinds()
            .await
            .into_iter()
            .filter(|kind| kind == "run.finished");
        assert_eq!(told.count(), 1);
    }
}

#[tokio::test]
async fn sixteen_who_end_a_run_differently_agree_on_one_end() {
    for world in worlds().await {
        let id = world.run().await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..16 {
            let (db, by, id) = (world.db.clone(), world.by.clone(), id.clone());
            let status = if n % 2 == 0 {
                RunStatus::Finished
            } else {
                RunStatus::Killed
            };
            tasks.spawn(async move {
                let ended: Result<RunInfo> = db.write(move |tx| runs::finish(tx, &by, &id, status)).await;
                (status, ended)
            });
        }
        let end = {
            let outcomes = tasks.join_all().await;
            let end = get(&world, &id).await.info.status;
            for (status, outcome) in outcomes {
                assert_eq!(outcome.is_ok(), status == end, "{} {outcome:?}", world.name);
            }
            end
        };
        assert!(end.is_end());
        let told = world
            .kinds()
            .await
            .into_iter()
            .filter(|kind| kind == "run.finished");
        assert_eq!(told.count(), 1);
    }
}

#[tokio::test]
async fn updates_allow_what_mlflow_allows() {
    for world in worlds().await {
        let id = world.run().await;
        let status = |status| Update {
            status: Some(status),
            ..Update::default()
        };
        let ended = update(&world, &id, 10, status(RunStatus::Failed)).await.unwrap();
        assert_eq!(ended.ended_at, Some(world.at(10).at));
        let going = update(&world, &id, 20, status(RunStatus::Running)).await.unwrap();
        assert_eq!((going.status, going.ended_at), (RunStatus::Running, None));
        let told_when = Update {
            ended_at: Some(Timestamp(99)),
            ..status(RunStatus::Finished)
        };
        let ended = update(&world, &id, 30, told_when).await.unwrap();
        assert_eq!(ended.ended_at, Some(Timestamp(99)));
        let renamed = Update {
            name: Some("better".to_owned()),
            ..Update::default()
        };
        let ended = update(&world, &id, 40, renamed).await.unwrap();
        assert_eq!(
            (ended.name.as_str(), ended.ended_at),
            ("better", Some(Timestamp(99)))
        );
        assert_eq!(get(&world, &id).await.tags[tags::RUN_NAME], "better");
        let kinds = world.kinds().await;
        assert_eq!(
            kinds[2..],
            ["run.finished", "run.resumed", "run.finished", "run.renamed"]
        );
    }
}

#[tokio::test]
async fn deleted_runs_take_no_changes_until_restored() {
    for world in worlds().await {
        let id = world.run().await;
        world.delete_run(&id).await;
        let (by, again) = (world.by.clone(), id.clone());
        let twice = world.write(move |tx| runs::delete(tx, &by, &again)).await;
        assert!(matches!(twice, Err(Error::RunDeleted(_))));
        let ended = finish(&world, &id, 1, RunStatus::Finished).await;
        assert!(matches!(ended, Err(Error::RunDeleted(_))));
        let (by, of) = (world.by.clone(), id.clone());
        let tagged = world
            .write(move |tx| tags::set(tx, &by, &of, &BTreeMap::from([("a".to_owned(), "1".to_owned())])))
            .await;
        assert!(matches!(tagged, Err(Error::RunDeleted(_))));
        let (by, back) = (world.by.clone(), id.clone());
        world
            .write(move |tx| runs::restore(tx, &by, &back))
            .await
            .unwrap();
        let (by, back) = (world.by.clone(), id.clone());
        let twice = world.write(move |tx| runs::restore(tx, &by, &back)).await;
        assert!(matches!(twice, Err(Error::RunNotDeleted(_))));
        finish(&world, &id, 1, RunStatus::Finished).await.unwrap();
        assert_eq!(
            world.kinds().await[1..],
            ["run.created", "run.deleted", "run.restored", "run.finished"]
        );
    }
}

#[tokio::test]
async fn another_project_sees_no_run() {
    for world in worlds().await {
        let id = world.run().await;
        let stranger = by("weather", 0);
        let (project, of) = (stranger.project.clone(), id.clone());
        let found = world.read(move |tx| runs::get(tx, &project, &of)).await.unwrap();
        assert_eq!(found, None);
        let refused = world.write(move |tx| runs::delete(tx, &stranger, &id)).await;
        assert!(matches!(refused, Err(Error::NoRun(_))));
    }
}

#[tokio::test]
async fn lists_are_newest_first_and_stay_whole_while_runs_come_in() {
    for world in worlds().await {
        let experiment = world.experiment("delays").await;
        let other = world.experiment("other").await;
        let mut expected = Vec::new();
        for n in 0..9_i64 {
            let id = RunId::new(format!("run{n}"));
            // Three runs of each moment, which come by id.
            let new = NewRun::new(id.clone(), experiment.clone());
            world.create(&world.at(n / 3), new).await.unwrap();
            expected.push((-(n / 3), id));
        }
        expected.sort();
        let elsewhere = NewRun::new(world.ids.run(), other.clone());
        world.create(&world.by, elsewhere).await.unwrap();

        let mut found = Vec::new();
        let mut after: Option<Cursor> = None;
        loop {
            let (project, filter) = (world.by.project.clone(), Filter::of(experiment.clone()));
            let page = world
                .read(move |tx| runs::list(tx, &project, &filter, after.as_ref(), 2))
                .await
                .unwrap();
            found.extend(page.items.into_iter().map(|run| run.id));
            after = page.next;
            if after.is_none() {
                break;
            }
            // A run that begins meanwhile is before the first page, so no page shifts.
            let late = NewRun::new(world.ids.run(), experiment.clone());
            world.create(&world.at(100), late).await.unwrap();
        }
        let expected: Vec<RunId> = expected.into_iter().map(|(_, id)| id).collect();
        assert_eq!(found, expected, "{}", world.name);
    }
}

#[tokio::test]
async fn lists_and_counts_share_one_filter() {
    for world in worlds().await {
        let experiment = world.experiment("delays").await;
        let other = world.experiment("other").await;
        for n in 0..6_i64 {
            let mut new = NewRun::new(RunId::new(format!("r{n}")), experiment.clone());
            new.kind = if n < 4 { RunKind::Stage } else { RunKind::Trial };
            world.create(&world.at(n), new).await.unwrap();
        }
        let elsewhere = NewRun::new(RunId::new("x"), other.clone());
        world.create(&world.by, elsewhere).await.unwrap();
        finish(&world, &RunId::new("r1"), 9, RunStatus::Failed)
            .await
            .unwrap();
        world.delete_run(&RunId::new("r2")).await;

        let of = Filter::of(experiment.clone());
        for (filter, expected) in [
            (Filter::default(), vec!["r5", "r4", "r3", "r1", "r0", "x"]),
            (of.clone(), vec!["r5", "r4", "r3", "r1", "r0"]),
            (
                Filter {
                    kind: Some(RunKind::Stage),
                    ..of.clone()
                },
                vec!["r3", "r1", "r0"],
            ),
            (
                Filter {
                    status: Some(RunStatus::Failed),
                    ..of.clone()
                },
                vec!["r1"],
            ),
            (
                Filter {
                    lifecycle: Lifecycle::Deleted,
                    ..of.clone()
                },
                vec!["r2"],
            ),
            (
                Filter {
                    experiments: vec![experiment, other],
                    lifecycle: Lifecycle::All,
                    ..Filter::default()
                },
                vec!["r5", "r4", "r3", "r2", "r1", "r0", "x"],
            ),
        ] {
            let (project, by_filter) = (world.by.project.clone(), filter.clone());
            let (found, count) = world
                .read(move |tx| {
                    let page = runs::list(tx, &project, &by_filter, None, 100)?;
                    Ok((page.items, runs::count(tx, &project, &by_filter)?))
                })
                .await
                .unwrap();
            let ids: Vec<&str> = found.iter().map(|run| run.id.as_str()).collect();
            assert_eq!(ids, expected, "{} {filter:?}", world.name);
            assert_eq!(count, expected.len() as u64, "{} {filter:?}", world.name);
        }
    }
}
