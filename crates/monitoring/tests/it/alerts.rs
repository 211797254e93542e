//! When a breach becomes an alert, and when that ends.

use crate::bench::{DAY, START, on_each};
use everloop_monitoring::AlertState;
use serde_json::{Value, json};

fn monitor(window: &str) -> Value {
    json!({ "window": window, "drift": { "min_samples": 50, "min_effect": 0.1, "confirm": "2 of 3" } })
}

#[tokio::test]
async fn an_alert_needs_two_of_three_windows_and_ends_with_a_good_one() {
    for window in ["1d", "100 rows"] {
        on_each(async |bench| {
            // good, bad, good, bad (2 of the last 3), bad, good, good.
            let days = [0.0, 500.0, 0.0, 500.0, 500.0, 0.0, 0.0];
            let mut open = Vec::new();
            for (day, around) in days.into_iter().enumerate() {
                let start = START + day as i64 * DAY;
                bench.log.add_many(start, 100, around);
                bench.judge(&monitor(window), start + DAY).await;
                let alerts = bench.alerts().await;
                open.push(alerts.iter().any(|alert| alert.state == AlertState::Open));
            }
            assert_eq!(open, [false, false, false, true, true, false, false], "{window}");
            assert_eq!(bench.alerts().await.len(), 1);
            let kinds: Vec<String> = bench
                .events("alert.")
                .await
                .into_iter()
                .map(|event| event.kind)
                .collect();
            assert_eq!(kinds, ["alert.opened", "alert.resolved"]);
            assert_eq!(
                bench.events("monitor.drift").await.len(),
                2,
                "each confirmed window is told"
            );
        })
        .await;
    }
}
