//! Windows of a number of predictions.

use crate::bench::{DAY, HOUR, Row, START, on_each};
use everloop_core::Hash;
use everloop_monitoring::{Part, WindowResult};
use everloop_project::{Scope, Suite};
use serde_json::{Value, json};

fn monitor() -> Value {
    json!({
        "window": "100 rows",
        "drift": { "min_samples": 50, "min_effect": 0.1, "confirm": "1 of 1" },
        "performance": { "metric": "auc", "floor": 0.6, "delay": "1d", "min_samples": 50 },
    })
}

fn of(part: Part, results: &[WindowResult]) -> Vec<&WindowResult> {
    results.iter().filter(|result| result.part == part).collect()
}

#[tokio::test]
async fn windows_hold_so_many_rows_in_the_order_of_event_time() {
    on_each(async |bench| {
        // Later hours are logged first; 40 rows lie behind a gap of a month and fill no window yet.
        bench.log.add_many(START + 2 * HOUR, 120, 0.0);
        bench.log.add_many(START, 120, 0.0);
        bench.log.add_many(START + 30 * DAY, 40, 0.0);
        let judged = bench.judge(&monitor(), START + 5 * HOUR).await;
        let drift = of(Part::Drift, &judged);
        assert_eq!(drift.iter().map(|one| one.rows).collect::<Vec<_>>(), [100, 100]);
        assert_eq!(drift[0].span.start.0, START);
        assert_eq!(drift[0].span.end.0, START + 99 * 60_000 + 1);
        assert_eq!(drift[1].span.start.0, START + 100 * 60_000);
        assert!(of(Part::Performance, &judged).is_empty(), "labels have a day");
        // The gap and the 40 rows left over belong to one window when the rest comes.
        bench.log.add_many(START + 60 * DAY, 20, 0.0);
        let judged = bench.judge(&monitor(), START + 60 * DAY + HOUR).await;
        let drift = of(Part::Drift, &judged);
        assert_eq!((drift.len(), drift[0].rows), (1, 100));
        assert!(drift[0].span.end.0 > START + 60 * DAY);
        assert_eq!(of(Part::Performance, &judged).len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_row_that_comes_late_changes_nothing_that_was_judged() {
    on_each(async |bench| {
        bench.log.add_many(START, 200, 0.0);
        assert_eq!(bench.judge(&monitor(), START + 4 * HOUR).await.len(), 2);
        let before = bench.judged(Part::Drift).await;
        let late = |number: i64| Row {
            at: START + number * 60_000 + 1,
            id: format!("late{number}"),
            delay: 9_999.0,
            label: 1.0,
        };
        for number in 0..30 {
            bench.log.add(late(number));
        }
        assert!(bench.judge(&monitor(), START + 5 * HOUR).await.is_empty());
        assert_eq!(bench.judged(Part::Drift).await, before);
        // The next window begins after the last cut, not with the late rows.
        bench.log.add_many(START + DAY, 100, 0.0);
        let judged = bench.judge(&monitor(), START + 2 * DAY).await;
        let drift = of(Part::Drift, &judged);
        assert_eq!((drift.len(), drift[0].span.start.0), (1, START + DAY));
        // Its performance was not judged before, so they count there.
        let performance = bench.judged(Part::Performance).await;
        assert_eq!(
            performance.iter().map(|one| one.rows).collect::<Vec<_>>(),
            [130, 100]
        );
    })
    .await;
}

#[tokio::test]
async fn rows_of_one_moment_are_told_apart_by_their_ids() {
    on_each(async |bench| {
        for number in 0..350_u32 {
            // Ids in an order of their own.
            let id = Hash::of(&number.to_le_bytes()).to_hex();
            bench.log.add(Row {
                at: START,
                id,
                delay: f64::from(number % 101),
                label: f64::from(number % 2),
            });
        }
        let judged = bench.judge(&monitor(), START + 2 * DAY).await;
        for part in [Part::Drift, Part::Performance] {
            let rows: Vec<u64> = of(part, &judged).iter().map(|one| one.rows).collect();
            assert_eq!(rows, [100, 100, 100], "{part:?}");
        }
        assert!(bench.judge(&monitor(), START + 3 * DAY).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn two_processes_judge_each_window_once() {
    on_each(async |bench| {
        bench.log.add_many(START, 1_000, 500.0);
        let now = START + 2 * DAY;
        let monitor = monitor();
        let (one, other) = tokio::join!(bench.judge(&monitor, now), bench.judge(&monitor, now));
        assert_eq!(one.len() + other.len(), 20);
        assert_eq!(bench.judged(Part::Drift).await.len(), 10);
        assert_eq!(bench.events("monitor.window").await.len(), 20);
        assert_eq!(bench.events("monitor.drift").await.len(), 10);
        assert_eq!(bench.alerts().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn how_often_one_looks_does_not_move_the_windows() {
    on_each(async |bench| {
        for hour in 0..10 {
            bench.log.add_many(START + hour * HOUR, 37, 0.0);
            bench.judge(&monitor(), START + (hour + 1) * HOUR).await;
        }
        let starts: Vec<i64> = bench
            .judged(Part::Drift)
            .await
            .iter()
            .map(|one| one.span.start.0)
            .collect();
        // Row 100 is the 26th of the third hour, row 200 the 15th of the sixth.
        let expected = [
            START,
            START + 2 * HOUR + 26 * 60_000,
            START + 5 * HOUR + 15 * 60_000,
        ];
        assert_eq!(starts, expected);
    })
    .await;
}

#[tokio::test]
async fn quality_is_checked_by_count_too() {
    on_each(async |bench| {
        let suite = br#"{"checks": [{"range": {"column": "delay", "max": 150}}]}"#;
        let suite = Suite::parse("suite.yaml", suite, Scope::Data).unwrap();
        bench.log.add_many(START, 100, 0.0);
        bench.log.add_many(START + DAY, 100, 100.0);
        let monitor = json!({ "window": 100, "quality": [{ "range": { "column": "delay", "max": 150 } }] });
        let judged = bench
            .judge_with(&monitor, Some(&suite), START + DAY)
            .await
            .results;
        let breached: Vec<bool> = judged.iter().map(|one| one.breached).collect();
        assert_eq!(breached, [false, true]);
        assert_eq!(bench.events("monitor.quality").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_size_may_change_between_windows() {
    on_each(async |bench| {
        bench.log.add_many(START, 150, 0.0);
        bench.judge(&monitor(), START + 4 * HOUR).await;
        let mut smaller = monitor();
        smaller["window"] = json!("50 rows");
        bench.judge(&smaller, START + 4 * HOUR).await;
        let rows: Vec<u64> = bench
            .judged(Part::Drift)
            .await
            .iter()
            .map(|one| one.rows)
            .collect();
        assert_eq!(rows, [100, 50]);
    })
    .await;
}

#[tokio::test]
async fn a_window_is_compared_with_the_one_before_it_when_asked() {
    on_each(async |bench| {
        let monitor = json!({
            "window": "100 rows",
            "drift": { "reference": "previous", "min_samples": 50, "confirm": "1 of 1" },
        });
        bench.log.add_many(START, 200, 5_000.0);
        bench.log.add_many(START + DAY, 100, 9_000.0);
        let judged = bench.judge(&monitor, START + 2 * DAY).await;
        let breached: Vec<bool> = judged.iter().map(|one| one.breached).collect();
        assert_eq!(breached, [false, false, true]);
        assert!(judged[0].report["reference"].is_null(), "nothing was before it");
    })
    .await;
}
