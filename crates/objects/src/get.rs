//! Getting objects: whole, in parts, as a stream, into a file. Every byte is checked before it is handed out.

use crate::blocking::blocking;
use crate::key::{Kind, PieceId};
use crate::pieces::Place;
use crate::recipe::{Part, Recipe};
use crate::{Error, Objects, Result};
use bytes::{Bytes, BytesMut};
use everloop_core::{Hash, Hasher};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Chunks fetched ahead of the reader.
const AHEAD: usize = 8;

/// What an object turned out to be.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Whole(Bytes),
    Cut(Arc<Recipe>),
}

impl Content {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Cut(recipe) => recipe.size,
        }
    }
}

impl Objects {
    /// The whole object, in memory. Use [`get_stream`](Self::get_stream) for large ones.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Corrupt`] when the stored bytes do not match the hash; when the store fails.
    pub async fn get_bytes(&self, hash: &Hash) -> Result<Bytes> {
        match self.content(hash).await? {
            Content::Whole(bytes) => Ok(bytes),
            Content::Cut(recipe) => {
                let mut bytes = BytesMut::with_capacity(usize::try_from(recipe.size).unwrap_or(0));
                let mut stream = self.stream_cut(*hash, recipe);
                while let Some(part) = stream.try_next().await? {
                    bytes.extend_from_slice(&part);
                }
                Ok(bytes.freeze())
            }
        }
    }

    /// Some bytes of an object. Of a large one only the chunks that hold them are read, each checked by its own hash;
    /// that the chunks add up to the object is checked when it is read whole.
    ///
    /// # Errors
    /// [`Error::InvalidRange`] when the range ends beyond the object or before it starts, else as
    /// [`get_bytes`](Self::get_bytes).
    pub async fn get_range(&self, hash: &Hash, range: Range<u64>) -> Result<Bytes> {
        let mut answers = self.get_ranges(hash, std::slice::from_ref(&range)).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Several ranges of one object, in order. A chunk that several ranges touch is read once.
    ///
    /// # Errors
    /// As [`get_range`](Self::get_range).
    pub async fn get_ranges(&self, hash: &Hash, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let content = self.content(hash).await?;
        let size = content.size();
        if let Some(range) = ranges
            .iter()
            .find(|range| range.start > range.end || range.end > size)
        {
            return Err(Error::InvalidRange {
                hash: *hash,
                start: range.start,
                end: range.end,
                size,
            });
        }
        match content {
            // Both ends are at most the length, which fits.
            Content::Whole(bytes) => Ok(ranges
                .iter()
                .map(|range| bytes.slice(range.start as usize..range.end as usize))
                .collect()),
            Content::Cut(recipe) => {
                let parts: Vec<Vec<Part>> = ranges.iter().map(|range| recipe.parts(range.clone())).collect();
                let needed: BTreeMap<Hash, u64> = parts
                    .iter()
                    .flatten()
                    .map(|part| (part.hash, part.length))
                    .collect();
                let chunks: BTreeMap<Hash, Bytes> = stream::iter(needed)
                    .map(|(chunk, length)| async move {
                        Ok((chunk, self.cached_chunk(hash, chunk, length).await?))
                    })
                    .buffer_unordered(AHEAD)
                    .try_collect()
                    .await?;
                Ok(parts.iter().map(|parts| assemble(parts, &chunks)).collect())
            }
        }
    }

    /// The object as a stream of parts of at most 1 MiB, in constant memory. Each part is checked before it is handed
    /// out, the whole at the end: a stream that ends without an error was the object.
    ///
    /// # Errors
    /// As [`get_bytes`](Self::get_bytes), at once or as an item.
    pub async fn get_stream(&self, hash: &Hash) -> Result<BoxStream<'static, Result<Bytes>>> {
        Ok(match self.content(hash).await? {
            Content::Whole(bytes) => stream::iter([Ok(bytes)]).boxed(),
            Content::Cut(recipe) => self.stream_cut(*hash, recipe),
        })
    }

    /// Writes the object to `path`, replacing what is there, and answers its size. The file appears whole and durable or
    /// not at all; its folder must exist.
    ///
    /// # Errors
    /// When the file can't be written, else as [`get_bytes`](Self::get_bytes).
    pub async fn fetch_to(&self, hash: &Hash, path: &Path) -> Result<u64> {
        let mut stream = self.get_stream(hash).await?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temp = path.with_file_name(format!(".{name}.{}.tmp", self.0.ids.hex32()));
        let mut file = blocking(move || Fetched::create(temp)).await?;
        let mut size = 0;
        while let Some(bytes) = stream.try_next().await? {
            size += bytes.len() as u64;
            file = blocking(move || file.write(&bytes)).await?;
        }
        let path = path.to_owned();
        blocking(move || file.publish(&path)).await?;
        Ok(size)
    }

    /// Whether the object is in the store. Only a look: to rely on the answer, use [`hold`](Self::hold).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn exists(&self, hash: &Hash) -> Result<bool> {
        Ok(self.0.pieces.locate(&object_pieces(hash)).await?.is_some())
    }

    /// The object's size in bytes; `None` when it is not in the store.
    ///
    /// # Errors
    /// When the store fails, or the list of a large object's chunks is damaged.
    pub async fn size(&self, hash: &Hash) -> Result<Option<u64>> {
        match self.0.pieces.locate(&object_pieces(hash)).await? {
            Some((
                PieceId {
                    kind: Kind::Recipe, ..
                },
                _,
            )) => Ok(self.cached_recipe(hash).await?.map(|recipe| recipe.size)),
            Some((_, place)) => Ok(Some(Place::size(&place))),
            None => Ok(None),
        }
    }

    pub(crate) async fn content(&self, hash: &Hash) -> Result<Content> {
        if let Some(content) = self.cached_content(hash).await {
            return Ok(content);
        }
        if let Some(content) = self.known_content(hash).await? {
            return Ok(content);
        }
        self.0
            .pieces
            .packs
            .refresh(self.0.pieces.backend.as_ref())
            .await?;
        if let Some(content) = self.known_content(hash).await? {
            return Ok(content);
        }
        self.0.pieces.packs.check()?;
        Err(Error::NotFound { hash: *hash })
    }

    async fn cached_content(&self, hash: &Hash) -> Option<Content> {
        if let Some(recipe) = self.0.recipes.get(hash).await {
            return Some(Content::Cut(recipe));
        }
        let bytes = self.0.parts.get(&PieceId::new(Kind::Object, *hash)).await?;
        Some(Content::Whole(bytes))
    }

    /// The object where memory or files of its own have it.
    async fn known_content(&self, hash: &Hash) -> Result<Option<Content>> {
        let [object, recipe] = object_pieces(hash);
        if let Some(bytes) = self.0.pieces.read_known(object).await? {
            self.0.parts.insert(object, bytes.clone()).await;
            return Ok(Some(Content::Whole(bytes)));
        }
        let Some(bytes) = self.0.pieces.read_known(recipe).await? else {
            return Ok(None);
        };
        let recipe = Arc::new(Recipe::decode(hash, &bytes)?);
        self.0.recipes.insert(*hash, Arc::clone(&recipe)).await;
        Ok(Some(Content::Cut(recipe)))
    }

    pub(crate) async fn cached_recipe(&self, hash: &Hash) -> Result<Option<Arc<Recipe>>> {
        if let Some(recipe) = self.0.recipes.get(hash).await {
            return Ok(Some(recipe));
        }
        let Some(recipe) = self.0.pieces.recipe(hash).await?.map(Arc::new) else {
            return Ok(None);
        };
        self.0.recipes.insert(*hash, Arc::clone(&recipe)).await;
        Ok(Some(recipe))
    }

    /// A chunk for a ranged read: readers of tables come back to the same chunks.
    async fn cached_chunk(&self, whole: &Hash, chunk: Hash, length: u64) -> Result<Bytes> {
        let id = PieceId::new(Kind::Chunk, chunk);
        if let Some(bytes) = self.0.parts.get(&id).await {
            return Ok(bytes);
        }
        let bytes = self.chunk(whole, chunk, length).await?;
        self.0.parts.insert(id, bytes.clone()).await;
        Ok(bytes)
    }

    async fn chunk(&self, whole: &Hash, chunk: Hash, length: u64) -> Result<Bytes> {
        let damaged = |problem: String| Error::Corrupt {
            hash: *whole,
            problem,
        };
        match self.0.pieces.read(PieceId::new(Kind::Chunk, chunk)).await {
            Ok(Some(bytes)) if bytes.len() as u64 == length => Ok(bytes),
            Ok(Some(_)) => Err(damaged(format!("its recipe gives chunk {chunk} a wrong length"))),
            Ok(None) => Err(damaged(format!("its chunk {chunk} is missing"))),
            // The caller knows the object, not its chunks.
            Err(Error::Corrupt { hash, problem }) => Err(damaged(format!("chunk {hash}: {problem}"))),
            Err(error) => Err(error),
        }
    }

    /// The bytes in `range` of a large object, chunk by chunk, without filling the cache.
    pub(crate) fn stream_range(
        &self,
        hash: Hash,
        recipe: &Recipe,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Bytes>> {
        let this = self.clone();
        stream::iter(recipe.parts(range))
            .map(move |part| {
                let this = this.clone();
                async move {
                    Ok(this
                        .chunk(&hash, part.hash, part.length)
                        .await?
                        .slice(part.wanted))
                }
            })
            .buffered(AHEAD)
            .boxed()
    }

    fn stream_cut(&self, hash: Hash, recipe: Arc<Recipe>) -> BoxStream<'static, Result<Bytes>> {
        let parts = self.stream_range(hash, &recipe, 0..recipe.size);
        stream::try_unfold(
            (parts, Some(Hasher::new())),
            move |(mut parts, hasher)| async move {
                let Some(mut hasher) = hasher else {
                    return Ok(None);
                };
                if let Some(part) = parts.try_next().await? {
                    hasher.update(&part);
                    return Ok(Some((part, (parts, Some(hasher)))));
                }
                if hasher.finish() == hash {
                    return Ok(None);
                }
                let problem = "its chunks are sound but are not this object's".to_owned();
                Err(Error::Corrupt { hash, problem })
            },
        )
        .boxed()
    }
}

/// The pieces that can stand for an object.
pub(crate) fn object_pieces(hash: &Hash) -> [PieceId; 2] {
    [
        PieceId::new(Kind::Object, *hash),
        PieceId::new(Kind::Recipe, *hash),
    ]
}

fn assemble(parts: &[Part], chunks: &BTreeMap<Hash, Bytes>) -> Bytes {
    if let [part] = parts {
        return chunks[&part.hash].slice(part.wanted.clone());
    }
    let mut bytes = BytesMut::with_capacity(parts.iter().map(|part| part.wanted.len()).sum());
    for part in parts {
        bytes.extend_from_slice(&chunks[&part.hash][part.wanted.clone()]);
    }
    bytes.freeze()
}

/// A file being fetched; removed unless it is published.
struct Fetched {
    file: File,
    temp: PathBuf,
}

impl Fetched {
    fn create(temp: PathBuf) -> Result<Self> {
        let file = File::create_new(&temp).map_err(|error| Error::io("create", &temp, error))?;
        Ok(Self { file, temp })
    }

    fn write(mut self, bytes: &[u8]) -> Result<Self> {
        self.file
            .write_all(bytes)
            .map_err(|error| Error::io("write", &self.temp, error))?;
        Ok(self)
    }

    fn publish(self, path: &Path) -> Result<()> {
        self.file
            .sync_all()
            .map_err(|error| Error::io("flush", &self.temp, error))?;
        fs::rename(&self.temp, path).map_err(|error| Error::io("rename into place", path, error))?;
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let folder = File::open(parent).map_err(|error| Error::io("open", parent, error))?;
        folder
            .sync_all()
            .map_err(|error| Error::io("flush", parent, error))
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        // After a publish the temporary name is gone already.
        let _ = fs::remove_file(&self.temp);
    }
}
