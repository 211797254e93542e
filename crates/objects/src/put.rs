//! Putting objects: whole, as a stream, from a file, many at once.

use crate::blocking::joined;
use crate::cut::{self, Chunk, Cutter};
use crate::key::{Kind, PieceId};
use crate::pieces::{Layout, Outcome, Piece, Pieces};
use crate::recipe::Recipe;
use crate::{Error, Objects, Result};
use bytes::Bytes;
use everloop_core::Hash;
use futures::stream::{self, Stream, StreamExt};
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::io::ReaderStream;

/// Objects up to this size are stored whole, larger ones are cut into chunks.
pub const LARGEST_WHOLE: usize = 1 << 20;

/// Bytes cut and stored together; a few such blocks are all the memory a put takes, however large the object.
const BLOCK: usize = 4 << 20;

/// Blocks being written while the next is cut: hides the waits for a disk's flushes and a bucket's answers.
const BLOCKS_AT_ONCE: usize = 4;

/// Small objects put together: enough for a pack.
const GROUP: usize = crate::pack::LARGEST_PACK;

/// An object that is now in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub hash: Hash,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that were added to the store for it: zero when all of it was there already.
    pub new_bytes: u64,
}

impl Objects {
    /// Puts an object whose bytes are in memory.
    ///
    /// Like every put, it answers when the object is durable, and the object then stays at least for the collector's
    /// grace period, also if it was in the store before: time enough to commit a reference to it.
    ///
    /// # Errors
    /// When the store is full or fails. Nothing is half stored.
    pub async fn put_bytes(&self, bytes: impl Into<Bytes> + Send) -> Result<Stored> {
        let bytes = bytes.into();
        self.put_stream(stream::iter([Ok(bytes)]), None).await
    }

    /// Puts an object that arrives in parts, in constant memory. With a `declared` hash, an object of another hash is
    /// refused and does not become visible.
    ///
    /// # Errors
    /// [`Error::Source`] when the stream fails, [`Error::HashMismatch`] when it is not what was declared, and when the
    /// store is full or fails. Nothing becomes visible then; chunks that were written are the collector's.
    pub async fn put_stream<S>(&self, stream: S, declared: Option<Hash>) -> Result<Stored>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        let mut blocks = Blocks {
            source: Box::pin(stream.fuse()),
            rest: Bytes::new(),
        };
        let first = blocks.next().await?;
        if first.iter().map(Bytes::len).sum::<usize>() <= LARGEST_WHOLE {
            return self.put_whole(cut::joined(first), declared).await;
        }
        self.put_cut(first, blocks, declared).await
    }

    /// Puts a file's content.
    ///
    /// # Errors
    /// [`Error::Io`] when the file can't be opened, else as [`put_stream`](Self::put_stream).
    pub async fn put_file(&self, path: &Path) -> Result<Stored> {
        let file = tokio::fs::File::open(path)
            .await
            .map_err(|error| Error::io("open", path, error))?;
        self.put_stream(ReaderStream::with_capacity(file, 1 << 20), None)
            .await
    }

    /// Puts many objects, in order. Small ones that are new share packs: a thousand files cost a few requests and
    /// flushes, not thousands.
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes). Some of the objects may then be stored, each of them whole.
    pub async fn put_many(&self, objects: impl IntoIterator<Item = Bytes> + Send) -> Result<Vec<Stored>> {
        let mut stored = Vec::new();
        let mut group = Vec::new();
        let mut group_size = 0;
        for bytes in objects.into_iter().collect::<Vec<_>>() {
            if bytes.len() > LARGEST_WHOLE || group_size + bytes.len() > GROUP {
                stored.extend(self.put_group(&group).await?);
                group.clear();
                group_size = 0;
            }
            if bytes.len() > LARGEST_WHOLE {
                stored.push(self.put_bytes(bytes).await?);
            } else {
                group_size += bytes.len();
                group.push(whole_piece(bytes));
            }
        }
        stored.extend(self.put_group(&group).await?);
        Ok(stored)
    }

    async fn put_group(&self, pieces: &[Piece]) -> Result<Vec<Stored>> {
        let outcome = self.0.pieces.store(pieces, Layout::Packed).await?;
        self.0.pieces.settle(&outcome.folders).await?;
        let answer = |(piece, new_bytes): (&Piece, u64)| Stored {
            hash: piece.id.hash,
            size: piece.bytes.len() as u64,
            new_bytes,
        };
        Ok(pieces.iter().zip(outcome.new_bytes).map(answer).collect())
    }

    async fn put_whole(&self, bytes: Bytes, declared: Option<Hash>) -> Result<Stored> {
        let piece = whole_piece(bytes);
        check_declared(declared, piece.id.hash)?;
        Ok(self.put_group(&[piece]).await?[0])
    }

    /// Cuts, hashes and stores a large object.
    async fn put_cut(
        &self,
        first: Vec<Bytes>,
        mut blocks: Blocks<impl Stream<Item = io::Result<Bytes>> + Send>,
        declared: Option<Hash>,
    ) -> Result<Stored> {
        let mut cutter = Cutter::new();
        let mut recipe = Recipe::new();
        let mut writer = Writer::new(Arc::clone(&self.0.pieces));
        let mut block = first;
        while !block.is_empty() {
            writer.write(&mut recipe, cutter.push(block).await?).await?;
            block = blocks.next().await?;
        }
        let (rest, hash) = cutter.finish().await?;
        writer.write(&mut recipe, rest).await?;
        let (mut new_bytes, folders) = writer.finish().await?;
        check_declared(declared, hash)?;
        // The recipe is the pointer: what it names must be durable before it exists.
        self.0.pieces.settle(&folders).await?;
        let piece = Piece {
            id: PieceId::new(Kind::Recipe, hash),
            bytes: recipe.encode(&hash),
        };
        let outcome = self.0.pieces.store(&[piece], Layout::Own).await?;
        self.0.pieces.settle(&outcome.folders).await?;
        new_bytes += outcome.new_bytes.iter().sum::<u64>();
        Ok(Stored {
            hash,
            size: recipe.size,
            new_bytes,
        })
    }
}

fn whole_piece(bytes: Bytes) -> Piece {
    // At most 1 MiB: a third of a millisecond, not worth a trip to another thread.
    Piece {
        id: PieceId::new(Kind::Object, Hash::of(&bytes)),
        bytes,
    }
}

fn check_declared(declared: Option<Hash>, found: Hash) -> Result<()> {
    match declared {
        Some(declared) if declared != found => Err(Error::HashMismatch { declared, found }),
        _ => Ok(()),
    }
}

/// Stores chunks, some blocks behind the cutter.
struct Writer {
    pieces: Arc<Pieces>,
    /// Dropped with the put, they stop.
    running: JoinSet<Result<Outcome>>,
    /// Chunks of this object that were given already.
    seen: HashSet<Hash>,
    new_bytes: u64,
    folders: BTreeSet<String>,
}

impl Writer {
    fn new(pieces: Arc<Pieces>) -> Self {
        Self {
            pieces,
            running: JoinSet::new(),
            seen: HashSet::new(),
            new_bytes: 0,
            folders: BTreeSet::new(),
        }
    }

    async fn write(&mut self, recipe: &mut Recipe, chunks: Vec<Chunk>) -> Result<()> {
        let mut new = Vec::with_capacity(chunks.len());
        for Chunk { hash, bytes } in chunks {
            recipe.push(hash, bytes.len());
            if self.seen.insert(hash) {
                new.push(Piece {
                    id: PieceId::new(Kind::Chunk, hash),
                    bytes,
                });
            }
        }
        self.wait_until_at_most(BLOCKS_AT_ONCE - 1).await?;
        let pieces = Arc::clone(&self.pieces);
        self.running
            .spawn(async move { pieces.store(&new, Layout::Own).await });
        Ok(())
    }

    async fn wait_until_at_most(&mut self, blocks: usize) -> Result<()> {
        while self.running.len() > blocks
            && let Some(ended) = self.running.join_next().await
        {
            let outcome = joined(ended)?;
            self.new_bytes += outcome.new_bytes.iter().sum::<u64>();
            self.folders.extend(outcome.folders);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(u64, BTreeSet<String>)> {
        self.wait_until_at_most(0).await?;
        Ok((self.new_bytes, self.folders))
    }
}

/// A stream regrouped into blocks of [`BLOCK`] bytes, the last one shorter. Nothing is copied.
struct Blocks<S> {
    source: Pin<Box<S>>,
    /// What the last item had beyond the block.
    rest: Bytes,
}

impl<S: Stream<Item = io::Result<Bytes>> + Send> Blocks<S> {
    /// The parts of the next block; none when the stream is at its end.
    async fn next(&mut self) -> Result<Vec<Bytes>> {
        let (mut block, mut size) = (Vec::new(), 0);
        while size < BLOCK {
            if self.rest.is_empty() {
                match self.source.next().await {
                    Some(item) => self.rest = item.map_err(Error::Source)?,
                    None => break,
                }
            }
            let part = self.rest.split_to(self.rest.len().min(BLOCK - size));
            if !part.is_empty() {
                size += part.len();
                block.push(part);
            }
        }
        Ok(block)
    }
}
