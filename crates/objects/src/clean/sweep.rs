//! Removing what crashes leave behind: temporary files, packs that never got their index, records past their use.

use super::{CleanOptions, Swept};
use crate::grace::is_old;
use crate::key::{Area, Key, PackId};
use crate::{Objects, Result};
use everloop_core::Timestamp;
use futures::TryStreamExt;
use std::collections::HashSet;
use std::time::Duration;

/// A collector deletes what it condemned within minutes. A record this old belongs to one that crashed.
const ABANDONED: Duration = Duration::from_secs(24 * 3_600);

/// Files deleted by one call.
const BATCH: usize = 1_000;

impl Objects {
    /// Removes leftovers of crashed writers and collectors that are older than the grace period. Objects are not
    /// touched.
    ///
    /// # Errors
    /// When the store fails; what was removed until then stays removed.
    pub async fn sweep(&self, options: &CleanOptions) -> Result<Swept> {
        let mut leftovers = self.old_files(Area::Temp, options.cutoff()).await?;
        leftovers.extend(self.old_files(Area::Holds, options.cutoff()).await?);
        let abandoned = options.now.minus(options.grace.max(ABANDONED));
        leftovers.extend(self.old_files(Area::Condemned, abandoned).await?);
        leftovers.extend(self.orphaned_packs(options.cutoff()).await?);
        let swept = Swept {
            files: leftovers.len() as u64,
            bytes: leftovers.iter().map(|(_, bytes)| bytes).sum(),
        };
        if !options.dry_run {
            let keys: Vec<Key> = leftovers.into_iter().map(|(key, _)| key).collect();
            for batch in keys.chunks(BATCH) {
                self.0.pieces.backend.delete(batch.to_vec()).await?;
            }
        }
        Ok(swept)
    }

    async fn old_files(&self, area: Area, cutoff: Timestamp) -> Result<Vec<(Key, u64)>> {
        let files = self.0.pieces.backend.list(area);
        files
            .try_filter_map(
                |(key, stat)| async move { Ok(is_old(&stat, cutoff).then_some((key, stat.size))) },
            )
            .try_collect()
            .await
    }

    /// Packs without an index: their writer died between the two, or a collector after it deleted the index.
    async fn orphaned_packs(&self, cutoff: Timestamp) -> Result<Vec<(Key, u64)>> {
        let mut packs = self.old_files(Area::Packs, cutoff).await?;
        // Listed after the packs: an index that was there for an old pack is still seen unless its pack is to go.
        let indexed: HashSet<PackId> = self
            .0
            .pieces
            .backend
            .list(Area::Index)
            .try_filter_map(|(key, _)| async move { Ok(key.pack_id()) })
            .try_collect()
            .await?;
        packs.retain(|(key, _)| key.pack_id().is_some_and(|id| !indexed.contains(&id)));
        Ok(packs)
    }
}
