//! The collector: mark what must stay, then delete the rest by the grace protocol.

use super::mark::Marked;
use super::packs::{self, Plan};
use super::{CleanOptions, Collected, LiveSet};
use crate::backend::Stat;
use crate::key::{Area, Key, PackId, PieceId};
use crate::{Objects, Result};
use futures::TryStreamExt;
use std::collections::{HashMap, HashSet};

/// Files condemned by one record. Writers that meet the record read it whole.
const BATCH: usize = 5_000;

/// A file that may go.
#[derive(Debug, Clone, Copy)]
struct Doomed {
    /// Objects that go with it.
    objects: u64,
    /// Bytes given back.
    bytes: u64,
}

impl Objects {
    /// Deletes what nothing refers to and what is older than the grace period, with the chunks that only such objects
    /// used. Objects that are put or held meanwhile are safe, from this process or any other.
    ///
    /// `live` must have been gathered after `options.now` was read, and may err on the side of more.
    ///
    /// # Errors
    /// When the store fails, or when the damage of an index or recipe hides what is needed. What was deleted until then
    /// was rightly deleted.
    pub async fn collect(&self, live: LiveSet, options: &CleanOptions) -> Result<Collected> {
        let mut report = Collected {
            swept: self.sweep(options).await?,
            ..Collected::default()
        };
        let pieces = &self.0.pieces;
        let marked = Marked::mark(pieces, live, options.cutoff()).await?;
        let (going, staying) = packs::plan(&marked);
        report.wasted_bytes = staying.iter().map(|plan| plan.dead_bytes).sum();

        // Objects before chunks: a crash in between leaves chunks without an object, never an object without chunks.
        let (mut doomed, own) = self.dead_objects(&marked).await?;
        marked.count(&own, &mut report);
        let rewritten: HashSet<PackId> = if options.dry_run {
            going.iter().map(|plan| plan.pack.id).collect()
        } else {
            packs::rewrite(pieces, &going).await?.into_iter().collect()
        };
        let going = going.iter().filter(|plan| rewritten.contains(&plan.pack.id));
        doomed.extend(going.map(|plan| (plan.container(), doomed_pack(plan))));
        self.delete(doomed, options, &mut report).await?;

        let chunks = self.dead_chunks(&marked).await?;
        self.delete(chunks, options, &mut report).await?;
        // What was deleted must not live on in memory.
        self.0.parts.invalidate_all();
        self.0.recipes.invalidate_all();
        Ok(report)
    }

    /// Objects with a file of their own: those that may go, and all of them with whether they are old.
    async fn dead_objects(&self, marked: &Marked) -> Result<(HashMap<Key, Doomed>, Vec<(PieceId, bool)>)> {
        let mut doomed = HashMap::new();
        let mut all = Vec::new();
        for area in [Area::Objects, Area::Recipes] {
            let mut files = self.0.pieces.backend.list(area);
            while let Some((key, stat)) = files.try_next().await? {
                let Some(id) = key.piece() else {
                    continue;
                };
                all.push((id, marked.is_old(&key, &stat)));
                if let Some(doom) = doom(marked, id, &key, &stat) {
                    doomed.insert(key, doom);
                }
            }
        }
        Ok((doomed, all))
    }

    async fn dead_chunks(&self, marked: &Marked) -> Result<HashMap<Key, Doomed>> {
        self.0
            .pieces
            .backend
            .list(Area::Chunks)
            .try_filter_map(|(key, stat)| async move {
                let doomed = key.piece().and_then(|id| doom(marked, id, &key, &stat));
                Ok(doomed.map(|doomed| (key, doomed)))
            })
            .try_collect()
            .await
    }

    async fn delete(
        &self,
        doomed: HashMap<Key, Doomed>,
        options: &CleanOptions,
        report: &mut Collected,
    ) -> Result<()> {
        let keys: Vec<Key> = doomed.keys().cloned().collect();
        for batch in keys.chunks(BATCH) {
            let gone = if options.dry_run {
                batch.to_vec()
            } else {
                self.delete_batch(batch, options).await?
            };
            for doomed in gone.iter().map(|key| doomed[key]) {
                report.freed_objects += doomed.objects;
                report.freed_bytes += doomed.bytes;
            }
        }
        Ok(())
    }

    /// The collector's side of the grace protocol.
    async fn delete_batch(&self, keys: &[Key], options: &CleanOptions) -> Result<Vec<Key>> {
        let pieces = &self.0.pieces;
        let backend = pieces.backend.as_ref();
        let record = pieces.grace.condemn(backend, keys).await?;
        let old = pieces
            .grace
            .still_old(backend, keys.to_vec(), options.cutoff())
            .await?;
        backend.delete(old.clone()).await?;
        let packs: Vec<PackId> = old.iter().filter_map(Key::pack_id).collect();
        packs.iter().for_each(|pack| pieces.packs.forget(*pack));
        // After their indexes: a pack without an index is nothing, an index without a pack would lie.
        backend.delete(packs.into_iter().map(Key::pack).collect()).await?;
        pieces.grace.absolve(backend, record).await?;
        Ok(old)
    }
}

fn doom(marked: &Marked, id: PieceId, key: &Key, stat: &Stat) -> Option<Doomed> {
    let goes = !marked.is_live(&id) && marked.is_old(key, stat);
    goes.then(|| Doomed {
        objects: u64::from(id.kind.is_object()),
        bytes: stat.size,
    })
}

fn doomed_pack(plan: &Plan<'_>) -> Doomed {
    let objects = plan.dead.iter().filter(|id| id.kind.is_object()).count();
    Doomed {
        objects: objects as u64,
        bytes: plan.dead_bytes,
    }
}
