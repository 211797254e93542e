//! The list of a version's files. Its bytes are canonical, so equal content has an equal digest.

use everloop_core::Hash;
use everloop_tables::{ObjectFile, Source};
use serde::{Deserialize, Serialize};

/// One file of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The path below the project's folder, with `/` between its parts.
    pub path: String,
    /// The content.
    pub hash: Hash,
    /// Length in bytes.
    pub size: u64,
}

/// The files of a version, ordered by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this document's form.
    format: u32,
    /// The files, ordered by path.
    files: Vec<FileEntry>,
}

impl Manifest {
    /// A manifest of `files` in any order.
    #[must_use]
    pub fn new(mut files: Vec<FileEntry>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { format: 1, files }
    }

    /// The files, ordered by path.
    #[must_use]
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// The bytes that are stored and hashed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest holds only texts and numbers")
    }

    /// Total length of the files in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The rows of all files, as a table to query.
    #[must_use]
    pub fn source(&self) -> Source {
        let files = self.files.iter().map(FileEntry::object).collect();
        Source::objects(files)
    }
}

impl FileEntry {
    /// The file as the query engine names it.
    #[must_use]
    pub fn object(&self) -> ObjectFile {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path).to_owned();
        ObjectFile {
            hash: self.hash,
            name,
            size: self.size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_does_not_depend_on_the_order_of_discovery() {
        let file = |path: &str| FileEntry {
            path: path.to_owned(),
            hash: Hash::of(path.as_bytes()),
            size: 1,
        };
        let one = Manifest::new(vec![file("b"), file("a")]);
        let other = Manifest::new(vec![file("a"), file("b")]);
        assert_eq!(one.to_bytes(), other.to_bytes());
    }
}
