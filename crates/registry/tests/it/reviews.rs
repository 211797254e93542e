//! Gates and approvals: what checks and people said about a version.

use everloop_core::{DecisionId, Hash};
use everloop_registry::approvals::{self, Verdict};
use everloop_registry::gates::{self, Outcome};
use everloop_registry::versions::{self, Approval, State};
use everloop_registry::{Error, Result, VersionNumber};
use serde_json::json;

use crate::support::{World, delay, onnx, worlds};

const ONE: VersionNumber = VersionNumber(1);

async fn gate(world: &World, name: &'static str, outcome: Outcome, auc: f64) -> Result<()> {
    let (by, evidence) = (world.by.clone(), json!({ "auc": auc, "n": 9000 }));
    let decision = DecisionId::new("d1");
    world
        .write(move |tx| gates::record(tx, &by, &delay(), ONE, name, outcome, &evidence, Some(&decision)))
        .await
}

async fn approval(world: &World) -> Approval {
    let project = world.by.project.clone();
    let found = world
        .read(move |tx| versions::get(tx, &project, &delay(), ONE))
        .await
        .unwrap();
    found.unwrap().approval
}

#[tokio::test]
async fn the_last_answer_of_each_gate_counts_and_all_are_kept() {
    for world in worlds().await {
        assert!(matches!(
            gate(&world, "auc", Outcome::Passed, 0.7).await,
            Err(Error::NoModel(_))
        ));
        world.ready().await;
        gate(&world, "auc >= 0.68", Outcome::Failed, 0.6).await.unwrap();
        gate(&world, "latency", Outcome::Skipped, 0.0).await.unwrap();
        gate(&world, "auc >= 0.68", Outcome::Passed, 0.7).await.unwrap();
        let project = world.by.project.clone();
        let (last, all) = world
            .read(move |tx| {
                Ok((
                    gates::last(tx, &project, &delay(), ONE)?,
                    gates::all(tx, &project, &delay(), ONE)?,
                ))
            })
            .await
            .unwrap();
        let outcomes: Vec<_> = last
            .iter()
            .map(|result| (result.gate.as_str(), result.outcome))
            .collect();
        assert_eq!(
            outcomes,
            [("auc >= 0.68", Outcome::Passed), ("latency", Outcome::Skipped)],
            "{}",
            world.name
        );
        assert_eq!(last[0].evidence, json!({ "auc": 0.7, "n": 9000 }));
        assert_eq!(last[0].decision.as_ref().unwrap().as_str(), "d1");
        assert_eq!(
            all.iter().map(|result| result.outcome).collect::<Vec<_>>(),
            [Outcome::Failed, Outcome::Skipped, Outcome::Passed]
        );
        let event = world.events().await.pop().unwrap();
        assert_eq!(
            (event.kind.as_str(), event.seq.0),
            ("gate.evaluated", last[0].seq)
        );
        let evidence = last[0].evidence.to_string();
        assert_eq!(
            event.payload["evidence_hash"],
            Hash::of(evidence.as_bytes()).to_hex()
        );
    }
}

#[tokio::test]
async fn the_last_word_counts_and_all_are_kept() {
    for world in worlds().await {
        world.ready().await;
        assert_eq!(approval(&world).await, Approval::NotAsked);
        for _ in 0..2 {
            let by = world.by.clone();
            world
                .write(move |tx| approvals::ask(tx, &by, &delay(), ONE))
                .await
                .unwrap();
        }
        assert_eq!(approval(&world).await, Approval::Asked);
        for (verdict, expected) in [
            (Verdict::Rejected, Approval::Rejected),
            (Verdict::Approved, Approval::Approved),
        ] {
            let by = world.at(5);
            world
                .write(move |tx| approvals::give(tx, &by, &delay(), ONE, verdict, "seen"))
                .await
                .unwrap();
            assert_eq!(approval(&world).await, expected, "{}", world.name);
        }
        // A word that was given is not asked away.
        let by = world.by.clone();
        world
            .write(move |tx| approvals::ask(tx, &by, &delay(), ONE))
            .await
            .unwrap();
        assert_eq!(approval(&world).await, Approval::Approved);
        let project = world.by.project.clone();
        let words = world
            .read(move |tx| approvals::all(tx, &project, &delay(), ONE))
            .await
            .unwrap();
        let verdicts: Vec<Verdict> = words.iter().map(|word| word.verdict).collect();
        assert_eq!(verdicts, [Verdict::Rejected, Verdict::Approved]);
        assert_eq!(
            (words[1].actor.to_string(), words[1].at),
            ("local:ada".to_owned(), world.at(5).at)
        );
        assert_eq!(
            world.kinds().await[3..],
            ["approval.asked", "model.rejected", "model.approved"]
        );
        // What people write stays out of the chain.
        let last = world.events().await.pop().unwrap();
        assert!(!last.payload.to_string().contains("seen"));
    }
}

#[tokio::test]
async fn a_failed_version_can_not_be_approved() {
    for world in worlds().await {
        world.pending(onnx()).await;
        let by = world.by.clone();
        let refused = world
            .write(move |tx| {
                versions::mark_failed(tx, &by, &delay(), ONE, "broken")?;
                approvals::give(tx, &by, &delay(), ONE, Verdict::Approved, "")
            })
            .await;
        assert!(matches!(
            refused,
            Err(Error::VersionState {
                found: State::Failed,
                ..
            })
        ));
        // Both changes stood in one transaction.
        assert_eq!(
            world.kinds().await,
            ["model.created", "model.version"],
            "{}",
            world.name
        );
    }
}
