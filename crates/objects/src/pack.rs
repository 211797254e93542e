//! Packs: many small pieces in one file, found through an index file beside it.
//!
//! A pack is the pieces' bytes one after the other. Its index says which piece lies where:
//! ```text
//! "EVPX" 1 0 0 0 | n u32 | n x (kind u8, hash 32, offset u32, length u32) | BLAKE3 of all before 32
//! ```
//! The index is written after the pack is durable; until then the pack does not count. All indexes together live in
//! memory ([`Packs`], some 80 bytes a piece), read at the first need and again when something is not found.

use crate::backend::Backend;
use crate::key::{Area, Key, Kind, PackId, PieceId};
use crate::{Error, Result};
use bytes::Bytes;
use everloop_core::Hash;
use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::RwLock;
use std::collections::{HashMap, HashSet};

/// A pack is closed when it would grow beyond this.
pub(crate) const LARGEST_PACK: usize = 16 << 20;

/// Bytes a piece adds to its pack's index.
pub(crate) const ENTRY: usize = 1 + 32 + 4 + 4;

const MAGIC: [u8; 8] = *b"EVPX\x01\0\0\0";
const HEAD: usize = 8 + 4;
const TAIL: usize = 32;

/// Index files read at the same time.
const READS_AT_ONCE: usize = 16;

/// One line of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: PieceId,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

/// The bytes of an index.
pub(crate) fn encode(entries: &[Entry]) -> Bytes {
    let mut bytes = Vec::with_capacity(HEAD + entries.len() * ENTRY + TAIL);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for entry in entries {
        bytes.push(entry.id.kind.code());
        bytes.extend_from_slice(entry.id.hash.as_bytes());
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
        bytes.extend_from_slice(&entry.length.to_le_bytes());
    }
    let sum = Hash::of(&bytes);
    bytes.extend_from_slice(sum.as_bytes());
    bytes.into()
}

/// Reads an index, trusting nothing in it; says what is wrong with a damaged one.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Entry>, &'static str> {
    let (body, sum) = bytes.split_last_chunk::<TAIL>().ok_or("it is cut short")?;
    if Hash::of(body).as_bytes() != sum {
        return Err("it does not match its checksum");
    }
    let (head, lines) = body.split_at_checked(HEAD).ok_or("it is cut short")?;
    if head[..8] != MAGIC {
        return Err("it is not an index");
    }
    let entries = lines
        .chunks_exact(ENTRY)
        .map(decode_entry)
        .collect::<Option<Vec<_>>>();
    let entries = entries.ok_or("it names a piece of unknown kind")?;
    let declared = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
    if declared * ENTRY != lines.len() {
        return Err("it names more or fewer pieces than it has");
    }
    Ok(entries)
}

fn decode_entry(line: &[u8]) -> Option<Entry> {
    let (kind, rest) = line.split_first()?;
    let (hash, rest) = rest.split_first_chunk::<32>()?;
    let (offset, rest) = rest.split_first_chunk::<4>()?;
    let (length, _) = rest.split_first_chunk::<4>()?;
    Some(Entry {
        id: PieceId::new(Kind::from_code(*kind)?, Hash::from_bytes(*hash)),
        offset: u32::from_le_bytes(*offset),
        length: u32::from_le_bytes(*length),
    })
}

/// Where in which pack a piece lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackPlace {
    pub(crate) pack: PackId,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

/// What all packs hold, in memory.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    known: RwLock<Known>,
    /// One reader of indexes at a time; the rest wait for its result.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// How many times the indexes were read to the end.
    readings: u64,
    packs: HashSet<PackId>,
    pieces: HashMap<PieceId, PackPlace>,
    /// Second and later places of pieces that lie in several packs.
    spare: HashMap<PieceId, Vec<PackPlace>>,
    /// Indexes that can't be read.
    damaged: HashMap<PackId, &'static str>,
}

impl Packs {
    /// The place of a piece, as far as memory knows.
    pub(crate) fn place(&self, id: &PieceId) -> Option<PackPlace> {
        self.known.read().pieces.get(id).copied()
    }

    /// All pieces that lie in packs, as far as memory knows.
    pub(crate) fn pieces(&self) -> Vec<PieceId> {
        self.known.read().pieces.keys().copied().collect()
    }

    /// Makes a new pack known.
    pub(crate) fn insert(&self, pack: PackId, entries: &[Entry]) {
        self.known.write().insert(pack, entries);
    }

    /// Makes a pack that is gone unknown.
    pub(crate) fn forget(&self, pack: PackId) {
        self.known.write().forget(&HashSet::from([pack]));
    }

    /// Fails when an index is damaged: what it named can't be told from what was never there.
    pub(crate) fn check(&self) -> Result<()> {
        match self.known.read().damaged.iter().next() {
            None => Ok(()),
            Some((pack, problem)) => Err(damaged(*pack, problem)),
        }
    }

    /// Reads the indexes unless that was done before.
    pub(crate) async fn ensure_read(&self, backend: &dyn Backend) -> Result<()> {
        if self.known.read().readings > 0 {
            return Ok(());
        }
        self.refresh(backend).await
    }

    /// Reads the indexes that are new and forgets the packs that are gone.
    pub(crate) async fn refresh(&self, backend: &dyn Backend) -> Result<()> {
        let before = self.known.read().readings;
        let _one_at_a_time = self.refreshing.lock().await;
        // Two readings ended while we waited: the second began after we asked, so it serves us too.
        if self.known.read().readings >= before + 2 {
            return Ok(());
        }
        let known = self.known.read().packs.clone();
        let listed: HashSet<PackId> = backend
            .list(Area::Index)
            .try_filter_map(|(key, _)| async move { Ok(key.pack_id()) })
            .try_collect()
            .await?;
        let new: Vec<PackId> = listed.difference(&known).copied().collect();
        let read = read_indexes(backend, new).await?;
        let mut state = self.known.write();
        state.damaged.clear();
        for (pack, entries) in read {
            match entries {
                Ok(entries) => state.insert(pack, &entries),
                Err(problem) => {
                    state.damaged.insert(pack, problem);
                }
            }
        }
        // Only packs known before the listing can be told to be gone by it.
        state.forget(&known.difference(&listed).copied().collect());
        state.readings += 1;
        Ok(())
    }
}

/// The contents of the packs' indexes; those that vanished meanwhile are left out.
pub(crate) async fn read_indexes(
    backend: &dyn Backend,
    packs: Vec<PackId>,
) -> Result<Vec<(PackId, Result<Vec<Entry>, &'static str>)>> {
    stream::iter(packs)
        .map(|pack| async move { Ok((pack, backend.read(&Key::index(pack)).await?)) })
        .buffer_unordered(READS_AT_ONCE)
        .try_filter_map(|(pack, bytes)| async move { Ok(bytes.map(|bytes| (pack, decode(&bytes)))) })
        .try_collect()
        .await
}

/// The error that says which index is damaged.
pub(crate) fn damaged(pack: PackId, problem: &str) -> Error {
    Error::CorruptFile {
        file: Key::index(pack).to_string(),
        problem: problem.to_owned(),
    }
}

impl Known {
    fn insert(&mut self, pack: PackId, entries: &[Entry]) {
        if !self.packs.insert(pack) {
            return;
        }
        for entry in entries {
            let place = PackPlace {
                pack,
                offset: entry.offset,
                length: entry.length,
            };
            if let Some(other) = self.pieces.insert(entry.id, place) {
                self.spare.entry(entry.id).or_default().push(other);
            }
        }
    }

    fn forget(&mut self, gone: &HashSet<PackId>) {
        if gone.is_empty() {
            return;
        }
        self.packs.retain(|pack| !gone.contains(pack));
        self.spare.retain(|_, places| {
            places.retain(|place| !gone.contains(&place.pack));
            !places.is_empty()
        });
        let Self { pieces, spare, .. } = self;
        pieces.retain(|id, place| {
            if !gone.contains(&place.pack) {
                return true;
            }
            match spare.get_mut(id).and_then(Vec::pop) {
                Some(other) => {
                    *place = other;
                    true
                }
                None => false,
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(n: u32) -> Entry {
        let kind = Kind::from_code((n % 3) as u8).unwrap();
        Entry {
            id: PieceId::new(kind, Hash::of(&n.to_le_bytes())),
            offset: n,
            length: n + 1,
        }
    }

    proptest! {
        #[test]
        fn indexes_read_back_and_damage_is_seen(n in 0_u32..20, at in any::<prop::sample::Index>(), flip in 1_u8..) {
            let entries: Vec<Entry> = (0..n).map(entry).collect();
            let mut bytes = encode(&entries).to_vec();
            prop_assert_eq!(decode(&bytes).unwrap(), entries);
            let at = at.index(bytes.len());
            prop_assert!(decode(&bytes[..at]).is_err());
            bytes[at] ^= flip;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn hostile_indexes_with_a_right_checksum_do_not_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend(body);
            let sum = Hash::of(&bytes);
            bytes.extend_from_slice(sum.as_bytes());
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_piece_in_two_packs_survives_the_loss_of_either() {
        let packs: Vec<PackId> = (0..2).map(|n| format!("{n:032x}").parse().unwrap()).collect();
        for gone in &packs {
            let known = Packs::default();
            packs.iter().for_each(|pack| known.insert(*pack, &[entry(1)]));
            known.forget(*gone);
            let left = known.place(&entry(1).id).unwrap().pack;
            assert_ne!(left, *gone);
            known.forget(left);
            assert_eq!(known.place(&entry(1).id), None);
        }
    }
}
