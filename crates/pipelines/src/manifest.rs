//! What a stage wrote: each out as the files it holds.

use everloop_core::{Hash, Hasher};
use serde::{Deserialize, Serialize};

/// An out, or anything else a stage reads, by content. Stored as JSON; owned by this crate; fields are only added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutManifest {
    /// Where it lies, as seen from the project's folder.
    pub path: String,
    /// Whether it is a folder.
    pub folder: bool,
    /// Whether its bytes are in the object store.
    pub kept: bool,
    /// Its files by path; of a file one, whose path is empty.
    pub files: Vec<OutFile>,
}

/// A file of an out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutFile {
    /// Its path inside the folder, with `/` between its parts; empty when the out is a file.
    pub path: String,
    /// Its content.
    pub hash: Hash,
    /// Its length in bytes.
    pub size: u64,
    /// Whether it may be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

impl OutManifest {
    /// The hash of the content: of a file that of its bytes, of a folder that of its files' paths and contents. Names
    /// above it and permissions don't count.
    #[must_use]
    pub fn digest(&self) -> Hash {
        if !self.folder
            && let [file] = self.files.as_slice()
        {
            return file.hash;
        }
        let mut hasher = Hasher::new();
        hasher.field(b"everloop folder");
        for file in &self.files {
            hasher.field(file.path.as_bytes()).field(file.hash.as_bytes());
        }
        hasher.finish()
    }

    /// Length of all files in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Whether the two hold the same.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        self.folder == other.folder && self.files == other.files
    }

    /// Where `file` lies, as seen from the project's folder.
    pub(crate) fn path_of(&self, file: &OutFile) -> String {
        if file.path.is_empty() {
            self.path.clone()
        } else {
            format!("{}/{}", self.path, file.path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> OutManifest {
        let file = |&(path, bytes): &(&str, &[u8])| OutFile {
            path: path.to_owned(),
            hash: Hash::of(bytes),
            size: bytes.len() as u64,
            executable: false,
        };
        OutManifest {
            path: "x".to_owned(),
            folder: true,
            kept: true,
            files: files.iter().map(file).collect(),
        }
    }

    #[test]
    fn digest_tells_contents_and_names_apart() {
        let one = folder(&[("a", b"1")]);
        assert_ne!(one.digest(), folder(&[("b", b"1")]).digest());
        assert_ne!(one.digest(), folder(&[("a", b"2")]).digest());
        assert_ne!(one.digest(), Hash::of(b"1"));
        let elsewhere = OutManifest {
            path: "y".to_owned(),
            kept: false,
            ..one.clone()
        };
        assert_eq!(one.digest(), elsewhere.digest());
    }
}
