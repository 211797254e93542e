//! Giving back what nothing refers to: the references of all capabilities, and the collector.
//!
//! Objects are shared by all projects of a database, so every reference of every project counts. Each capability tells
//! what its own rows name; `server/tests/it/collecting.rs` walks the tables and fails when a column is new to it.

use everloop_core::{Actor, Hash};
use everloop_db::{Lease, Tx, leases};
use everloop_ledger::NewEvent;
use everloop_objects::{CleanOptions, Collected};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;

use crate::advance::{PROFILE_TAG, SCORES_TAG};
use crate::{Controller, Error, Result};

/// Hashes read in one transaction.
const PAGE: usize = 10_000;

/// Held by whoever collects, or copies the database and its objects.
const LEASE: &str = "objects";
/// A holder that died is waited for this long.
const LEASE_FOR: Duration = Duration::from_secs(60);
/// A living holder renews it this often.
const RENEW_EVERY: Duration = Duration::from_secs(15);

/// What a collection did, or would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collection {
    /// What the collector did.
    pub collected: Collected,
    /// Objects that something refers to and that are not in the store: damage, which collecting does not mend.
    pub missing_objects: u64,
}

impl Controller {
    /// Every object that anything refers to, in all projects of the database.
    ///
    /// # Errors
    /// When a store fails, or a row or manifest can't be read: then nothing may be collected.
    pub async fn live_objects(&self) -> Result<HashSet<Hash>> {
        let parts = &self.0.parts;
        let mut live = parts.datasets.live_objects().await?;
        self.add_pages(&mut live, everloop_tracking::references::referenced)
            .await?;
        self.add_pages(&mut live, everloop_registry::references::referenced)
            .await?;
        live.extend(parts.db.read(everloop_pipelines::live_objects).await?);
        live.extend(parts.db.read(everloop_serving::live_objects).await?);
        live.extend(parts.db.read(profiles_of_versions).await?);
        Ok(live)
    }

    /// Deletes the objects that nothing refers to and that are older than `grace`, with what crashes left behind; with
    /// `dry_run` only tells what would go. Objects put or held meanwhile are safe.
    ///
    /// # Errors
    /// As [`live_objects`](Self::live_objects), or when the store fails; what was deleted until then was rightly
    /// deleted.
    pub async fn collect_objects(&self, actor: &Actor, grace: Duration, dry_run: bool) -> Result<Collection> {
        let collecting = self.collect(grace, dry_run);
        if dry_run {
            return collecting.await.map(|(collection, _)| collection);
        }
        let (collection, live) = self.without_collecting(collecting).await??;
        self.0.parts.datasets.forget_profiles(&live).await?;
        self.record_collection(actor, grace, collection.collected).await?;
        Ok(collection)
    }

    /// Does `work` while no collection runs, in any process.
    ///
    /// # Errors
    /// [`Error::Collecting`] when one runs, or when the database fails; `work` is dropped then.
    pub async fn without_collecting<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let parts = &self.0.parts;
        let mut lease = self.lease().await?;
        tokio::pin!(work);
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                () = tokio::time::sleep(RENEW_EVERY) => {
                    let wall = parts.clock.wall();
                    lease = parts.db.write(move |tx| leases::renew(tx, &lease, LEASE_FOR, wall)).await?;
                }
            }
        };
        parts.db.write(move |tx| leases::release(tx, &lease)).await?;
        Ok(outcome)
    }

    async fn lease(&self) -> Result<Lease> {
        let (holder, wall) = (self.0.parts.ids.hex32(), self.0.parts.clock.wall());
        let taken = self.0.parts.db.write(move |tx| {
            let lease = leases::acquire(tx, LEASE, &holder, LEASE_FOR, wall)?;
            let until = leases::get(tx, LEASE)?.map_or(wall, |held| held.expires_at);
            Ok::<_, Error>(lease.ok_or(Error::Collecting { until }))
        });
        taken.await?
    }

    async fn collect(&self, grace: Duration, dry_run: bool) -> Result<(Collection, HashSet<Hash>)> {
        let parts = &self.0.parts;
        // Before the references are read: what is put from now on is younger than any grace.
        let now = parts.clock.wall();
        let options = CleanOptions { now, grace, dry_run };
        let live = self.live_objects().await?;
        let set = live.iter().copied().collect();
        let collected = parts.objects.collect(set, &options).await?;
        let collection = Collection {
            collected,
            missing_objects: (live.len() as u64).saturating_sub(collected.live_objects),
        };
        Ok((collection, live))
    }

    async fn add_pages<E>(
        &self,
        live: &mut HashSet<Hash>,
        page: fn(&mut Tx<'_>, Option<&Hash>, usize) -> Result<Vec<Hash>, E>,
    ) -> Result<()>
    where
        E: From<everloop_db::Error> + Send + 'static,
        Error: From<E>,
    {
        let mut after = None;
        loop {
            let found = self
                .0
                .parts
                .db
                .read(move |tx| page(tx, after.as_ref(), PAGE))
                .await?;
            let is_last = found.len() < PAGE;
            after = found.last().copied();
            live.extend(found);
            if is_last {
                return Ok(());
            }
        }
    }

    async fn record_collection(&self, actor: &Actor, grace: Duration, done: Collected) -> Result<()> {
        let at = self.now();
        let event = NewEvent {
            project: self.0.project.clone(),
            actor: actor.clone(),
            kind: "objects.collected",
            subject: "objects".to_owned(),
            payload: json!({
                "grace_ms": u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
                "freed_objects": done.freed_objects, "freed_bytes": done.freed_bytes,
                "live_objects": done.live_objects, "young_objects": done.young_objects,
                "swept_files": done.swept.files,
            }),
        };
        self.0
            .parts
            .db
            .write(move |tx| everloop_ledger::append(tx, at, event.clone()))
            .await?;
        Ok(())
    }
}

/// Lets go of what whoever copied this database held in it: the copy has no holder.
///
/// # Errors
/// When the database fails.
pub fn release_copied(tx: &mut Tx<'_>) -> Result<(), everloop_db::Error> {
    match leases::get(tx, LEASE)? {
        Some(held) => leases::release(tx, &held),
        None => Ok(()),
    }
}

/// The profiles that drift is measured from.
fn profiles_of_versions(tx: &mut Tx<'_>) -> Result<Vec<Hash>> {
    let mut named = everloop_registry::references::tagged(tx, PROFILE_TAG)?;
    named.extend(everloop_registry::references::tagged(tx, SCORES_TAG)?);
    // Anyone may set a tag; what is no hash names no object.
    Ok(named.iter().filter_map(|text| text.parse().ok()).collect())
}
