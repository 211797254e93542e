//! The list of chunks that make up a large object.
//!
//! ```text
//! "EVRC" 1 0 0 0 | hash of the whole 32 | size u64 | n u32 | n x (chunk hash 32, length u32) | BLAKE3 of all before 32
//! ```
//! Little endian. 36 bytes a chunk: a 2 GiB object has a recipe of about 230 KiB.

use crate::{Error, Result};
use bytes::Bytes;
use everloop_core::{Hash, Hasher};
use std::ops::Range;

const MAGIC: [u8; 8] = *b"EVRC\x01\0\0\0";
const HEAD: usize = 8 + 32 + 8 + 4;
const ENTRY: usize = 32 + 4;
const TAIL: usize = 32;

/// The chunks of one large object, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) size: u64,
    chunks: Vec<ChunkRef>,
}

/// One chunk and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ChunkRef {
    hash: Hash,
    /// Offset of the first byte after it, inside the object.
    end: u64,
}

/// A chunk of an object and the part of it that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) hash: Hash,
    /// The chunk's whole length.
    pub(crate) length: u64,
    /// The bytes wanted, counted inside the chunk.
    pub(crate) wanted: Range<usize>,
}

impl Recipe {
    pub(crate) fn new() -> Self {
        Self {
            size: 0,
            chunks: Vec::new(),
        }
    }

    /// Adds the next chunk.
    pub(crate) fn push(&mut self, hash: Hash, length: usize) {
        self.size += length as u64;
        self.chunks.push(ChunkRef { hash, end: self.size });
    }

    /// The hashes of all chunks, in order, repeats included.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = Hash> + '_ {
        self.chunks.iter().map(|chunk| chunk.hash)
    }

    /// Bytes this recipe takes in memory, about.
    pub(crate) fn weight(&self) -> u32 {
        u32::try_from(self.chunks.len() * size_of::<ChunkRef>()).unwrap_or(u32::MAX)
    }

    /// The chunks that cover `range`, which must lie inside the object.
    pub(crate) fn parts(&self, range: Range<u64>) -> Vec<Part> {
        if range.is_empty() {
            return Vec::new();
        }
        let first = self.chunks.partition_point(|chunk| chunk.end <= range.start);
        let mut start = first.checked_sub(1).map_or(0, |before| self.chunks[before].end);
        let mut parts = Vec::new();
        for chunk in &self.chunks[first..] {
            if start >= range.end {
                break;
            }
            // Chunks are at most 1 MiB, so offsets inside them fit.
            let from = range.start.saturating_sub(start) as usize;
            let to = (range.end.min(chunk.end) - start) as usize;
            parts.push(Part {
                hash: chunk.hash,
                length: chunk.end - start,
                wanted: from..to,
            });
            start = chunk.end;
        }
        parts
    }

    /// The bytes of the recipe of the object called `whole`.
    pub(crate) fn encode(&self, whole: &Hash) -> Bytes {
        let mut bytes = Vec::with_capacity(HEAD + self.chunks.len() * ENTRY + TAIL);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(whole.as_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        bytes.extend_from_slice(&(self.chunks.len() as u32).to_le_bytes());
        let mut start = 0;
        for chunk in &self.chunks {
            bytes.extend_from_slice(chunk.hash.as_bytes());
            bytes.extend_from_slice(&((chunk.end - start) as u32).to_le_bytes());
            start = chunk.end;
        }
        let sum = Hash::of(&bytes);
        bytes.extend_from_slice(sum.as_bytes());
        bytes.into()
    }

    /// Reads the recipe of the object called `whole`, trusting nothing in it.
    pub(crate) fn decode(whole: &Hash, bytes: &[u8]) -> Result<Self> {
        let damaged = |problem: &str| Error::Corrupt {
            hash: *whole,
            problem: problem.to_owned(),
        };
        let (body, sum) = bytes
            .split_last_chunk::<TAIL>()
            .ok_or_else(|| damaged("its recipe is cut short"))?;
        if Hasher::new().update(body).finish().as_bytes() != sum {
            return Err(damaged("its recipe does not match its checksum"));
        }
        let (head, entries) = body
            .split_at_checked(HEAD)
            .ok_or_else(|| damaged("its recipe is cut short"))?;
        if head[..8] != MAGIC || head[8..40] != whole.as_bytes()[..] {
            return Err(damaged("its recipe belongs to another object or program"));
        }
        let size = u64::from_le_bytes(array(&head[40..48]));
        let count = u32::from_le_bytes(array(&head[48..52])) as usize;
        let mut recipe = Self {
            size: 0,
            chunks: Vec::with_capacity(entries.len() / ENTRY),
        };
        for entry in entries.chunks_exact(ENTRY) {
            let length = u32::from_le_bytes(array(&entry[32..])) as usize;
            if length == 0 || length > crate::cut::LARGEST_CHUNK {
                return Err(damaged("its recipe names a chunk of impossible length"));
            }
            recipe.push(Hash::from_bytes(array(&entry[..32])), length);
        }
        if recipe.size != size || count * ENTRY != entries.len() {
            return Err(damaged("the chunks in its recipe do not add up"));
        }
        Ok(recipe)
    }
}

/// The bytes as an array; the caller took exactly as many.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recipe(lengths: &[usize]) -> Recipe {
        let mut recipe = Recipe::new();
        for (i, length) in lengths.iter().enumerate() {
            recipe.push(Hash::of(&i.to_le_bytes()), *length);
        }
        recipe
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(lengths in prop::collection::vec(1_usize..=1 << 20, 0..50)) {
            let whole = Hash::of(b"whole");
            let recipe = recipe(&lengths);
            prop_assert_eq!(Recipe::decode(&whole, &recipe.encode(&whole)).unwrap(), recipe);
        }

        #[test]
        fn any_flipped_byte_or_cut_is_seen(at in 0_usize..200, flip in 1_u8..) {
            let whole = Hash::of(b"whole");
            let mut bytes = recipe(&[10, 20, 30]).encode(&whole).to_vec();
            let at = at % bytes.len();
            prop_assert!(Recipe::decode(&whole, &bytes[..at]).is_err());
            bytes[at] ^= flip;
            prop_assert!(Recipe::decode(&whole, &bytes).is_err());
        }

        #[test]
        fn hostile_bytes_with_a_right_checksum_do_not_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let whole = Hash::of(b"whole");
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(whole.as_bytes());
            bytes.extend(body);
            let sum = Hash::of(&bytes);
            bytes.extend_from_slice(sum.as_bytes());
            let _ = Recipe::decode(&whole, &bytes);
        }

        #[test]
        fn parts_cover_exactly_the_range(
            lengths in prop::collection::vec(1_usize..40, 1..20), a in 0_u64..800, b in 0_u64..800
        ) {
            let recipe = recipe(&lengths);
            let (start, end) = (a.min(b).min(recipe.size), a.max(b).min(recipe.size));
            let parts = recipe.parts(start..end);
            let covered: usize = parts.iter().map(|part| part.wanted.len()).sum();
            prop_assert_eq!(covered as u64, end - start);
            for part in &parts {
                prop_assert!(!part.wanted.is_empty() && part.wanted.end as u64 <= part.length);
            }
        }
    }

    #[test]
    fn an_empty_range_inside_a_chunk_needs_no_chunk() {
        assert_eq!(recipe(&[10, 10]).parts(5..5), []);
    }

    #[test]
    fn another_objects_recipe_is_refused() {
        let bytes = recipe(&[10]).encode(&Hash::of(b"a"));
        assert!(Recipe::decode(&Hash::of(b"b"), &bytes).is_err());
    }
}
