//! Cool-down, budget, guard; what `do` starts.

use crate::house::{HOUR, House, houses, project};
use serde_json::json;

const NOTIFIED: &str = "notify: [{ webhook: \"https://hooks.example.org\" }]\n";

fn notifying(rest: &str) -> String {
    format!("project: flights\non: [{{ event: git.push, do: notify{rest} }}]\n{NOTIFIED}")
}

async fn on_each(file: &str, law: impl AsyncFn(&House)) {
    for house in houses(file).await {
        law(&house).await;
        house.close().await;
    }
}

#[tokio::test]
async fn a_trigger_cools_down() {
    on_each(&notifying(", cooldown: 12h"), async |house| {
        for _ in 0..4 {
            house.pushed().await;
            house.controller.settle().await.unwrap();
            house.parts.clock.advance(HOUR * 5);
        }
        // At 0, 5, 10 and 15 hours.
        let expected = ["fired", "held_back", "held_back", "fired"];
        assert_eq!(house.outcomes("trigger").await, expected);
        assert_eq!(house.events("trigger.notify").await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_budget_counts_firings_of_one_moment_too() {
    on_each(&notifying(", budget: 2 per day"), async |house| {
        for _ in 0..4 {
            house.pushed().await;
        }
        house.controller.settle().await.unwrap();
        let expected = ["fired", "fired", "held_back", "held_back"];
        assert_eq!(house.outcomes("trigger").await, expected);
        house.parts.clock.advance(HOUR * 25);
        house.pushed().await;
        house.controller.settle().await.unwrap();
        assert_eq!(house.outcomes("trigger").await.last().unwrap(), "fired");
    })
    .await;
}

#[tokio::test]
async fn two_processes_fire_once() {
    on_each(&notifying(""), async |house| {
        for _ in 0..5 {
            house.pushed().await;
        }
        let other = house.another();
        let (one, two) = tokio::join!(house.controller.settle(), other.settle());
        one.unwrap();
        two.unwrap();
        assert_eq!(house.outcomes("trigger").await, ["fired"; 5]);
        assert_eq!(house.events("trigger.notify").await.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn a_message_says_why_and_starts_nothing() {
    on_each(&notifying(""), async |house| {
        house.pushed().await;
        house.controller.settle().await.unwrap();
        let told = house.events("trigger.notify").await;
        assert_eq!(told[0].payload["words"], "2 commits on main");
        assert_eq!(told[0].payload["reason"]["event"], "git.push");
        assert_eq!(told[0].subject, "trigger:git.push (notify)");
        assert!(house.retrainings().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn triggers_of_one_event_have_cool_downs_of_their_own() {
    let file = format!(
        "project: flights\non:\n  - {{ event: git.push, do: notify, cooldown: 1d }}\n  - {{ event: git.push, do: notify, cooldown: 2h, name: often }}\n{NOTIFIED}"
    );
    on_each(&file, async |house| {
        for _ in 0..3 {
            house.pushed().await;
            house.controller.settle().await.unwrap();
            house.parts.clock.advance(HOUR * 3);
        }
        let subjects: Vec<String> = house
            .events("trigger.notify")
            .await
            .into_iter()
            .map(|event| event.subject)
            .collect();
        let often = "trigger:often";
        assert_eq!(subjects, ["trigger:git.push (notify)", often, often, often]);
    })
    .await;
}

#[tokio::test]
async fn what_a_run_wrote_starts_no_run() {
    let file = format!(
        "project: flights\ndatasets: {{ flights: {{ path: data/*.csv }} }}\non: [{{ event: dataset.version, do: notify }}]\n{NOTIFIED}"
    );
    on_each(&file, async |house| {
        house
            .happens("dataset.version", json!({ "dataset": "flights", "run": "r1" }))
            .await;
        house.controller.settle().await.unwrap();
        assert!(house.outcomes("trigger").await.is_empty());
        house
            .happens("dataset.version", json!({ "dataset": "flights" }))
            .await;
        house.controller.settle().await.unwrap();
        assert_eq!(house.outcomes("trigger").await, ["fired"]);
    })
    .await;
}

#[tokio::test]
async fn a_schedule_that_was_missed_fires_once() {
    let file = format!("project: flights\non: [{{ schedule: \"0 * * * *\", do: notify }}]\n{NOTIFIED}");
    on_each(&file, async |house| {
        house.controller.settle().await.unwrap();
        assert!(
            house.outcomes("trigger").await.is_empty(),
            "its first time lies ahead"
        );
        house.parts.clock.advance(HOUR * 50);
        house.controller.settle().await.unwrap();
        assert_eq!(house.outcomes("trigger").await, ["fired"]);
        house.parts.clock.advance(HOUR);
        house.controller.settle().await.unwrap();
        assert_eq!(house.outcomes("trigger").await, ["fired", "fired"]);
    })
    .await;
}

const RUNNING: &str = "
project: flights
stages:
  copy: { cmd: cp in.txt out.txt, deps: [in.txt], outs: [out.txt] }
on: [{ event: git.push, do: run }]
";

#[tokio::test]
async fn a_run_is_the_pipeline_and_nothing_else() {
    on_each(RUNNING, async |house| {
        house.pushed().await;
        house.controller.settle().await.unwrap();
        let made = std::fs::read_to_string(house.root.path().join("out.txt")).unwrap();
        assert_eq!(made, "flights\n");
        assert_eq!(house.outcomes("run").await, ["succeeded"]);
        let run = &house.decided("run").await[0];
        assert_eq!(run.evidence["reason"]["event"], "git.push");
        assert!(house.retrainings().await.is_empty());
        assert_eq!(house.serving().await, (None, Vec::new()));
    })
    .await;
}

#[tokio::test]
async fn a_run_that_fails_is_told_and_the_next_one_starts() {
    on_each(RUNNING, async |house| {
        let broken = RUNNING.replace("cp in.txt out.txt", "exit 3");
        house.reads(&broken).await;
        house.pushed().await;
        house.controller.settle().await.unwrap();
        house.reads(RUNNING).await;
        house.pushed().await;
        house.controller.settle().await.unwrap();
        assert_eq!(house.outcomes("run").await, ["failed", "succeeded"]);
    })
    .await;
}

#[tokio::test]
async fn while_one_runs_the_next_is_held_back() {
    on_each(RUNNING, async |house| {
        house.pushed().await;
        house.pushed().await;
        house.controller.settle().await.unwrap();
        assert_eq!(house.outcomes("trigger").await, ["fired", "held_back"]);
        assert_eq!(house.outcomes("run").await, ["succeeded"]);
        let runs = house
            .parts
            .db
            .read(|tx| {
                tx.query(
                    "SELECT state FROM trigger_runs WHERE project = ?1",
                    &[project().as_str().into()],
                )
            })
            .await
            .unwrap();
        assert_eq!(runs.len(), 1);
    })
    .await;
}
