//! How stages end: timeouts, cancels, retries, missing outs, dead workers.

use std::time::Duration;

use everloop_pipelines::{RunState, StageState, Worker};
use tokio_util::sync::CancellationToken;

use crate::house::{House, house, houses, stage, states};

/// Whether a process with this text in its command line lives.
fn lives(mark: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| line.windows(mark.len()).any(|part| part == mark.as_bytes()))
    })
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come about in 10 s");
}

#[tokio::test]
async fn an_out_that_was_not_written_fails_the_stage_by_name() {
    let house = house().await;
    let run = house
        .run("stages:\n  train: {cmd: 'true', outs: [model.onnx]}\n")
        .await;
    let failed = run.stage("train").unwrap();
    assert_eq!(
        failed.error.as_deref(),
        Some("stage \"train\": output \"model.onnx\" was not written")
    );
    assert_eq!(
        failed.hint.as_deref(),
        Some("check that the command writes \"model.onnx\", or remove it from outs")
    );
}

#[tokio::test]
async fn a_dependency_that_is_gone_fails_the_stage_before_it_runs() {
    let house = house().await;
    house.write("in.txt", "x");
    let request = house.request("stages:\n  a: {cmd: 'touch ran; touch o', deps: [in.txt], outs: [o]}\n");
    std::fs::remove_file(house.root.path().join("in.txt")).unwrap();
    let run = house.go(request).await;
    assert_eq!(
        run.stage("a").unwrap().error.as_deref(),
        Some("stage \"a\": dependency \"in.txt\" is missing")
    );
    assert!(!house.exists("ran"));
}

#[tokio::test]
async fn retries_try_again_and_then_give_up() {
    for house in houses().await {
        let run = house
            .run("stages:\n  a: {cmd: 'echo x >> tries; [ $(wc -l < tries) -ge 3 ] && touch o', outs: [o], run: {retries: 2}}\n")
            .await;
        assert_eq!(states(&run), "a=succeeded", "{}", house.name);
        assert_eq!(run.stage("a").unwrap().attempt, 3);
        let run = house
            .run("stages:\n  b: {cmd: 'echo x >> more; exit 7', outs: [p], run: {retries: 1}}\n")
            .await;
        assert_eq!(states(&run), "b=failed");
        assert_eq!(
            (run.stage("b").unwrap().attempt, house.read("more").as_str()),
            (2, "x\nx\n")
        );
    }
}

#[tokio::test]
async fn a_timeout_ends_the_whole_group_even_what_ignores_it() {
    let house = house().await;
    let run = house
        .run("stages:\n  a: {cmd: \"trap '' TERM; (trap '' TERM; sleep 7771) & sleep 7772; sleep 7773\", outs: [o], run: {timeout: 1s}}\n")
        .await;
    let failed = run.stage("a").unwrap();
    assert_eq!(failed.state, StageState::Failed);
    assert_eq!(failed.error_code.as_deref(), Some("deadline_exceeded"));
    for mark in ["7771", "7772", "7773"] {
        assert!(!lives(&format!("sleep\0{mark}")), "{mark} lives on");
    }
}

#[tokio::test]
async fn a_process_that_left_its_group_is_found_too() {
    let house = house().await;
    let run = house
        .run("stages:\n  a: {cmd: 'setsid sleep 6661 & sleep 6662', outs: [o], run: {timeout: 1s}}\n")
        .await;
    assert_eq!(states(&run), "a=failed");
    until("the daemon's end", || !lives("sleep\x006661")).await;
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it_and_holds_nothing_up() {
    let house = house().await;
    let run = house
        .run("stages:\n  a: {cmd: 'sleep 5551 & echo done > o; echo said', outs: [o], run: {timeout: 60s}}\n")
        .await;
    assert_eq!(states(&run), "a=succeeded");
    assert_eq!(house.log(&run, "a").await, "said\n");
    until("the leftover's end", || !lives("sleep\x005551")).await;
}

#[tokio::test]
async fn cancelling_ends_processes_and_is_final() {
    for house in houses().await {
        let yaml = "
stages:
  a: {cmd: 'touch started; sleep 4441', outs: [o]}
  b: {cmd: 'touch p', deps: [o], outs: [p]}
";
        let id = house.submit(house.request(yaml)).await;
        let cancel = async {
            until("the stage's start", || house.exists("started")).await;
            house
                .pipelines
                .cancel(&house.project, &id, &house.actor)
                .await
                .unwrap();
        };
        let (run, ()) = tokio::join!(house.execute(&id), cancel);
        assert_eq!(run.summary.state, RunState::Cancelled, "{}", house.name);
        assert_eq!(states(&run), "a=cancelled b=cancelled");
        assert!(!lives("sleep\x004441"));
        house
            .pipelines
            .cancel(&house.project, &id, &house.actor)
            .await
            .unwrap();
        assert_eq!(house.events("pipeline.finished").await.len(), 1);
    }
}

#[tokio::test]
async fn a_run_that_waits_is_cancelled_at_once() {
    let house = house().await;
    let id = house
        .submit(house.request("stages:\n  a: {cmd: 'touch o', outs: [o]}\n"))
        .await;
    house
        .pipelines
        .cancel(&house.project, &id, &house.actor)
        .await
        .unwrap();
    let run = house.execute(&id).await;
    assert_eq!(states(&run), "a=cancelled");
    assert!(!house.exists("o"));
}

#[tokio::test]
async fn a_worker_that_stops_gives_its_run_to_the_next() {
    let house = house().await;
    let yaml = "stages:\n  a: {cmd: 'echo x >> tries; [ $(wc -l < tries) -ge 2 ] && touch o || sleep 3331', outs: [o]}\n";
    let id = house.submit(house.request(yaml)).await;
    let stop = CancellationToken::new();
    let worker = Worker::new(house.pipelines.clone(), house.options.clone());
    let stopping = async {
        until("the stage's start", || house.exists("tries")).await;
        stop.cancel();
    };
    tokio::join!(worker.run(&stop), stopping);
    assert!(!lives("sleep\x003331"));
    let between = house.pipelines.status(&house.project, &id).await.unwrap();
    assert_eq!(
        (between.summary.state, states(&between).as_str()),
        (RunState::Running, "a=pending")
    );
    assert_eq!(states(&house.execute(&id).await), "a=succeeded");
}

#[tokio::test]
async fn a_lost_lease_changes_nothing_and_the_next_worker_finishes() {
    for mut house in houses().await {
        house.options.lease = Duration::from_secs(3_600);
        let yaml = "stages:\n  a: {cmd: 'echo x >> tries; touch o; [ $(wc -l < tries) -ge 2 ] || sleep 2.5', outs: [o]}\n";
        let id = house.submit(house.request(yaml)).await;
        let never = CancellationToken::new();
        let late = house.pipelines.execute(&id, &house.options, &never);
        let next = async {
            until("the stage's start", || house.exists("tries")).await;
            end_leases(&house).await;
            house.execute(&id).await
        };
        let (late, run) = tokio::join!(late, next);
        assert!(late.is_err(), "{}: {late:?}", house.name);
        assert_eq!(states(&run), "a=succeeded");
        assert_eq!(run.stage("a").unwrap().attempt, 2);
        assert_eq!(house.events("stage.finished").await.len(), 1, "one effect");
    }
}

/// As if the holder had been silent for longer than its lease.
async fn end_leases(house: &House) {
    house
        .pipelines
        .db
        .write(|tx| tx.execute("UPDATE everloop_leases SET expires_at = 1", &[]))
        .await
        .unwrap();
}

#[tokio::test]
async fn two_workers_share_the_runs_and_each_stage_runs_once() {
    for house in houses().await {
        let mut ids = Vec::new();
        for n in 0..6 {
            let yaml = format!("stages:\n  a: {{cmd: 'echo {n} >> all.txt; touch o{n}', outs: [o{n}]}}\n");
            ids.push(house.submit(house.request(&yaml)).await);
        }
        let stop = CancellationToken::new();
        let mut second = house.options.clone();
        second.name = "second".to_owned();
        let workers = [
            Worker::new(house.pipelines.clone(), house.options.clone()),
            Worker::new(house.pipelines.clone(), second),
        ];
        let waiting = async {
            for id in &ids {
                let run = house.pipelines.wait(&house.project, id).await.unwrap();
                assert_eq!(run.summary.state, RunState::Succeeded);
            }
            stop.cancel();
        };
        tokio::join!(workers[0].run(&stop), workers[1].run(&stop), waiting);
        let all = house.read("all.txt");
        let mut lines: Vec<&str> = all.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["0", "1", "2", "3", "4", "5"], "{}", house.name);
    }
}

#[tokio::test]
async fn memory_is_limited_when_asked() {
    let house = house().await;
    let grow = "x=$(head -c 200000000 /dev/zero | tr \"\\\\0\" x); echo ${#x} > o";
    let yaml = |memory: &str| {
        format!(
            "stages:\n  a: {{cmd: '{}', outs: [o], run: {{memory: {memory}}}}}\n",
            grow.replace("${", "\\${")
        )
    };
    assert_eq!(states(&house.run(&yaml("64MiB")).await), "a=failed");
    assert_eq!(
        states(&house.run(&yaml("4GiB")).await),
        "a=succeeded",
        "the limit was what failed it"
    );
}

#[tokio::test]
async fn another_engine_is_refused_with_a_hint() {
    let house = house().await;
    let run = house
        .run("stages:\n  a: {cmd: 'touch o', outs: [o], run: {on: ray}}\n")
        .await;
    let failed = run.stage("a").unwrap();
    assert_eq!(failed.error_code.as_deref(), Some("unsupported"));
    assert!(failed.hint.as_deref().unwrap().contains("run: {on: local}"));
}

#[tokio::test]
async fn an_out_behind_a_link_that_leads_out_is_refused() {
    let house = house().await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("precious"), "x").unwrap();
    std::os::unix::fs::symlink(outside.path(), house.root.path().join("link")).unwrap();
    let run = house
        .run("stages:\n  a: {cmd: 'true', outs: [link/precious]}\n")
        .await;
    assert_eq!(states(&run), "a=failed");
    assert!(outside.path().join("precious").exists());
}

#[tokio::test]
async fn a_log_can_be_followed_while_it_grows() {
    let house = house().await;
    let yaml = "stages:\n  a: {cmd: 'echo one; until [ -e go ]; do sleep 0.01; done; echo two >&2; touch o', outs: [o], run: {timeout: 30s}}\n";
    let id = house.submit(house.request(yaml)).await;
    let follow = async {
        let mut tail = house.pipelines.follow(&house.project, &id, &stage("a"));
        assert_eq!(tail.next().await.unwrap().unwrap(), b"one\n");
        house.write("go", "");
        assert_eq!(tail.next().await.unwrap().unwrap(), b"two\n");
        assert_eq!(tail.next().await.unwrap(), None);
    };
    tokio::join!(house.execute(&id), follow);
}
