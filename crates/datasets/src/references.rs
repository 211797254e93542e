//! Which objects datasets still need: what the collector must not take away.

use everloop_core::Hash;
use everloop_db::{Tx, params};
use futures::stream::{self, StreamExt, TryStreamExt};
use std::collections::HashSet;

use crate::{Datasets, Error, Result};

/// Manifests read at the same time.
const AT_ONCE: usize = 16;
/// Rows deleted in one transaction.
const BATCH: usize = 500;

/// Objects that the versions name.
#[derive(Debug, Clone, Default)]
struct Named {
    manifests: Vec<Hash>,
    profiles: Vec<Hash>,
    /// A file with the profile that is kept for it.
    of_files: Vec<(Hash, Hash)>,
}

impl Datasets {
    /// Every object that a version of any project refers to: manifests, the files in them, profiles, and the kept
    /// profiles of those files. Deleted versions don't count.
    ///
    /// # Errors
    /// When a store fails or a manifest can't be read: whoever can't tell what is needed must not collect.
    pub async fn live_objects(&self) -> Result<HashSet<Hash>> {
        let named = self.db.read(named).await?;
        let mut live = HashSet::new();
        let mut manifests = stream::iter(named.manifests.clone())
            .map(|hash| self.read_manifest(hash))
            .buffer_unordered(AT_ONCE);
        while let Some(manifest) = manifests.try_next().await? {
            live.extend(manifest.files().iter().map(|file| file.hash));
        }
        drop(manifests);
        let of_files = named.of_files.iter().filter(|(file, _)| live.contains(file));
        let of_files: Vec<Hash> = of_files.map(|(_, profile)| *profile).collect();
        live.extend(of_files);
        live.extend(named.manifests);
        live.extend(named.profiles);
        Ok(live)
    }

    /// Forgets the kept profiles of files that are not among `live`. It costs time only, when such a file comes back.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_profiles(&self, live: &HashSet<Hash>) -> Result<u64> {
        let named = self.db.read(named).await?;
        let dead = named.of_files.iter().filter(|(file, _)| !live.contains(file));
        let dead: Vec<Vec<everloop_db::Value>> = dead.map(|(file, _)| params![*file].to_vec()).collect();
        let forgotten = dead.len() as u64;
        for batch in dead.chunks(BATCH) {
            let rows = batch.to_vec();
            self.db
                .write(move |tx| {
                    tx.execute_many("DELETE FROM dataset_file_profiles WHERE file_hash = ?1", &rows)?;
                    Ok::<_, Error>(())
                })
                .await?;
        }
        Ok(forgotten)
    }
}

fn named(tx: &mut Tx<'_>) -> Result<Named> {
    let mut named = Named::default();
    let sql = "SELECT DISTINCT digest, profile FROM dataset_versions WHERE deleted_at IS NULL";
    for row in tx.query(sql, &[])? {
        named.manifests.push(row.get("digest")?);
        named.profiles.push(row.get("profile")?);
    }
    for row in tx.query("SELECT file_hash, profile FROM dataset_file_profiles", &[])? {
        named.of_files.push((row.get("file_hash")?, row.get("profile")?));
    }
    Ok(named)
}
