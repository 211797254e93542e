//! Marking: which pieces must stay.
//!
//! An object stays when the caller says that something refers to it, or when it is young. A chunk stays when the
//! recipe of an object that stays names it.

use super::{Collected, LiveSet};
use crate::Result;
use crate::backend::Stat;
use crate::grace::is_old;
use crate::key::{Area, Key, Kind, PackId, PieceId};
use crate::pack::{self, Entry};
use crate::pieces::Pieces;
use everloop_core::{Hash, Timestamp};
use futures::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Recipes read at the same time.
const AT_ONCE: usize = 8;

/// A pack with its content.
#[derive(Debug)]
pub(super) struct Pack {
    pub(super) id: PackId,
    pub(super) entries: Vec<Entry>,
    /// Sizes of the pack and its index together.
    pub(super) size: u64,
    /// Its grace is over, as far as the listing tells.
    pub(super) old: bool,
}

/// What was found to stay.
#[derive(Debug)]
pub(super) struct Marked {
    pub(super) live: LiveSet,
    pub(super) chunks: HashSet<Hash>,
    pub(super) packs: Vec<Pack>,
    held: HashSet<Key>,
    cutoff: Timestamp,
}

impl Marked {
    /// Reads the packs' indexes and the recipes of all large objects that stay.
    ///
    /// Any damage in them is an error: a collector that can't tell what is needed must not delete.
    pub(super) async fn mark(pieces: &Pieces, live: LiveSet, cutoff: Timestamp) -> Result<Self> {
        let held = pieces.grace.held(pieces.backend.as_ref(), cutoff).await?;
        let mut marked = Self {
            live,
            chunks: HashSet::new(),
            packs: Vec::new(),
            held,
            cutoff,
        };
        marked.packs = marked.read_packs(pieces).await?;
        let kept = marked.kept_recipes(pieces).await?;
        let mut recipes = stream::iter(kept)
            .map(|hash| async move { pieces.recipe(&hash).await })
            .buffer_unordered(AT_ONCE);
        while let Some(recipe) = recipes.try_next().await? {
            // A recipe that vanished since it was listed was another collector's to delete.
            marked
                .chunks
                .extend(recipe.iter().flat_map(|recipe| recipe.hashes()));
        }
        drop(recipes);
        Ok(marked)
    }

    /// Whether a file's grace is over, as far as the listing and the holds tell.
    pub(super) fn is_old(&self, key: &Key, stat: &Stat) -> bool {
        is_old(stat, self.cutoff) && !self.held.contains(key)
    }

    /// Whether something refers to the piece.
    pub(super) fn is_live(&self, id: &PieceId) -> bool {
        if id.kind.is_object() {
            self.live.contains(&id.hash)
        } else {
            self.chunks.contains(&id.hash)
        }
    }

    /// Counts the objects that stay, packed ones included.
    pub(super) fn count(&self, own: &[(PieceId, bool)], report: &mut Collected) {
        let packed = self
            .packs
            .iter()
            .flat_map(|pack| pack.entries.iter().map(|entry| (entry.id, pack.old)));
        let mut objects: HashMap<Hash, bool> = HashMap::new();
        for (id, old) in own
            .iter()
            .copied()
            .chain(packed)
            .filter(|(id, _)| id.kind.is_object())
        {
            // An object in two places is as young as its younger place.
            *objects.entry(id.hash).or_insert(true) &= old;
        }
        for (hash, old) in objects {
            if self.live.contains(&hash) {
                report.live_objects += 1;
            } else if !old {
                report.young_objects += 1;
            }
        }
    }

    async fn read_packs(&self, pieces: &Pieces) -> Result<Vec<Pack>> {
        let backend = pieces.backend.as_ref();
        let indexes: BTreeMap<PackId, (Key, Stat)> = backend
            .list(Area::Index)
            .try_filter_map(|(key, stat)| async move { Ok(key.pack_id().map(|id| (id, (key, stat)))) })
            .try_collect()
            .await?;
        let sizes: HashMap<PackId, u64> = backend
            .list(Area::Packs)
            .try_filter_map(|(key, stat)| async move { Ok(key.pack_id().map(|id| (id, stat.size))) })
            .try_collect()
            .await?;
        let mut packs = Vec::new();
        for (id, entries) in pack::read_indexes(backend, indexes.keys().copied().collect()).await? {
            let entries = entries.map_err(|problem| pack::damaged(id, problem))?;
            let (key, stat) = &indexes[&id];
            let size = stat.size + sizes.get(&id).copied().unwrap_or(0);
            packs.push(Pack {
                id,
                entries,
                size,
                old: self.is_old(key, stat),
            });
        }
        Ok(packs)
    }

    /// Large objects that stay, and so their chunks.
    async fn kept_recipes(&self, pieces: &Pieces) -> Result<HashSet<Hash>> {
        let mut kept: HashSet<Hash> = pieces
            .backend
            .list(Area::Recipes)
            .try_filter_map(|(key, stat)| async move {
                let hash = key.piece().map(|id| id.hash);
                Ok(hash.filter(|hash| self.live.contains(hash) || !self.is_old(&key, &stat)))
            })
            .try_collect()
            .await?;
        for pack in &self.packs {
            let recipes = pack
                .entries
                .iter()
                .map(|entry| entry.id)
                .filter(|id| id.kind == Kind::Recipe);
            kept.extend(
                recipes
                    .map(|id| id.hash)
                    .filter(|hash| self.live.contains(hash) || !pack.old),
            );
        }
        Ok(kept)
    }
}
