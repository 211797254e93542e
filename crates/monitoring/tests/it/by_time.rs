//! Windows of a span of event time.

use crate::bench::{DAY, HOUR, START, on_each};
use everloop_monitoring::Part;
use serde_json::{Value, json};

fn monitor() -> Value {
    json!({
        "window": "1d",
        "drift": { "min_samples": 50, "min_effect": 0.1, "confirm": "1 of 1" },
        "performance": { "metric": "auc", "floor": 0.6, "delay": "1d", "min_samples": 50 },
    })
}

#[tokio::test]
async fn a_closed_window_is_judged_once_whoever_looks() {
    on_each(async |bench| {
        bench.log.add_many(START, 300, 0.0);
        assert!(
            bench.judge(&monitor(), START + DAY - 1).await.is_empty(),
            "it is open"
        );
        let monitor = monitor();
        let now = START + DAY;
        let (one, other) = tokio::join!(bench.judge(&monitor, now), bench.judge(&monitor, now));
        assert_eq!(one.len() + other.len(), 1);
        assert!(bench.judge(&monitor, now + HOUR).await.is_empty());
        assert_eq!(
            bench.judge(&monitor, now + DAY).await.len(),
            2,
            "the next day, and performance"
        );
        assert_eq!(bench.events("monitor.window").await.len(), 3);
        assert_eq!(bench.judged(Part::Drift).await[0].rows, 300);
    })
    .await;
}

#[tokio::test]
async fn a_window_once_judged_stays_as_it_is() {
    on_each(async |bench| {
        bench.log.add_many(START, 300, 0.0);
        bench.judge(&monitor(), START + DAY).await;
        let before = bench.judged(Part::Drift).await;
        bench.log.add_many(START + HOUR, 500, 9_999.0);
        assert!(bench.judge(&monitor(), START + DAY + HOUR).await.is_empty());
        assert_eq!(bench.judged(Part::Drift).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_window_is_compared_with_the_one_before_it_when_asked() {
    on_each(async |bench| {
        let monitor = json!({
            "window": "1d",
            "drift": { "reference": "previous", "min_samples": 50, "confirm": "1 of 1" },
        });
        // Far from training all along, and only the last day differs from the day before it.
        for (day, around) in [(0, 5_000.0), (1, 5_000.0), (2, 9_000.0)] {
            bench.log.add_many(START + day * DAY, 300, around);
        }
        let judged = bench.judge(&monitor, START + 3 * DAY).await;
        let breached: Vec<bool> = judged.iter().map(|one| one.breached).collect();
        assert_eq!(breached, [false, false, true]);
        assert!(judged[0].report["reference"].is_null(), "nothing was before it");
        assert_eq!(judged[2].report["drifted"], json!(["delay"]));
    })
    .await;
}
