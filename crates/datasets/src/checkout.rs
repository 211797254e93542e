//! Writing a version's files back to a folder.

use std::path::{Path, PathBuf};

use everloop_core::Hasher;
use tokio::io::AsyncReadExt;

use crate::{Datasets, Error, FileEntry, Result, Version};

/// What to do about files that differ from the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Refuse, before anything is written.
    Refuse,
    /// Replace them.
    Replace,
}

/// What a checkout came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutReport {
    /// Files written.
    pub written: Vec<String>,
    /// Files that were there already with the same content.
    pub unchanged: u64,
}

impl Datasets {
    /// Writes the files of `version` below `folder`, each under its own path and each at once (a reader never sees
    /// half a file). Other files there stay.
    ///
    /// # Errors
    /// [`Error::WouldOverwrite`] when a file differs and `overwrite` says to refuse, or when a store fails.
    pub async fn checkout(
        &self,
        version: &Version,
        folder: &Path,
        overwrite: Overwrite,
    ) -> Result<CheckoutReport> {
        let manifest = self.manifest(version).await?;
        let mut missing = Vec::new();
        let mut unchanged = 0;
        for file in manifest.files() {
            let path = target(folder, file);
            match differs(&path, file).await? {
                None => missing.push((file, path)),
                Some(false) => unchanged += 1,
                Some(true) if overwrite == Overwrite::Refuse => return Err(Error::WouldOverwrite { path }),
                Some(true) => missing.push((file, path)),
            }
        }
        let mut written = Vec::with_capacity(missing.len());
        for (file, path) in missing {
            self.objects.fetch_to(&file.hash, &path).await?;
            written.push(file.path.clone());
        }
        Ok(CheckoutReport { written, unchanged })
    }
}

fn target(folder: &Path, file: &FileEntry) -> PathBuf {
    file.path
        .split('/')
        .fold(folder.to_owned(), |path, part| path.join(part))
}

/// None when there is no such file; else whether its content differs.
async fn differs(path: &Path, file: &FileEntry) -> Result<Option<bool>> {
    let io = |source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let mut opened = match tokio::fs::File::open(path).await {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    if opened.metadata().await.map_err(io)?.len() != file.size {
        return Ok(Some(true));
    }
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = opened.read(&mut buffer).await.map_err(io)?;
        if count == 0 {
            return Ok(Some(hasher.finish() != file.hash));
        }
        hasher.update(&buffer[..count]);
    }
}
