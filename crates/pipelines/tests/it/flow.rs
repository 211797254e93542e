//! The order of stages, what runs beside what, and what a failure does to others.

use std::time::Duration;

use everloop_core::{Coded, IdempotencyKey};
use everloop_pipelines::{Error, OnFailure, RunState, StageState};

use crate::house::{house, houses, stage, states};

const CHAIN: &str = "
stages:
  a: {cmd: 'cat in.txt > a.txt', deps: [in.txt], outs: [a.txt]}
  b: {cmd: 'cat a.txt a.txt > b.txt', deps: [a.txt], outs: [b.txt]}
  c: {cmd: 'wc -c < b.txt > c.txt', deps: [b.txt], outs: [c.txt]}
";

#[tokio::test]
async fn stages_run_in_order_and_their_states_and_events_are_recorded() {
    for house in houses().await {
        house.write("in.txt", "hello\n");
        let run = house.run(CHAIN).await;
        assert_eq!(run.summary.state, RunState::Succeeded, "{}: {run:?}", house.name);
        assert_eq!(states(&run), "a=succeeded b=succeeded c=succeeded");
        assert_eq!(house.read("c.txt").trim(), "12");
        let finished: Vec<String> = house
            .events("stage.finished")
            .await
            .into_iter()
            .map(|event| event.subject)
            .collect();
        let id = &run.summary.id;
        assert_eq!(
            finished,
            ["a", "b", "c"].map(|name| format!("pipeline:{id}/{name}"))
        );
        assert_eq!(house.events("pipeline.started").await.len(), 1);
        let ended = house.events("pipeline.finished").await;
        assert_eq!(ended[0].payload["stages"]["succeeded"], 3);
        let shown = house.pipelines.status(&house.project, id).await.unwrap();
        assert_eq!(shown, run);
        let listed = house.pipelines.list(&house.project, None, 10).await.unwrap();
        assert_eq!(listed, [run.summary]);
    }
}

#[tokio::test]
async fn stages_that_do_not_wait_for_each_other_run_at_once() {
    let house = house().await;
    // Each waits for a file that only the other writes: one after the other would never end.
    let run = house
        .run(
            "
stages:
  a: {cmd: 'touch a.here; until [ -e b.here ]; do sleep 0.01; done; touch a.out', outs: [a.out], run: {timeout: 20s}}
  b: {cmd: 'touch b.here; until [ -e a.here ]; do sleep 0.01; done; touch b.out', outs: [b.out], run: {timeout: 20s}}
",
        )
        .await;
    assert_eq!(states(&run), "a=succeeded b=succeeded");
}

const BROKEN: &str = "
stages:
  bad: {cmd: 'exit 3', outs: [bad.txt]}
  after: {cmd: 'cat bad.txt > after.txt', deps: [bad.txt], outs: [after.txt]}
  last: {cmd: 'cat after.txt > last.txt', deps: [after.txt], outs: [last.txt]}
  other: {cmd: 'touch other.txt', outs: [other.txt]}
  more: {cmd: 'touch more.txt', deps: [other.txt], outs: [more.txt]}
";

#[tokio::test]
async fn a_failure_skips_what_waits_for_it_and_keep_going_finishes_the_rest() {
    for house in houses().await {
        let mut request = house.request(BROKEN);
        request.on_failure = OnFailure::KeepGoing;
        let run = house.go(request).await;
        assert_eq!(
            states(&run),
            "after=skipped bad=failed last=skipped more=succeeded other=succeeded",
            "{}",
            house.name
        );
        assert_eq!(run.summary.state, RunState::Failed);
        let bad = run.stage("bad").unwrap();
        assert_eq!(bad.exit_code, Some(3));
        assert_eq!(
            bad.error.as_deref(),
            Some("stage \"bad\": the command ended with exit code 3")
        );
        assert_eq!(run.summary.error, bad.error);
    }
}

#[tokio::test]
async fn without_keep_going_nothing_new_starts_after_a_failure() {
    let mut house = house().await;
    house.options.slots = 1;
    let run = house
        .run(
            "
stages:
  a: {cmd: 'exit 1', outs: [a.txt]}
  b: {cmd: 'touch b.txt', outs: [b.txt]}
",
        )
        .await;
    assert_eq!(states(&run), "a=failed b=skipped");
    assert!(!house.exists("b.txt"));
}

#[tokio::test]
async fn a_list_of_commands_stops_at_the_first_that_fails() {
    let house = house().await;
    let run = house
        .run("stages:\n  a: {cmd: ['echo one', 'false', 'echo three'], outs: [x]}\n")
        .await;
    assert_eq!(run.stage("a").unwrap().state, StageState::Failed);
    assert_eq!(house.log(&run, "a").await, "one\n");
}

#[tokio::test]
async fn targets_bring_what_they_wait_for_and_nothing_else() {
    let house = house().await;
    house.write("in.txt", "x");
    let mut request = house.request(CHAIN);
    request.targets = vec![stage("b")];
    let run = house.go(request).await;
    assert_eq!(states(&run), "a=succeeded b=succeeded");
    let mut request = house.request(CHAIN);
    request.targets = vec![stage("bb")];
    let refused = house.pipelines.submit(&house.actor, request).await.unwrap_err();
    assert!(matches!(refused, Error::NoSuchStage { .. }));
    assert!(refused.hint().is_some(), "{refused}");
}

#[tokio::test]
async fn a_repeated_request_has_one_effect() {
    for house in houses().await {
        house.write("in.txt", "x");
        let mut request = house.request(CHAIN);
        request.idempotency_key = Some(IdempotencyKey::new("k1"));
        let first = house.submit(request.clone()).await;
        assert_eq!(house.submit(request).await, first, "{}", house.name);
        let runs = house.pipelines.list(&house.project, None, 10).await.unwrap();
        assert_eq!(runs.len(), 1);
    }
}

#[tokio::test]
async fn waiting_ends_with_the_run() {
    let house = house().await;
    let id = house
        .submit(house.request("stages:\n  a: {cmd: 'touch a', outs: [a]}\n"))
        .await;
    let waited = house.pipelines.wait(&house.project, &id);
    let (waited, done) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(30), waited),
        house.execute(&id)
    );
    assert_eq!(waited.unwrap().unwrap(), done);
}

#[tokio::test]
async fn a_wide_pipeline_of_two_thousand_stages_finishes() {
    let house = house().await;
    let stages: String = (0..2_000)
        .map(|n| format!("  s{n}: {{cmd: 'true', deps: [in.txt], outs: [{{o{n}: {{persist: true}}}}]}}\n"))
        .collect();
    house.write("in.txt", "x");
    for n in 0..2_000 {
        house.write(&format!("o{n}"), "");
    }
    let yaml = format!("stages:\n{stages}");
    let run = house.run(&yaml).await;
    assert_eq!(run.summary.state, RunState::Succeeded);
    assert!(
        run.stages
            .iter()
            .all(|stage| stage.state == StageState::Succeeded)
    );
    assert_eq!(run.stages.len(), 2_000);
    assert_eq!(house.events("stage.finished").await.len(), 2_000);
}
