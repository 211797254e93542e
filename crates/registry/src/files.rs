//! The files of a version: its manifest. Bytes are in the object store; here are paths, hashes and lengths.

use std::collections::BTreeMap;

use everloop_core::{ArtifactPath, Hash, Hasher, ModelName, ProjectName};
use everloop_db::{Row, Tx, Value, params};

use crate::text::limits;
use crate::words::one_more;
use crate::{Error, Page, Result, VersionNumber, models, versions};

/// A file of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Where it lies in the model's folder.
    pub path: ArtifactPath,
    /// The object that holds its bytes.
    pub hash: Hash,
    /// Its length.
    pub size_bytes: u64,
}

/// All files of a version, by path.
///
/// # Errors
/// [`Error::NoModel`], [`Error::NoVersion`].
pub fn all(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Vec<ModelFile>> {
    let everything = list(tx, project, model, version, None, limits::FILES)?;
    Ok(everything.items)
}

/// A page of the files of a version, by path.
///
/// # Errors
/// [`Error::NoModel`], [`Error::NoVersion`].
pub fn list(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    version: VersionNumber,
    after: Option<&ArtifactPath>,
    limit: usize,
) -> Result<Page<ModelFile, ArtifactPath>> {
    let of = models::key(tx, project, model)?;
    versions::state(tx, of, model, version)?;
    let rows = tx.query(
        "SELECT path, hash, size FROM model_files
         WHERE model = ?1 AND version = ?2 AND path > ?3 ORDER BY path LIMIT ?4",
        &params![
            of,
            version,
            after.map_or("", ArtifactPath::as_str),
            one_more(limit)
        ],
    )?;
    let files = rows.iter().map(file).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(files, limit, |last| last.path.clone()))
}

/// What is known of a manifest as a whole.
pub(crate) struct Summary {
    /// The hash over all paths, hashes and lengths, by path.
    pub(crate) content: Hash,
    /// The sum of all lengths.
    pub(crate) size_bytes: u64,
}

/// Checks the files of a version to be and sums them up.
pub(crate) fn summarise(files: &[ModelFile]) -> Result<Summary> {
    if files.len() > limits::FILES {
        return Err(Error::TooMany {
            what: "files",
            limit: limits::FILES,
        });
    }
    let mut by_path = BTreeMap::new();
    for file in files {
        if by_path.insert(&file.path, file).is_some() {
            return Err(Error::DuplicateFile(file.path.to_string()));
        }
    }
    let mut hasher = Hasher::new();
    let mut size_bytes = 0_u64;
    for file in by_path.values() {
        hasher.field(file.path.as_str().as_bytes());
        hasher.field(file.hash.as_bytes());
        hasher.field(&file.size_bytes.to_le_bytes());
        size_bytes = size_bytes.saturating_add(file.size_bytes);
    }
    Ok(Summary {
        content: hasher.finish(),
        size_bytes,
    })
}

/// Writes the checked files of a new version.
pub(crate) fn write(tx: &mut Tx<'_>, model: i64, version: VersionNumber, files: &[ModelFile]) -> Result<()> {
    let rows: Vec<Vec<Value>> = files
        .iter()
        .map(|file| params![model, version, file.path.as_str(), file.hash, file.size_bytes].to_vec())
        .collect();
    tx.execute_many(
        "INSERT INTO model_files (model, version, path, hash, size) VALUES (?1, ?2, ?3, ?4, ?5)",
        &rows,
    )?;
    Ok(())
}

fn file(row: &Row) -> Result<ModelFile> {
    let path = ArtifactPath::new(row.get::<String>("path")?).map_err(|error| Error::Damaged {
        what: "file of a model".to_owned(),
        problem: error.to_string(),
    })?;
    Ok(ModelFile {
        path,
        hash: row.get("hash")?,
        size_bytes: row.get("size")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str, bytes: &[u8]) -> ModelFile {
        ModelFile {
            path: ArtifactPath::new(path).unwrap(),
            hash: Hash::of(bytes),
            size_bytes: bytes.len() as u64,
        }
    }

    #[test]
    fn the_same_files_in_another_order_are_the_same_content() {
        let (a, b) = (named("MLmodel", b"1"), named("model.onnx", b"22"));
        let one = summarise(&[a.clone(), b.clone()]).unwrap();
        let two = summarise(&[b.clone(), a.clone()]).unwrap();
        assert_eq!(one.content, two.content);
        assert_eq!(one.size_bytes, 3);
        let renamed = summarise(&[a, named("other.onnx", b"22")]).unwrap();
        assert_ne!(one.content, renamed.content);
    }

    #[test]
    fn a_path_stands_once() {
        let twice = summarise(&[named("a", b"1"), named("a", b"2")]);
        assert!(matches!(twice, Err(Error::DuplicateFile(path)) if path == "a"));
    }
}
