//! Writers against collectors, operation by operation.
//!
//! Each actor works on the real store through a [`Stepped`] backend that lets one operation pass at a time, in an
//! order drawn from a seed. Whatever the order, what a writer was told to be stored must be readable afterwards.

use super::{CleanOptions, LiveSet};
use crate::backend::{Backend, Folder, Remote, Stat, Touched};
use crate::key::{Area, Key};
use crate::{Objects, Result};
use async_trait::async_trait;
use bytes::Bytes;
use everloop_core::{Hash, Ids, Timestamp};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use rand::{Rng, RngCore, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const SCHEDULES: u64 = 150;

/// Whose operation is next.
#[derive(Debug)]
struct Turns {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    order: Vec<usize>,
    next: usize,
    busy: bool,
    done: Vec<bool>,
}

impl Turns {
    /// Runs of operations of one actor after the other, from one to a dozen long.
    fn random(actors: usize, seed: u64) -> Arc<Self> {
        let mut chance = Pcg64::seed_from_u64(seed);
        let mut order = Vec::new();
        while order.len() < 4_000 {
            let (actor, run) = (chance.random_range(0..actors), chance.random_range(1..13));
            order.extend(std::iter::repeat_n(actor, run));
        }
        let state = State {
            order,
            next: 0,
            busy: false,
            done: vec![false; actors],
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    async fn turn(&self, actor: usize) -> Turn<'_> {
        loop {
            let changed = self.changed.notified();
            if self.state.lock().take(actor) {
                return Turn(self);
            }
            changed.await;
        }
    }

    fn leave(&self, actor: usize) {
        self.state.lock().done[actor] = true;
        self.changed.notify_waiters();
    }
}

impl State {
    fn take(&mut self, actor: usize) -> bool {
        while self.next < self.order.len() && self.done[self.order[self.next]] {
            self.next += 1;
        }
        let mine = self.next >= self.order.len() || self.order[self.next] == actor;
        let taken = mine && !self.busy;
        if taken {
            self.busy = true;
            self.next += 1;
        }
        taken
    }
}

struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state.lock().busy = false;
        self.0.changed.notify_waiters();
    }
}

/// One actor's way to the store.
#[derive(Debug, Clone)]
struct Stepped {
    inner: Arc<dyn Backend>,
    turns: Arc<Turns>,
    actor: usize,
}

#[async_trait]
impl Backend for Stepped {
    async fn read(&self, key: &Key) -> Result<Option<Bytes>> {
        let _turn = self.turns.turn(self.actor).await;
        self.inner.read(key).await
    }

    async fn read_range(&self, key: &Key, range: Range<u64>) -> Result<Option<Bytes>> {
        let _turn = self.turns.turn(self.actor).await;
        self.inner.read_range(key, range).await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Stat>> {
        let _turn = self.turns.turn(self.actor).await;
        self.inner.stat(key).await
    }

    async fn write(&self, key: &Key, bytes: Bytes) -> Result<()> {
        let _turn = self.turns.turn(self.actor).await;
        self.inner.write(key, bytes).await
    }

    async fn settle(&self, folders: &BTreeSet<String>) -> Result<()> {
        self.inner.settle(folders).await
    }

    async fn touch(&self, key: &Key) -> Result<Touched> {
        let _turn = self.turns.turn(self.actor).await;
        self.inner.touch(key).await
    }

    /// One turn a file: no store deletes several at once.
    async fn delete(&self, keys: Vec<Key>) -> Result<()> {
        for key in keys {
            let _turn = self.turns.turn(self.actor).await;
            self.inner.delete(vec![key]).await?;
        }
        Ok(())
    }

    fn list(&self, area: Area) -> BoxStream<'static, Result<(Key, Stat)>> {
        let this = self.clone();
        let listing = async move {
            let _turn = this.turns.turn(this.actor).await;
            let files: Vec<(Key, Stat)> = this.inner.list(area).try_collect().await?;
            Ok(stream::iter(files.into_iter().map(Ok)))
        };
        stream::once(listing).try_flatten().boxed()
    }
}

fn random(length: usize, seed: u64) -> Bytes {
    let mut bytes = vec![0; length];
    Pcg64::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

fn ids(seed: u64) -> Ids {
    Ids::seeded(seed)
}

/// Objects of each kind: whole, packed (mostly dead, so that their pack is rewritten, when one of them lives), cut.
fn contents() -> Vec<Bytes> {
    (0..6)
        .map(|n| random(200, n))
        .chain([random(5_000, 7), random((1 << 20) + 9, 8)])
        .collect()
}

async fn fill(backend: &Arc<dyn Backend>) -> Objects {
    let objects = Objects::over(Arc::clone(backend), ids(1));
    let contents = contents();
    objects.put_many(contents[..6].to_vec()).await.unwrap();
    objects.put_bytes(contents[6].clone()).await.unwrap();
    objects.put_bytes(contents[7].clone()).await.unwrap();
    objects
}

/// A moment after all files' times, and a pause so that whatever is written from now on is later.
async fn moment_after(backend: &dyn Backend) -> Timestamp {
    let mut latest = Timestamp(0);
    for area in [Area::Objects, Area::Recipes, Area::Chunks, Area::Index] {
        let files: Vec<(Key, Stat)> = backend.list(area).try_collect().await.unwrap();
        latest = files.iter().map(|(_, stat)| stat.modified).fold(latest, Ord::max);
    }
    // File systems cut times to their clock's tick.
    tokio::time::sleep(Duration::from_millis(12)).await;
    latest.plus(Duration::from_millis(1))
}

#[derive(Debug, Clone, Copy)]
enum Writer {
    PutsAgain,
    PutsTogether,
    Holds,
}

/// What the writer was told to be in the store.
async fn write(objects: &Objects, writer: Writer) -> Vec<Hash> {
    let contents = contents();
    match writer {
        Writer::PutsAgain => {
            let mut told = Vec::new();
            for bytes in contents {
                told.push(objects.put_bytes(bytes).await.unwrap().hash);
            }
            told
        }
        Writer::PutsTogether => {
            let stored = objects.put_many(contents).await.unwrap();
            stored.iter().map(|stored| stored.hash).collect()
        }
        Writer::Holds => {
            let all: Vec<Hash> = contents.iter().map(|bytes| Hash::of(bytes)).collect();
            let missing = objects.hold(&all).await.unwrap();
            all.into_iter().filter(|hash| !missing.contains(hash)).collect()
        }
    }
}

/// One writer against two collectors over one schedule.
async fn race(backend: Arc<dyn Backend>, writer: Writer, seed: u64) {
    let warm = fill(&backend).await;
    let cutoff = moment_after(backend.as_ref()).await;
    let grace = Duration::from_secs(3_600);
    let options = CleanOptions {
        now: cutoff.plus(grace),
        grace,
        dry_run: false,
    };
    // In half of the schedules one packed object lives, so that its pack is rewritten instead of dropped.
    let live: LiveSet = contents()[..(seed % 2) as usize]
        .iter()
        .map(|bytes| Hash::of(bytes))
        .collect();
    let turns = Turns::random(3, seed);
    let actor = |actor: usize| {
        let inner = Arc::clone(&backend);
        let stepped = Stepped {
            inner,
            turns: Arc::clone(&turns),
            actor,
        };
        Objects::over(Arc::new(stepped), ids(100 * seed + 10 + actor as u64))
    };
    let writing = async {
        let told = write(&actor(0), writer).await;
        turns.leave(0);
        told
    };
    let collecting = |number: usize| {
        let (objects, live, turns) = (actor(number), live.clone(), Arc::clone(&turns));
        async move {
            objects.collect(live, &options).await.unwrap();
            turns.leave(number);
        }
    };
    let (told, (), ()) = tokio::join!(writing, collecting(1), collecting(2));
    for objects in [Objects::over(Arc::clone(&backend), ids(2)), warm] {
        for hash in &told {
            let outcome = objects.get_bytes(hash).await;
            assert!(
                outcome.is_ok(),
                "{writer:?}, schedule {seed}: {:?}",
                outcome.unwrap_err()
            );
        }
        // Nor is anything half there.
        let visible: Vec<Hash> = objects.list().try_collect().await.unwrap();
        for hash in visible {
            assert!(
                objects.get_bytes(&hash).await.is_ok(),
                "{writer:?}, schedule {seed}: half of {hash}"
            );
        }
    }
}

const WRITERS: [Writer; 3] = [Writer::PutsAgain, Writer::PutsTogether, Writer::Holds];

#[tokio::test]
async fn no_order_of_steps_loses_an_object_in_a_folder() {
    for seed in 0..SCHEDULES {
        let shm = std::path::Path::new("/dev/shm");
        let folder = if shm.is_dir() {
            tempfile::tempdir_in(shm)
        } else {
            tempfile::tempdir()
        }
        .unwrap();
        let backend = Folder::open(folder.path().to_owned(), ids(seed)).await.unwrap();
        race(Arc::new(backend), WRITERS[seed as usize % 3], seed / 3).await;
    }
}

#[tokio::test]
async fn no_order_of_steps_loses_an_object_in_a_bucket() {
    for seed in 0..SCHEDULES {
        let memory = Arc::new(object_store::memory::InMemory::new());
        race(
            Arc::new(Remote::new(memory, "prefix")),
            WRITERS[seed as usize % 3],
            seed / 3,
        )
        .await;
    }
}
