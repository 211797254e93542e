//! The handle to a store, and what is not putting, getting or collecting.

use crate::backend::{self, Backend};
use crate::get::object_pieces;
use crate::key::{Area, Key, Kind, PieceId};
use crate::pieces::{Pieces, Place};
use crate::recipe::Recipe;
use crate::{Options, Result, StoreUrl};
use bytes::Bytes;
use everloop_core::{Hash, Ids};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use moka::future::Cache;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Chunks and small objects kept after a read, in bytes.
const PARTS_CACHE: u64 = 64 << 20;

/// Recipes kept after a read, in bytes.
const RECIPES_CACHE: u64 = 32 << 20;

/// Objects looked up together.
const AT_ONCE: usize = 8;

/// The files that one object lives in.
#[derive(Debug)]
struct Files {
    object: Key,
    chunks: HashSet<Key>,
}

/// A store of objects. Clones share caches and connections.
#[derive(Debug, Clone)]
pub struct Objects(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) pieces: Arc<Pieces>,
    pub(crate) ids: Ids,
    /// Verified chunks and small objects.
    pub(crate) parts: Cache<PieceId, Bytes>,
    pub(crate) recipes: Cache<Hash, Arc<Recipe>>,
}

impl Objects {
    /// Opens the store at `url`; a folder is made when it is missing, a bucket must exist.
    ///
    /// # Errors
    /// When the address or an option is wrong, the store can't be reached, or a newer program wrote it.
    pub async fn open(url: &StoreUrl, options: &Options) -> Result<Self> {
        let backend = backend::open(url, options).await?;
        Ok(Self::over(backend, options.ids.clone()))
    }

    pub(crate) fn over(backend: Arc<dyn Backend>, ids: Ids) -> Self {
        let weigh_part = |_: &PieceId, bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let weigh_recipe = |_: &Hash, recipe: &Arc<Recipe>| recipe.weight();
        Self(Arc::new(Inner {
            pieces: Arc::new(Pieces::new(backend, ids.clone())),
            ids,
            parts: Cache::builder()
                .max_capacity(PARTS_CACHE)
                .weigher(weigh_part)
                .build(),
            recipes: Cache::builder()
                .max_capacity(RECIPES_CACHE)
                .weigher(weigh_recipe)
                .build(),
        }))
    }

    /// Which of the objects are missing. Those that are there stay at least for the collector's grace period, as if
    /// they had been put now: for whoever makes a new reference to an object that they did not put themselves, or asks
    /// which bytes need not be sent.
    ///
    /// # Errors
    /// When the store fails, or the list of a large object's chunks is damaged.
    pub async fn hold(&self, hashes: &[Hash]) -> Result<Vec<Hash>> {
        if hashes.is_empty() {
            return Ok(Vec::new());
        }
        let found: Vec<(Hash, Option<Files>)> = stream::iter(hashes.iter().copied())
            .map(|hash| async move { Ok((hash, self.files(&hash).await?)) })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        // Chunks before the recipes that name them: what keeps a recipe must have kept its chunks.
        let chunks = found
            .iter()
            .filter_map(|(_, files)| files.as_ref())
            .flat_map(|files| files.chunks.clone());
        let lost_chunks = self.secure(chunks.collect()).await?;
        let is_whole = |files: &&Files| files.chunks.is_disjoint(&lost_chunks);
        let whole = found
            .iter()
            .filter_map(|(_, files)| files.as_ref().filter(is_whole));
        let lost = self
            .secure(whole.map(|files| files.object.clone()).collect())
            .await?;
        let is_held = |files: &Option<Files>| {
            files
                .as_ref()
                .is_some_and(|files| is_whole(&files) && !lost.contains(&files.object))
        };
        Ok(found
            .iter()
            .filter(|(_, files)| !is_held(files))
            .map(|(hash, _)| *hash)
            .collect())
    }

    /// Refreshes files found in the store; tells which of them can't be relied on.
    async fn secure(&self, files: HashSet<Key>) -> Result<HashSet<Key>> {
        let pieces = &self.0.pieces;
        let lost = pieces
            .grace
            .secure(pieces.backend.as_ref(), &files, &HashSet::new())
            .await?;
        // Another process may have put the object a moment ago and not have flushed its name yet.
        let folders: BTreeSet<String> = files.iter().map(|key| key.folder().to_owned()).collect();
        pieces.settle(&folders).await?;
        Ok(lost)
    }

    /// The files that an object lives in; `None` when a part of it is missing.
    async fn files(&self, hash: &Hash) -> Result<Option<Files>> {
        let pieces = &self.0.pieces;
        let Some((id, place)) = pieces.locate(&object_pieces(hash)).await? else {
            return Ok(None);
        };
        let mut files = Files {
            object: place.container(id),
            chunks: HashSet::new(),
        };
        if id.kind == Kind::Object {
            return Ok(Some(files));
        }
        let Some(recipe) = pieces.recipe(hash).await? else {
            return Ok(None);
        };
        let chunks: Vec<Option<(PieceId, Place)>> = stream::iter(recipe.hashes().collect::<HashSet<_>>())
            .map(|chunk| async move { pieces.locate(&[PieceId::new(Kind::Chunk, chunk)]).await })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for chunk in chunks {
            let Some((id, place)) = chunk else {
                return Ok(None);
            };
            files.chunks.insert(place.container(id));
        }
        Ok(Some(files))
    }

    /// The hashes of all objects, in no order, each once.
    pub fn list(&self) -> BoxStream<'static, Result<Hash>> {
        let pieces = Arc::clone(&self.0.pieces);
        let packed = async move {
            pieces.packs.refresh(pieces.backend.as_ref()).await?;
            pieces.packs.check()?;
            let packed: HashSet<Hash> = pieces
                .packs
                .pieces()
                .into_iter()
                .filter(|id| id.kind.is_object())
                .map(|id| id.hash)
                .collect();
            let packed = Arc::new(packed);
            let own = pieces
                .backend
                .list(Area::Objects)
                .chain(pieces.backend.list(Area::Recipes));
            let seen = Arc::clone(&packed);
            let own = own.try_filter_map(move |(key, _)| {
                let hash = key.piece().map(|id| id.hash).filter(|hash| !seen.contains(hash));
                async move { Ok(hash) }
            });
            let packed: Vec<Result<Hash>> = packed.iter().map(|hash| Ok(*hash)).collect();
            Ok(stream::iter(packed).chain(own))
        };
        stream::once(packed).try_flatten().boxed()
    }
}
