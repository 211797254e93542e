//! What is released, what is not, and how it is taken back.

use crate::house::{House, houses, learning};
use everloop_controller::{Outcome, State};
use everloop_core::Actor;

const GOOD: &str = "{ metric: auc >= 0.6 }";
/// Nobody is better than the champion by so much.
const IMPOSSIBLE: &str = "{ better_than: champion, metric: auc, margin: 0.4 }";

async fn with_a_champion(house: &House) {
    let first = house.goes_round().await;
    assert_eq!(
        (first.state, first.outcome),
        (State::Done, Some(Outcome::Promoted)),
        "{first:?}"
    );
    assert_eq!(house.serving().await, (Some(1), vec![1]));
}

#[tokio::test]
async fn a_version_that_its_gates_refuse_moves_nothing() {
    for house in houses(&learning(GOOD, "")).await {
        with_a_champion(&house).await;
        house.flights(400..800);
        house.reads(&learning(IMPOSSIBLE, "")).await;
        let second = house.goes_round().await;
        assert_eq!(
            (second.version, second.outcome),
            (Some(2), Some(Outcome::Refused)),
            "{second:?}"
        );
        assert_eq!(house.serving().await, (Some(1), vec![1]));
        let gates = house.decided("gates").await;
        assert_eq!(gates[1].outcome, "refused");
        assert!(
            gates[1].evidence["gates"][0]["evidence"].is_object(),
            "{:?}",
            gates[1].evidence
        );
        assert_eq!(house.outcomes("promotion").await.len(), 1);
        house.close().await;
    }
}

#[tokio::test]
async fn a_rollback_restores_what_served_before() {
    for house in houses(&learning(GOOD, "")).await {
        with_a_champion(&house).await;
        house.flights(400..800);
        let second = house.goes_round().await;
        assert_eq!(second.outcome, Some(Outcome::Promoted), "{second:?}");
        assert_eq!(house.serving().await, (Some(2), vec![2]));
        let back = house
            .controller
            .roll_back_now(&Actor::system("test"), "it is worse", None)
            .await
            .unwrap();
        assert_eq!(back, 1);
        assert_eq!(house.serving().await, (Some(1), vec![1]));
        assert_eq!(house.outcomes("rollback").await, ["rolled_back"]);
        house.close().await;
    }
}

#[tokio::test]
async fn bad_data_trains_nothing() {
    let file = learning(GOOD, "").replace(
        "{ path: data/*.csv }",
        "{ path: data/*.csv, checks: [{ range: { column: x, max: 1 } }] }",
    );
    for house in houses(&file).await {
        with_a_champion(&house).await;
        house.write("data/bad.csv", "id,x,carrier,late\n999,77.5,A,0\n");
        let second = house.goes_round().await;
        assert_eq!(
            (second.version, second.outcome),
            (None, Some(Outcome::RefusedData)),
            "{second:?}"
        );
        assert_eq!(house.serving().await, (Some(1), vec![1]));
        house.close().await;
    }
}

#[tokio::test]
async fn a_retraining_waits_for_a_run_and_both_end() {
    let on = "on:\n  - { event: monitor.drift, do: run }\n  - { event: monitor.drift, do: retrain }\n";
    for house in houses(&learning(GOOD, on)).await {
        house.drifts().await;
        house.controller.settle().await.unwrap();
        assert_eq!(house.outcomes("run").await, ["succeeded"]);
        let all = house.retrainings().await;
        assert_eq!(
            (all.len(), all[0].outcome),
            (1, Some(Outcome::Promoted)),
            "{all:?}"
        );
        house.close().await;
    }
}
