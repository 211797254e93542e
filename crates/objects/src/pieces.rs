//! Storing and finding pieces: small objects, recipes and chunks.
//!
//! A piece lies in a file of its own or in a pack. This module knows which, verifies every byte it hands out, and runs
//! the writer's side of the grace protocol; what pieces mean to objects is decided above.

use crate::backend::Backend;
use crate::grace::Grace;
use crate::key::{Key, Kind, PackId, PieceId};
use crate::pack::{self, ENTRY, Entry, LARGEST_PACK, PackPlace, Packs};
use crate::recipe::Recipe;
use crate::{Error, Result};
use bytes::{Bytes, BytesMut};
use everloop_core::{Hash, Ids};
use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Files written or looked at together. Flushing several files at once lets the disk's journal serve them together.
const AT_ONCE: usize = 8;

/// A piece with its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) id: PieceId,
    pub(crate) bytes: Bytes,
}

/// Whether new pieces get files of their own or share packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Own,
    Packed,
}

/// Where a piece lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Own { size: u64 },
    Packed(PackPlace),
}

impl Place {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Own { size } => *size,
            Self::Packed(place) => u64::from(place.length),
        }
    }

    /// The file whose age decides over the piece.
    pub(crate) fn container(&self, id: PieceId) -> Key {
        match self {
            Self::Own { .. } => Key::own(id),
            Self::Packed(place) => Key::index(place.pack),
        }
    }
}

/// What storing some pieces came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// For each piece in order, the bytes that were not there before.
    pub(crate) new_bytes: Vec<u64>,
    /// Folders whose names the pieces rely on; to be settled before anything points at the pieces.
    pub(crate) folders: BTreeSet<String>,
}

/// Bytes added for each piece.
#[derive(Debug, Default)]
struct Added(HashMap<PieceId, u64>);

impl Added {
    fn own(&mut self, pieces: &[&Piece]) {
        self.0
            .extend(pieces.iter().map(|piece| (piece.id, piece.bytes.len() as u64)));
    }

    fn packed(&mut self, pieces: &[&Piece]) {
        self.0.extend(
            pieces
                .iter()
                .map(|piece| (piece.id, (piece.bytes.len() + ENTRY) as u64)),
        );
    }

    /// In the order of `pieces`; a piece given twice is new once.
    fn for_each(mut self, pieces: &[Piece]) -> Vec<u64> {
        pieces
            .iter()
            .map(|piece| self.0.remove(&piece.id).unwrap_or(0))
            .collect()
    }
}

/// All pieces of a store.
#[derive(Debug)]
pub(crate) struct Pieces {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) packs: Packs,
    pub(crate) grace: Grace,
    ids: Ids,
    /// Pieces whose stored bytes were seen to be wrong. They count as missing, so that putting them again heals them.
    damaged: Mutex<HashSet<PieceId>>,
}

impl Pieces {
    pub(crate) fn new(backend: Arc<dyn Backend>, ids: Ids) -> Self {
        let grace = Grace::new(ids.clone());
        Self {
            backend,
            packs: Packs::default(),
            grace,
            ids,
            damaged: Mutex::default(),
        }
    }

    /// Makes sure that the pieces are in the store and stay there for a grace period. Their bytes are durable
    /// afterwards, and their names once the outcome's folders are settled.
    pub(crate) async fn store(&self, pieces: &[Piece], layout: Layout) -> Result<Outcome> {
        self.packs.ensure_read(self.backend.as_ref()).await?;
        let wanted = unique(pieces);
        let found = self.find_all(pieces).await?;
        let missing: Vec<&Piece> = wanted
            .iter()
            .copied()
            .filter(|piece| !found.contains_key(&piece.id))
            .collect();
        // A pack of one would only be a detour.
        let packed = layout == Layout::Packed && missing.len() > 1;
        let mut new = Added::default();
        let mut containers: HashMap<PieceId, Key> = found
            .iter()
            .map(|(id, place)| (*id, place.container(*id)))
            .collect();
        let relied: HashSet<Key> = containers.values().cloned().collect();
        let mut written = HashSet::new();
        if packed {
            self.write_packs(&missing).await?;
            new.packed(&missing);
        } else {
            self.write_own(&missing).await?;
            new.own(&missing);
            containers.extend(missing.iter().map(|piece| (piece.id, Key::own(piece.id))));
            written.extend(missing.iter().map(|piece| Key::own(piece.id)));
        }
        let lost = self
            .grace
            .secure(self.backend.as_ref(), &relied, &written)
            .await?;
        if !lost.is_empty() {
            lost.iter()
                .filter_map(Key::pack_id)
                .for_each(|pack| self.packs.forget(pack));
            let is_lost = |piece: &&Piece| containers.get(&piece.id).is_some_and(|key| lost.contains(key));
            let again: Vec<&Piece> = wanted.into_iter().filter(is_lost).collect();
            self.write_packs(&again).await?;
            new.packed(&again);
        }
        let folders = containers.values().map(|key| key.folder().to_owned()).collect();
        Ok(Outcome {
            new_bytes: new.for_each(pieces),
            folders,
        })
    }

    /// Makes the names of stored pieces durable.
    pub(crate) async fn settle(&self, folders: &BTreeSet<String>) -> Result<()> {
        self.backend.settle(folders).await
    }

    /// Where the pieces lie already. A file of another size than the piece is damaged and counts as missing, so that
    /// writing it again heals it.
    async fn find_all(&self, pieces: &[Piece]) -> Result<HashMap<PieceId, Place>> {
        let wanted: HashMap<PieceId, u64> = pieces
            .iter()
            .map(|piece| (piece.id, piece.bytes.len() as u64))
            .collect();
        let sound = wanted
            .into_iter()
            .filter(|(id, _)| !self.damaged.lock().contains(id))
            .collect::<Vec<_>>();
        stream::iter(sound)
            .map(|(id, size)| async move {
                let place = self.look(id).await?.filter(|place| place.size() == size);
                Ok(place.map(|place| (id, place)))
            })
            .buffer_unordered(AT_ONCE)
            .try_filter_map(async |found| Ok(found))
            .try_collect()
            .await
    }

    /// Where a piece lies, by what memory knows of packs and a look at its own file.
    async fn look(&self, id: PieceId) -> Result<Option<Place>> {
        if let Some(place) = self.packs.place(&id) {
            return Ok(Some(Place::Packed(place)));
        }
        let stat = self.backend.stat(&Key::own(id)).await?;
        Ok(stat.map(|stat| Place::Own { size: stat.size }))
    }

    /// Where any of the pieces lies, the first that is found; reads the indexes of new packs before giving up.
    pub(crate) async fn locate(&self, ids: &[PieceId]) -> Result<Option<(PieceId, Place)>> {
        for id in ids {
            if let Some(place) = self.look(*id).await? {
                return Ok(Some((*id, place)));
            }
        }
        self.packs.refresh(self.backend.as_ref()).await?;
        let known = |id: &PieceId| Some((*id, Place::Packed(self.packs.place(id)?)));
        match ids.iter().find_map(known) {
            Some(found) => Ok(Some(found)),
            None => self.packs.check().map(|()| None),
        }
    }

    async fn write_own(&self, pieces: &[&Piece]) -> Result<()> {
        let pieces: Vec<Piece> = pieces.iter().copied().cloned().collect();
        stream::iter(pieces)
            .map(|piece| async move {
                self.backend.write(&Key::own(piece.id), piece.bytes).await?;
                self.damaged.lock().remove(&piece.id);
                Ok(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Writes the pieces into as few packs as hold them. Durable and findable by all afterwards.
    pub(crate) async fn write_packs(&self, pieces: &[&Piece]) -> Result<u64> {
        let mut written = 0;
        let mut rest = pieces;
        while !rest.is_empty() {
            let mut size = 0;
            let fitting = rest.iter().take_while(|piece| {
                size += piece.bytes.len();
                size <= LARGEST_PACK
            });
            // A single piece may be larger than a pack should be (the recipe of a huge object).
            let (now, later) = rest.split_at(fitting.count().max(1));
            written += self.write_pack(now).await?;
            rest = later;
        }
        Ok(written)
    }

    async fn write_pack(&self, pieces: &[&Piece]) -> Result<u64> {
        let mut bytes = BytesMut::with_capacity(pieces.iter().map(|piece| piece.bytes.len()).sum());
        let mut entries = Vec::with_capacity(pieces.len());
        for piece in pieces {
            entries.push(Entry {
                id: piece.id,
                offset: bytes.len() as u32,
                length: piece.bytes.len() as u32,
            });
            bytes.extend_from_slice(&piece.bytes);
        }
        let id = self.new_pack_id();
        let (pack, index) = (Key::pack(id), Key::index(id));
        let index_bytes = pack::encode(&entries);
        let written = bytes.len() + index_bytes.len();
        // The index is the pointer: what it points at must be durable before it exists.
        self.backend.write(&pack, bytes.freeze()).await?;
        self.backend
            .settle(&BTreeSet::from([pack.folder().to_owned()]))
            .await?;
        self.backend.write(&index, index_bytes).await?;
        self.backend
            .settle(&BTreeSet::from([index.folder().to_owned()]))
            .await?;
        self.packs.insert(id, &entries);
        Ok(written as u64)
    }

    fn new_pack_id(&self) -> PackId {
        self.ids.hex32().parse().expect("32 hex digits are a pack's name")
    }

    /// The verified bytes of a piece; `None` when it is nowhere.
    pub(crate) async fn read(&self, id: PieceId) -> Result<Option<Bytes>> {
        match self.read_known(id).await? {
            Some(bytes) => Ok(Some(bytes)),
            None => {
                self.packs.refresh(self.backend.as_ref()).await?;
                match self.read_known(id).await? {
                    Some(bytes) => Ok(Some(bytes)),
                    None => self.packs.check().map(|()| None),
                }
            }
        }
    }

    /// The verified bytes of a piece, where memory or its own file has it.
    pub(crate) async fn read_known(&self, id: PieceId) -> Result<Option<Bytes>> {
        let packed = self.read_packed(id).await;
        // The pack may be gone, its living pieces moved by a collector elsewhere; or damaged, and healed by a later put.
        match packed {
            Ok(Some(bytes)) => return Ok(Some(bytes)),
            Ok(None) | Err(Error::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
        match self.backend.read(&Key::own(id)).await? {
            Some(bytes) => self.verified(id, bytes).map(Some),
            None => packed,
        }
    }

    async fn read_packed(&self, id: PieceId) -> Result<Option<Bytes>> {
        let Some(place) = self.packs.place(&id) else {
            return Ok(None);
        };
        let start = u64::from(place.offset);
        let range = start..start + u64::from(place.length);
        let bytes = self.backend.read_range(&Key::pack(place.pack), range).await?;
        bytes.map(|bytes| self.verified(id, bytes)).transpose()
    }

    /// The bytes, if they are what the name says.
    fn verified(&self, id: PieceId, bytes: Bytes) -> Result<Bytes> {
        let sound = match id.kind {
            // Named by the whole it stands for, so it carries a checksum of its own.
            Kind::Recipe => Recipe::decode(&id.hash, &bytes).map(|_| ()),
            Kind::Object | Kind::Chunk if Hash::of(&bytes) == id.hash => Ok(()),
            Kind::Object | Kind::Chunk => {
                let problem = format!("the {} bytes stored for it have another hash", bytes.len());
                Err(Error::Corrupt {
                    hash: id.hash,
                    problem,
                })
            }
        };
        if sound.is_err() {
            self.damaged.lock().insert(id);
        }
        sound.map(|()| bytes)
    }

    /// The recipe of a large object.
    pub(crate) async fn recipe(&self, whole: &Hash) -> Result<Option<Recipe>> {
        let bytes = self.read(PieceId::new(Kind::Recipe, *whole)).await?;
        bytes.map(|bytes| Recipe::decode(whole, &bytes)).transpose()
    }
}

/// The pieces without repeats.
fn unique(pieces: &[Piece]) -> Vec<&Piece> {
    let mut seen = HashSet::new();
    pieces.iter().filter(|piece| seen.insert(piece.id)).collect()
}
