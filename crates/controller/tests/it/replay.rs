//! Two replays of the same story decide the same.

use crate::house::{HOUR, House, houses, learning};
use serde_json::Value;

/// What a decision says, less what names this run of it.
fn lines(decisions: Vec<everloop_controller::Decision>) -> Vec<String> {
    let numbers = |evidence: &Value| evidence["gates"].to_string();
    decisions
        .into_iter()
        .map(|one| {
            format!(
                "{} {} {} {} {}",
                one.at,
                one.kind,
                one.outcome,
                one.words,
                numbers(&one.evidence)
            )
        })
        .collect()
}

async fn story(house: &House) -> Vec<String> {
    for month in 1..=4_u64 {
        house.parts.clock.advance(HOUR * 24 * 30);
        house.flights(month * 400..month * 400 + 300);
        house.drifts().await;
        house.controller.settle().await.unwrap();
    }
    lines(house.decided("").await)
}

#[tokio::test]
async fn a_replay_decides_the_same_again() {
    let on = "on:\n  - { event: monitor.drift, do: retrain, cooldown: 45d }\n  - { event: monitor.drift, do: notify }\nnotify: [{ webhook: \"https://hooks.example.org\" }]\n";
    let gate = "{ metric: auc >= 0.6 }, { better_than: champion, metric: auc, margin: -0.05 }";
    let file = learning(gate, on);
    let mut stories = Vec::new();
    for _ in 0..2 {
        for house in houses(&file).await {
            stories.push(story(&house).await);
            house.close().await;
        }
    }
    assert!(
        stories[0].iter().any(|line| line.contains(" promotion ")),
        "{:#?}",
        stories[0]
    );
    assert!(
        stories[0].iter().any(|line| line.contains(" held_back ")),
        "{:#?}",
        stories[0]
    );
    for other in &stories[1..] {
        assert_eq!(other, &stories[0]);
    }
}
