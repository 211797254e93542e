//! Commits that arrive are events once.

use crate::house::{House, houses, project};
use everloop_controller::{Push, pushes, record_push};
use everloop_core::Actor;

async fn tells(house: &House, branch: &str, commit: &str) -> bool {
    let push = Push::new(branch, commit, &[]).unwrap();
    let now = house.parts.clock.now();
    let (_, is_new) = house
        .parts
        .db
        .write(move |tx| record_push(tx, now, &project(), &Actor::system("git"), &push))
        .await
        .unwrap();
    is_new
}

#[tokio::test]
async fn a_commit_counts_once_on_each_branch_and_fires_who_waits_for_it() {
    let file = "project: flights\non: [{ event: git.push, branch: main, do: notify }]\nnotify: [{ webhook: \"https://hooks.example.org\" }]\n";
    for house in houses(file).await {
        let (one, other) = ("a".repeat(40), "b".repeat(40));
        let (first, second) = tokio::join!(
            tells(&house, "main", &one),
            tells(&house, "refs/heads/main", &one)
        );
        assert!(first != second, "only one of them is new");
        assert!(tells(&house, "topic", &one).await);
        assert!(tells(&house, "main", &other).await);
        assert!(!tells(&house, "main", &one.to_uppercase()).await);
        house.controller.settle().await.unwrap();
        assert_eq!(house.events("git.push").await.len(), 3);
        assert_eq!(house.outcomes("trigger").await, ["fired", "fired"]);
        let seen = house
            .parts
            .db
            .read(|tx| pushes(tx, &project(), Some("main"), 10))
            .await
            .unwrap();
        let commits: Vec<&str> = seen.iter().map(|push| push.commit.as_str()).collect();
        assert_eq!(commits, [other.as_str(), one.as_str()]);
        house.close().await;
    }
}
