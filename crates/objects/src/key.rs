//! Names of the files that make up a store.
//!
//! ```text
//! format                 "everloop-objects 1": refuses programs that are too old
//! objects/ab/cdef...     an object of at most 1 MiB: its bytes, named by their hash
//! recipes/ab/cdef...     a larger object: the list of its chunks, named by the hash of the whole
//! chunks/ab/cdef...      one chunk of larger objects
//! packs/<id>             many small pieces written together
//! index/<id>             what lies where in that pack; the pack counts only once this exists
//! holds/<id>             "keep these a while": refreshes the grace of files whose time can't be touched
//! condemned/<id>         what a collector is about to delete
//! tmp/<id>               a file being written (folders only)
//! ```

use everloop_core::Hash;
use std::fmt;
use std::str::FromStr;

/// What a piece is to the object it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A whole small object.
    Object,
    /// The list of chunks of a large object; named by the hash of the object, not of the list.
    Recipe,
    /// A part of large objects.
    Chunk,
}

impl Kind {
    pub(crate) fn area(self) -> Area {
        match self {
            Self::Object => Area::Objects,
            Self::Recipe => Area::Recipes,
            Self::Chunk => Area::Chunks,
        }
    }

    /// The kind's number in pack indexes. Never changes.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Object => 0,
            Self::Recipe => 1,
            Self::Chunk => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::Object, Self::Recipe, Self::Chunk]
            .into_iter()
            .find(|kind| kind.code() == code)
    }

    /// Whether callers know it by its hash; chunks are our own affair.
    pub(crate) fn is_object(self) -> bool {
        matches!(self, Self::Object | Self::Recipe)
    }
}

/// The name of a piece: the unit that is stored, found and deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PieceId {
    pub(crate) kind: Kind,
    pub(crate) hash: Hash,
}

impl PieceId {
    pub(crate) fn new(kind: Kind, hash: Hash) -> Self {
        Self { kind, hash }
    }
}

/// The name of a pack: drawn at random, so that a deleted pack's name never comes back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PackId([u8; 16]);

impl FromStr for PackId {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackId({self})")
    }
}

/// The parts of a store, each a folder or key prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Area {
    Objects,
    Recipes,
    Chunks,
    Packs,
    Index,
    Holds,
    Condemned,
    Temp,
}

impl Area {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::Recipes => "recipes",
            Self::Chunks => "chunks",
            Self::Packs => "packs",
            Self::Index => "index",
            Self::Holds => "holds",
            Self::Condemned => "condemned",
            Self::Temp => "tmp",
        }
    }
}

/// The name of a file inside a store: relative, `/` between parts, made by this module only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(String);

impl Key {
    /// The marker that says which format the store has.
    pub(crate) fn format() -> Self {
        Self("format".to_owned())
    }

    /// The file that a piece has for itself.
    pub(crate) fn own(id: PieceId) -> Self {
        let hex = id.hash.to_hex();
        Self(format!("{}/{}/{}", id.kind.area().as_str(), &hex[..2], &hex[2..]))
    }

    /// The bytes of a pack.
    pub(crate) fn pack(id: PackId) -> Self {
        Self(format!("{}/{id}", Area::Packs.as_str()))
    }

    /// The index of a pack, which stands for the pack in all that concerns its lifetime.
    pub(crate) fn index(id: PackId) -> Self {
        Self(format!("{}/{id}", Area::Index.as_str()))
    }

    /// A record (hold, condemnation) or temporary file.
    pub(crate) fn record(area: Area, id: &str) -> Self {
        Self(format!("{}/{id}", area.as_str()))
    }

    /// A name as found in a listing or in a record; whether it means anything shows when it is taken apart.
    pub(crate) fn found(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder the file lies in.
    pub(crate) fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The piece whose own file this is.
    pub(crate) fn piece(&self) -> Option<PieceId> {
        let (area, rest) = self.0.split_once('/')?;
        let kind = [Kind::Object, Kind::Recipe, Kind::Chunk]
            .into_iter()
            .find(|kind| kind.area().as_str() == area)?;
        let (first, second) = rest.split_once('/')?;
        if first.len() != 2 {
            return None;
        }
        let hash = format!("{first}{second}").parse().ok()?;
        Some(PieceId::new(kind, hash))
    }

    /// The pack whose bytes or index this is.
    pub(crate) fn pack_id(&self) -> Option<PackId> {
        let (area, id) = self.0.split_once('/')?;
        [Area::Packs.as_str(), Area::Index.as_str()]
            .contains(&area)
            .then(|| id.parse().ok())?
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pieces_and_packs_read_back() {
        for kind in [Kind::Object, Kind::Recipe, Kind::Chunk] {
            let id = PieceId::new(kind, Hash::of(b"x"));
            assert_eq!(Key::own(id).piece(), Some(id));
            assert_eq!(Kind::from_code(kind.code()), Some(kind));
        }
        let pack: PackId = "000102030405060708090a0b0c0d0e0f".parse().unwrap();
        assert_eq!(Key::pack(pack).pack_id(), Some(pack));
        assert_eq!(Key::index(pack).pack_id(), Some(pack));
    }

    #[test]
    fn strangers_are_nobodys_names() {
        for text in [
            "",
            "format",
            "objects/ab",
            "objects/a/b",
            "objects/ab/../x",
            "index/zz",
            "tmp/00",
        ] {
            let key = Key::found(text);
            assert_eq!((key.piece(), key.pack_id()), (None, None), "{text}");
        }
    }
}
