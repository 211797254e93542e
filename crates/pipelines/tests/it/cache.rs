//! When a stage runs again, and when its outs are those it had.

use everloop_pipelines::StageState;
use serde_json::json;

use crate::house::{House, house, houses, states};

const PIPELINE: &str = "
stages:
  prepare:
    cmd: 'mkdir -p data && tr a-z A-Z < raw.txt > data/up.txt && wc -c < raw.txt > data/count.txt && echo x >> ran'
    deps: [raw.txt]
    outs: [data]
  train:
    cmd: 'cat data/up.txt > model.txt && echo $EVERLOOP_PARAMS >> model.txt && echo x >> ran.train'
    deps: [data/up.txt]
    params: [train.depth]
    outs: [model.txt]
  report:
    cmd: 'cat model.txt > report.txt'
    deps: [model.txt]
    params: [title]
    outs: [report.txt]
";

fn fill(house: &House) {
    house.write("raw.txt", "abc\n");
    house.write("params.yaml", "train: {depth: 4}\ntitle: one\n");
}

#[tokio::test]
async fn nothing_runs_twice_and_nothing_is_lost() {
    for house in houses().await {
        fill(&house);
        let first = house.run(PIPELINE).await;
        assert_eq!(
            states(&first),
            "prepare=succeeded report=succeeded train=succeeded",
            "{}: {first:?}",
            house.name
        );
        let again = house.run(PIPELINE).await;
        assert_eq!(states(&again), "prepare=cached report=cached train=cached");
        assert_eq!(
            again.stage("train").unwrap().tracked_run,
            first.stage("train").unwrap().tracked_run
        );
        assert_eq!(
            again.summary.tracked_run, None,
            "nothing ran, so nothing is tracked"
        );
        assert_eq!(house.read("ran"), "x\n");
        assert_eq!(house.events("stage.finished").await.len(), 3);
    }
}

#[tokio::test]
async fn a_param_reruns_only_what_reads_it_and_what_follows() {
    for house in houses().await {
        fill(&house);
        house.run(PIPELINE).await;
        house.write("params.yaml", "train: {depth: 6}\ntitle: one\nunread: 1\n");
        let run = house.run(PIPELINE).await;
        assert_eq!(
            states(&run),
            "prepare=cached report=succeeded train=succeeded",
            "{}",
            house.name
        );
        assert_eq!(
            run.stage("train").unwrap().reason.as_deref(),
            Some("param train.depth 4 -> 6")
        );
        assert_eq!(
            run.stage("report").unwrap().reason.as_deref(),
            Some("dep model.txt changed")
        );
    }
}

#[tokio::test]
async fn an_override_counts_like_the_file_and_reaches_the_process() {
    let house = house().await;
    fill(&house);
    house.run(PIPELINE).await;
    let mut request = house.request(PIPELINE);
    request.params.insert("train.depth".to_owned(), json!(9));
    let run = house.go(request.clone()).await;
    assert_eq!(states(&run), "prepare=cached report=succeeded train=succeeded");
    assert!(
        house.read("model.txt").contains(r#""train.depth":9"#),
        "{}",
        house.read("model.txt")
    );
    request.params.insert("train.deth".to_owned(), json!(9));
    let refused = house.pipelines.submit(&house.actor, request).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "no stage to run reads the parameter \"train.deth\""
    );
}

#[tokio::test]
async fn going_back_to_old_inputs_fetches_the_old_outs() {
    for house in houses().await {
        fill(&house);
        house.run(PIPELINE).await;
        let old = house.read("model.txt");
        house.write("raw.txt", "other text\n");
        house.run(PIPELINE).await;
        assert_ne!(house.read("model.txt"), old);
        house.write("raw.txt", "abc\n");
        house.write("data/stray.txt", "not of this stage");
        let run = house.run(PIPELINE).await;
        assert_eq!(
            states(&run),
            "prepare=cached report=cached train=cached",
            "{}",
            house.name
        );
        assert_eq!(house.read("model.txt"), old);
        assert_eq!(house.read("data/up.txt"), "ABC\n");
        assert!(
            !house.exists("data/stray.txt"),
            "a restored folder holds what the stage wrote"
        );
        assert_eq!(house.read("ran"), "x\nx\n");
    }
}

#[tokio::test]
async fn outs_that_are_missing_or_changed_come_back_without_running() {
    let house = house().await;
    fill(&house);
    house.run(PIPELINE).await;
    std::fs::remove_dir_all(house.root.path().join("data")).unwrap();
    house.write("report.txt", "scribbled over");
    let run = house.run(PIPELINE).await;
    assert_eq!(states(&run), "prepare=cached report=cached train=cached");
    assert_eq!(house.read("data/up.txt"), "ABC\n");
    assert!(house.read("report.txt").starts_with("ABC\n"));
    assert_eq!(house.read("ran"), "x\n");
}

#[tokio::test]
async fn an_out_without_cache_is_not_fetched_but_made_again() {
    let house = house().await;
    let yaml = "stages:\n  a: {cmd: 'echo 1 > a.txt', params: [x], outs: [{a.txt: {cache: false}}]}\nparams: {x: 1}\n";
    assert_eq!(states(&house.run(yaml).await), "a=succeeded");
    assert_eq!(states(&house.run(yaml).await), "a=cached");
    std::fs::remove_file(house.root.path().join("a.txt")).unwrap();
    let run = house.run(yaml).await;
    assert_eq!(states(&run), "a=succeeded");
    assert_eq!(
        run.stage("a").unwrap().reason.as_deref(),
        Some("output a.txt is missing")
    );
}

#[tokio::test]
async fn what_is_to_run_always_does_and_what_is_frozen_never() {
    let house = house().await;
    house.write("in.txt", "1");
    let yaml = "
stages:
  always: {cmd: 'date > now.txt', always_changed: true, outs: [now.txt]}
  callback: {cmd: 'echo x >> called'}
  frozen: {cmd: 'cat in.txt > kept.txt', deps: [in.txt], outs: [kept.txt], frozen: true}
  after: {cmd: 'cat kept.txt > after.txt', deps: [kept.txt], outs: [after.txt]}
";
    house.write("kept.txt", "by hand");
    for _ in 0..2 {
        let run = house.run(yaml).await;
        assert_eq!(run.stage("always").unwrap().state, StageState::Succeeded);
        assert_eq!(run.stage("callback").unwrap().state, StageState::Succeeded);
        assert_eq!(run.stage("frozen").unwrap().state, StageState::Cached);
    }
    assert_eq!(house.read("called"), "x\nx\n");
    assert_eq!(house.read("after.txt"), "by hand");
    let mut request =
        house.request("stages:\n  a: {cmd: 'echo x >> n; touch o', deps: [in.txt], outs: [o]}\n");
    house.go(request.clone()).await;
    request.force = true;
    house.go(request).await;
    assert_eq!(house.read("n"), "x\nx\n");
}

#[tokio::test]
async fn declared_variables_count_and_others_do_not() {
    let house = house().await;
    let yaml = |declared: &str| {
        format!(
            "stages:\n  a: {{cmd: 'echo \"$V $HANDED_ON\" > o', outs: [o], params: [p], run: {{env: {declared}}}}}\nparams: {{p: 1}}\n"
        )
    };
    assert_eq!(
        states(&house.run(&yaml("{V: one, HANDED_ON: null}")).await),
        "a=succeeded"
    );
    assert_eq!(house.read("o"), "one from the worker\n");
    assert_eq!(
        states(&house.run(&yaml("{V: one, HANDED_ON: null}")).await),
        "a=cached"
    );
    let run = house.run(&yaml("{V: two, HANDED_ON: null}")).await;
    assert_eq!(
        run.stage("a").unwrap().reason.as_deref(),
        Some("variable V changed")
    );
}

#[tokio::test]
async fn a_dependency_changed_meanwhile_spoils_the_entry() {
    let house = house().await;
    house.write("in.txt", "before");
    let yaml = "stages:\n  a: {cmd: 'cat in.txt > o; echo after > in.txt', deps: [in.txt], outs: [o]}\n";
    assert_eq!(states(&house.run(yaml).await), "a=succeeded");
    house.write("in.txt", "before");
    let run = house.run(yaml).await;
    assert_eq!(
        states(&run),
        "a=succeeded",
        "its outs may have been made of either content"
    );
}

#[tokio::test]
async fn a_persistent_out_stays_while_the_stage_runs_and_others_go_first() {
    let house = house().await;
    let yaml = "stages:\n  a: {cmd: 'cat gone 2>/dev/null; echo x >> kept; echo y > gone', always_changed: true, outs: [gone, {kept: {persist: true}}]}\n";
    house.run(yaml).await;
    let run = house.run(yaml).await;
    assert_eq!(house.read("kept"), "x\nx\n");
    assert_eq!(
        house.log(&run, "a").await,
        "",
        "what it wrote before is gone when it starts"
    );
}

#[tokio::test]
async fn executables_stay_executable() {
    let house = house().await;
    let yaml = "stages:\n  a: {cmd: 'printf \"#!/bin/sh\\necho hi\\n\" > tool && chmod +x tool', outs: [tool], params: [p]}\nparams: {p: 1}\n";
    house.run(yaml).await;
    std::fs::remove_file(house.root.path().join("tool")).unwrap();
    assert_eq!(states(&house.run(yaml).await), "a=cached");
    let said = std::process::Command::new(house.root.path().join("tool"))
        .output()
        .unwrap();
    assert_eq!(said.stdout, b"hi\n");
}

/// A random pipeline: each stage joins some files of stages before it, or of the user.
fn random_pipeline(shape: &[(u8, u8)]) -> String {
    let mut yaml = "stages:\n".to_owned();
    for (place, &(first, second)) in shape.iter().enumerate() {
        let from = |choice: u8| match usize::from(choice) % (place + 2) {
            chosen @ (0 | 1) => format!("in{chosen}.txt"),
            chosen => format!("o{}/x", chosen - 2),
        };
        let (a, b) = (from(first), from(second));
        let deps = if a == b { a.clone() } else { format!("{a}, {b}") };
        yaml.push_str(&format!(
            "  s{place}: {{cmd: 'mkdir -p o{place} && cat {a} {b} > o{place}/x && echo {place} >> o{place}/x', deps: [{deps}], outs: [o{place}]}}\n"
        ));
    }
    yaml
}

/// All outs of a workspace.
fn outs(house: &House, stages: usize) -> Vec<String> {
    (0..stages).map(|n| house.read(&format!("o{n}/x"))).collect()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 6, ..Default::default() })]

    /// Whatever is edited, broken and brought back: the workspace ends as if everything had run anew.
    #[test]
    fn a_cache_hit_equals_a_rerun(
        shape in proptest::collection::vec(proptest::prelude::any::<(u8, u8)>(), 1..5),
        edits in proptest::collection::vec((0_u8..2, 0_u8..3, 0_usize..5, proptest::prelude::any::<bool>()), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (cached, fresh) = (house().await, house().await);
            let yaml = random_pipeline(&shape);
            for both in [&cached, &fresh] {
                both.write("in0.txt", "0\n");
                both.write("in1.txt", "1\n");
            }
            cached.run(&yaml).await;
            for (file, text, broken, is_removed) in edits {
                for both in [&cached, &fresh] {
                    both.write(&format!("in{file}.txt"), &format!("{text}\n"));
                }
                let victim = cached.root.path().join(format!("o{}", broken % shape.len()));
                if is_removed {
                    std::fs::remove_dir_all(victim).unwrap();
                } else {
                    std::fs::write(victim.join("x"), "scribble").unwrap();
                }
                cached.run(&yaml).await;
                let mut forced = fresh.request(&yaml);
                forced.force = true;
                fresh.go(forced).await;
                assert_eq!(outs(&cached, shape.len()), outs(&fresh, shape.len()));
            }
        });
    }
}
