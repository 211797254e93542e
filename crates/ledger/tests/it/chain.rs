//! Places, hashes and times of appended events.

use everloop_core::{Actor, Hash, Timestamp};
use everloop_ledger::{Error, Filter, NewEvent, Seq, after, append, get, head, page, verify};

use tokio::task::JoinSet;

use crate::common::{add, event, filled, ledgers, project};

#[tokio::test]
async fn an_event_returns_as_it_was_appended() {
    for test in ledgers().await {
        let sent = event("flights", "dataset.version", 7);
        let seq = add(&test.db, 5_000, sent.clone()).await;
        let got = test.db.read(move |tx| get(tx, seq)).await.unwrap().unwrap();
        assert_eq!((got.seq, got.at), (Seq(1), Timestamp(5_000)), "{}", test.name);
        assert_eq!(got.actor, sent.actor);
        assert_eq!(got.project, sent.project);
        assert_eq!((got.kind.as_str(), &got.subject), (sent.kind, &sent.subject));
        assert_eq!(got.payload, sent.payload);
        assert_eq!(got.prev_hash, Hash::from_bytes([0; 32]));
    }
}

#[tokio::test]
async fn each_project_has_its_own_chain_in_one_order() {
    for test in filled().await {
        let events = test
            .db
            .read(|tx| after(tx, Seq(0), 100, &Filter::default()))
            .await
            .unwrap();
        assert_eq!(events.len(), 12);
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event.seq, Seq(index as i64 + 1), "{}", test.name);
            if index >= 2 {
                assert_eq!(event.prev_hash, events[index - 2].hash);
            }
        }
        let verified = verify(&test.db, &[]).await.unwrap();
        assert_eq!((verified.events, verified.problem), (12, None), "{}", test.name);
    }
}

#[tokio::test]
async fn a_rolled_back_change_leaves_no_gap() {
    for test in ledgers().await {
        add(&test.db, 1, event("flights", "a", 1)).await;
        let failed: Result<(), Error> = test
            .db
            .write(|tx| {
                append(tx, Timestamp(2), event("flights", "a", 2))?;
                Err(Error::InvalidSubject {
                    subject: String::new(),
                    problem: "the change fails after its event",
                })
            })
            .await;
        assert!(failed.is_err());
        assert_eq!(
            add(&test.db, 3, event("flights", "a", 3)).await,
            Seq(2),
            "{}",
            test.name
        );
        assert_eq!(verify(&test.db, &[]).await.unwrap().problem, None);
    }
}

#[tokio::test]
async fn sixty_four_writers_append_without_gap_or_error() {
    for test in ledgers().await {
        let mut writers = JoinSet::new();
        for writer in 0..64 {
            let db = test.db.clone();
            writers.spawn(async move {
                let name = if writer % 2 == 0 { "flights" } else { "houses" };
                for number in 0..4 {
                    add(&db, number, event(name, "a", number)).await;
                }
            });
        }
        writers.join_all().await;
        let verified = verify(&test.db, &[]).await.unwrap();
        assert_eq!((verified.events, verified.problem), (256, None), "{}", test.name);
        assert_eq!(test.db.read(head).await.unwrap(), Seq(256));
    }
}

#[tokio::test]
async fn a_clock_set_back_does_not_turn_time_back() {
    for test in ledgers().await {
        add(&test.db, 9_000, event("flights", "a", 1)).await;
        let seq = add(&test.db, 4_000, event("flights", "a", 2)).await;
        let other = add(&test.db, 4_000, event("houses", "a", 3)).await;
        let second = test.db.read(move |tx| get(tx, seq)).await.unwrap().unwrap();
        assert_eq!(second.at, Timestamp(9_000), "{}", test.name);
        let other = test.db.read(move |tx| get(tx, other)).await.unwrap().unwrap();
        assert_eq!(other.at, Timestamp(4_000), "another project has its own time");
        assert_eq!(verify(&test.db, &[]).await.unwrap().problem, None);
    }
}

#[tokio::test]
async fn filters_and_pages_find_the_same_events() {
    for test in filled().await {
        add(&test.db, 20_000, event("flights", "alias.moved", 13)).await;
        add(&test.db, 20_000, event("flights", "aliases", 14)).await;
        let numbers = |filter: Filter| {
            let db = test.db.clone();
            async move {
                let events = db.read(move |tx| after(tx, Seq(0), 100, &filter)).await.unwrap();
                events.iter().map(|event| event.seq.0).collect::<Vec<_>>()
            }
        };
        let kind = |kind: &str| Filter {
            kind: Some(kind.to_owned()),
            ..Filter::default()
        };
        assert_eq!(numbers(kind("alias.")).await, [13], "{}", test.name);
        assert_eq!(numbers(kind("alias")).await, [13, 14]);
        assert_eq!(numbers(kind("ALIAS")).await, [0_i64; 0]);
        let subject = Filter {
            subject: Some("dataset:flights@3".to_owned()),
            ..Filter::default()
        };
        assert_eq!(numbers(subject).await, [3]);
        let houses = Filter {
            project: Some(project("houses")),
            ..Filter::default()
        };
        assert_eq!(numbers(houses.clone()).await, [2, 4, 6, 8, 10, 12]);

        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let filter = houses.clone();
            let found = test
                .db
                .read(move |tx| page(tx, before, 4, &filter))
                .await
                .unwrap();
            seen.extend(found.events.iter().map(|event| event.seq.0));
            before = found.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, [12, 10, 8, 6, 4, 2], "{}", test.name);
    }
}

#[tokio::test]
async fn subjects_and_payloads_have_limits() {
    for test in ledgers().await {
        let refused = |subject: &str, payload: serde_json::Value| {
            let event = NewEvent {
                project: project("flights"),
                actor: Actor::system("test"),
                kind: "a",
                subject: subject.to_owned(),
                payload,
            };
            let db = test.db.clone();
            async move {
                db.write(move |tx| append(tx, Timestamp(1), event.clone()))
                    .await
                    .unwrap_err()
            }
        };
        for subject in ["", "a\nb", "a\u{1b}[31m", &"x".repeat(1_025)] {
            let error = refused(subject, serde_json::Value::Null).await;
            assert!(
                matches!(error, Error::InvalidSubject { .. }),
                "{subject:?}: {error}"
            );
        }
        let error = refused("a", serde_json::Value::String("x".repeat(1 << 20))).await;
        assert!(matches!(error, Error::PayloadTooLarge { .. }), "{error}");
        assert_eq!(test.db.read(head).await.unwrap(), Seq(0), "{}", test.name);
    }
}
