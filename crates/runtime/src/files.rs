//! The files of a model directory, in memory.

use crate::error::{Error, Result};
use crate::limits::Limits;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Relative paths (with `/`) and their bytes. What is stored, signed and compared as one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFiles {
    files: BTreeMap<String, Vec<u8>>,
}

impl ModelFiles {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One file on its own, such as a bare `model.onnx`.
    ///
    /// # Errors
    /// When `path` leaves the directory.
    pub fn single(path: &str, bytes: Vec<u8>) -> Result<Self> {
        let mut files = Self::new();
        files.insert(path, bytes)?;
        Ok(files)
    }

    /// Adds or replaces a file.
    ///
    /// # Errors
    /// When `path` is empty, absolute, or has `.`, `..`, empty or back-slashed segments.
    pub fn insert(&mut self, path: &str, bytes: Vec<u8>) -> Result<()> {
        if !is_inside(path) {
            return Err(Error::Path {
                path: path.chars().take(200).collect(),
            });
        }
        self.files.insert(path.to_owned(), bytes);
        Ok(())
    }

    /// The bytes of a file.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The bytes of a file that must be there.
    ///
    /// # Errors
    /// [`Error::MissingFile`].
    pub fn require(&self, path: &str) -> Result<&[u8]> {
        self.get(path).ok_or_else(|| Error::MissingFile {
            path: path.to_owned(),
        })
    }

    /// All files, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// All files, by path, with their bytes.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<String, Vec<u8>> {
        self.files
    }

    /// Number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are no files.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Bytes of all files.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.files.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// Reads a model directory, or a single model file. Links and other special files are refused: what is read must
    /// lie in the directory.
    ///
    /// # Errors
    /// When something cannot be read, is not a plain file or folder, or exceeds `limits`.
    pub fn from_dir(path: &Path, limits: &Limits) -> Result<Self> {
        let mut read = Reader {
            limits,
            files: Self::new(),
            bytes: 0,
        };
        if path.is_file() {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("model");
            read.file(path, name)?;
            return Ok(read.files);
        }
        let mut folders = vec![(path.to_owned(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            read.folder(&folder, &prefix, &mut folders)?;
        }
        Ok(read.files)
    }

    /// Writes the files below `path`, which is made when it is not there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn to_dir(&self, path: &Path) -> Result<()> {
        for (name, bytes) in self.iter() {
            let target = path.join(name);
            let io = |source| Error::Io {
                path: name.to_owned(),
                source,
            };
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(io)?;
            }
            fs::write(&target, bytes).map_err(io)?;
        }
        Ok(())
    }
}

struct Reader<'a> {
    limits: &'a Limits,
    files: ModelFiles,
    bytes: usize,
}

impl Reader<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, folders: &mut Vec<(PathBuf, String)>) -> Result<()> {
        let io = |source| Error::Io {
            path: prefix.to_owned(),
            source,
        };
        for entry in fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(Error::Path {
                    path: name.to_string_lossy().into_owned(),
                });
            };
            let path = if prefix.is_empty() {
                name.to_owned()
            } else {
                format!("{prefix}/{name}")
            };
            Limits::check(
                &path,
                "number of files",
                folders.len() + self.files.len() + 1,
                self.limits.files,
            )?;
            let kind = entry.file_type().map_err(io)?;
            if kind.is_dir() {
                folders.push((entry.path(), path));
            } else if kind.is_file() {
                self.file(&entry.path(), &path)?;
            } else {
                return Err(Error::Path { path });
            }
        }
        Ok(())
    }

    fn file(&mut self, from: &Path, path: &str) -> Result<()> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let size = fs::metadata(from).map_err(io)?.len();
        self.bytes = self
            .bytes
            .saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        Limits::check(path, "size of all files", self.bytes, self.limits.total_bytes)?;
        self.files.insert(path, fs::read(from).map_err(io)?)
    }
}

/// Whether `path` is relative, plain and free of anything that could leave the directory.
fn is_inside(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
    path.split('/').all(plain)
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_survives_the_way_to_disk_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = ModelFiles::new();
        files.insert("MLmodel", b"flavors: {}".to_vec()).unwrap();
        files.insert("data/deep/model.onnx", vec![1, 2, 3]).unwrap();
        files.to_dir(folder.path()).unwrap();
        assert_eq!(
            ModelFiles::from_dir(folder.path(), &Limits::default()).unwrap(),
            files
        );
    }

    #[test]
    fn paths_that_leave_the_directory_are_refused() {
        for path in ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a\\b", "a/"] {
            assert!(ModelFiles::single(path, vec![]).is_err(), "{path}");
        }
    }

    #[test]
    fn size_and_count_are_limited_before_reading() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), [0; 100]).unwrap();
        fs::write(folder.path().join("b"), [0; 100]).unwrap();
        let few = Limits {
            files: 1,
            ..Limits::default()
        };
        let small = Limits {
            total_bytes: 150,
            ..Limits::default()
        };
        assert!(matches!(
            ModelFiles::from_dir(folder.path(), &few),
            Err(Error::Limit { .. })
        ));
        assert!(matches!(
            ModelFiles::from_dir(folder.path(), &small),
            Err(Error::Limit { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hosts", folder.path().join("model.onnx")).unwrap();
        assert!(matches!(
            ModelFiles::from_dir(folder.path(), &Limits::default()),
            Err(Error::Path { .. })
        ));
    }
}
