//! Killing the process at random instants while it puts, collects and sweeps.

use crate::stores::{folder_store, folder_store_in, in_ten_days, listed, random, reads_back};
use bytes::Bytes;
use everloop_core::Hash;
use everloop_objects::{LiveSet, Objects, Options, StoreUrl, Swept};
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const ROUNDS: u64 = 30;

/// This test's own binary, running one ignored test as a process that may be killed.
pub fn child(test: &str, store: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("EVERLOOP_CHILD_STORE", store);
    command
}

/// The store that the parent names to a child.
pub fn child_store() -> StoreUrl {
    std::env::var("EVERLOOP_CHILD_STORE")
        .expect("run by its parent test only")
        .parse()
        .unwrap()
}

/// Puts for ever, and says each hash once its put was answered.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that the crash test kills"]
async fn child_puts_until_killed() {
    let objects = Objects::open(&child_store(), &Options::new(everloop_core::Ids::system()))
        .await
        .unwrap();
    let round: u64 = std::env::var("EVERLOOP_CHILD_ROUND").unwrap().parse().unwrap();
    let putters = (0..3).map(|putter| put_for_ever(objects.clone(), round * 1_000_000 + putter * 100_000));
    futures::future::join_all(putters).await;
}

async fn put_for_ever(objects: Objects, first_seed: u64) {
    for seed in first_seed.. {
        let stored = match seed % 4 {
            0 => vec![objects.put_bytes(random(10_000, seed)).await.unwrap()],
            1 => vec![objects.put_bytes(random((2 << 20) + 77, seed)).await.unwrap()],
            // The same bytes in each round: found again, half of the time in what a killed process left.
            2 => vec![
                objects
                    .put_bytes(random((1 << 20) + 5, seed % 100))
                    .await
                    .unwrap(),
            ],
            _ => objects
                .put_many((0..50).map(|n| random(700, seed * 50 + n)))
                .await
                .unwrap(),
        };
        // The test harness says the test's name without ending the line.
        let mut line = String::from("\n");
        for stored in stored {
            line.push_str(&format!("acked {}\n", stored.hash));
        }
        // One write: a kill can't cut a line that the parent then takes for whole.
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

/// The hashes a child says, as it says them.
fn acked(child: &mut Child) -> Receiver<Hash> {
    let (sender, receiver) = channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            if let Some(hash) = line.strip_prefix("acked ").and_then(|hex| hex.parse().ok()) {
                let _ = sender.send(hash);
            }
        }
    });
    receiver
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_instant() {
    // On a true disk: there flushing takes the time in which kills hit.
    let store = folder_store_in(tempfile::tempdir().unwrap());
    let path = store.folder.as_ref().unwrap().path().join("store");
    let mut chance = rand_pcg::Pcg64::seed_from_u64(1);
    let mut all = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = child("crash::child_puts_until_killed", path.to_str().unwrap())
            .env("EVERLOOP_CHILD_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = acked(&mut child);
        // From the first answer on, so that the kill meets puts and not the start of the process.
        all.insert(
            said.recv_timeout(Duration::from_secs(60))
                .expect("the child answers"),
        );
        std::thread::sleep(Duration::from_micros(chance.random_range(0..60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        all.extend(said.iter());
    }
    let leftovers = store.files("tmp").await.len();
    assert!(
        leftovers > 0,
        "no kill hit a put half way: the test proves nothing"
    );

    let objects = store.open().await;
    let visible = listed(&objects).await;
    assert!(visible.is_superset(&all), "acknowledged objects are gone");
    for hash in &visible {
        reads_back(&objects, hash).await;
    }
    let swept = objects.sweep(&in_ten_days()).await.unwrap();
    assert!(swept.files >= leftovers as u64);
    assert_eq!(store.files("tmp").await, BTreeSet::new());
    let live: LiveSet = all.iter().copied().collect();
    objects.collect(live.clone(), &in_ten_days()).await.unwrap();
    let cold = store.open().await;
    for hash in &all {
        reads_back(&cold, hash).await;
    }
    let again = cold.collect(live, &in_ten_days()).await.unwrap();
    assert_eq!(
        (again.freed_bytes, again.swept),
        (0, Swept::default()),
        "chunks without an object stayed"
    );
}

/// Collects until killed; what is live is said by the seeds.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that the crash test kills"]
async fn child_collects_until_killed() {
    let objects = Objects::open(&child_store(), &Options::new(everloop_core::Ids::system()))
        .await
        .unwrap();
    println!("\nacked {}", Hash::of(b"started"));
    objects.collect(living(), &in_ten_days()).await.unwrap();
}

fn content(seed: u64) -> Bytes {
    random(if seed.is_multiple_of(5) { 1_500_000 } else { 3_000 }, seed)
}

fn living_seeds() -> impl Iterator<Item = u64> {
    (0..200).step_by(3)
}

fn living() -> LiveSet {
    living_seeds().map(|seed| Hash::of(&content(seed))).collect()
}

#[tokio::test]
async fn a_collector_killed_at_any_instant_destroys_nothing_living() {
    let mut chance = rand_pcg::Pcg64::seed_from_u64(2);
    for _ in 0..12 {
        let store = folder_store();
        let objects = store.open().await;
        for group in 0..10 {
            objects
                .put_many((group * 20..group * 20 + 20).map(content))
                .await
                .unwrap();
        }
        let path = store.folder.as_ref().unwrap().path().join("store");
        let mut child = child("crash::child_collects_until_killed", path.to_str().unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        acked(&mut child)
            .recv_timeout(Duration::from_secs(60))
            .expect("the child starts");
        std::thread::sleep(Duration::from_micros(chance.random_range(0..40_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let cold = store.open().await;
        // No object is half deleted, and what lives is whole.
        for hash in listed(&cold).await {
            reads_back(&cold, &hash).await;
        }
        for seed in living_seeds() {
            assert_eq!(
                cold.get_bytes(&Hash::of(&content(seed))).await.unwrap(),
                content(seed)
            );
        }
        // Whatever the dead collector condemned, a put of it is safe, and the next collector ends the work.
        let again = cold.put_bytes(content(1)).await.unwrap().hash;
        let mut live = living();
        live.extend([again]);
        cold.collect(live, &in_ten_days()).await.unwrap();
        assert_eq!(listed(&store.open().await).await.len(), 68);
        assert_eq!(store.files("condemned").await, BTreeSet::new());
        reads_back(&store.open().await, &again).await;
    }
}
