//! Artifacts with their bytes: into the object store first, then into the run.
//!
//! Bytes whose run turns out to be deleted or whose path is taken by a folder stay behind as objects that nothing
//! refers to; the collector takes them after its grace period.

use std::path::Path;

use bytes::Bytes;
use everloop_core::{Hash, ProjectName, RunId};
use everloop_objects::Stored;
use futures::Stream;
use futures::stream::BoxStream;

use crate::artifacts::{self, File};
use crate::{ArtifactPath, By, Result, Tracking};

impl Tracking {
    /// Puts an artifact whose bytes are in memory.
    ///
    /// # Errors
    /// Those of the object store; as [`artifacts::record`].
    pub async fn put_bytes(&self, by: &By, run: &RunId, path: &ArtifactPath, bytes: Bytes) -> Result<File> {
        self.check_room(by, run, path).await?;
        let stored = self.objects.put_bytes(bytes).await?;
        self.record(by, run, path, &stored).await
    }

    /// Puts an artifact from a file on this machine.
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes).
    pub async fn put_file(&self, by: &By, run: &RunId, path: &ArtifactPath, file: &Path) -> Result<File> {
        self.check_room(by, run, path).await?;
        let stored = self.objects.put_file(file).await?;
        self.record(by, run, path, &stored).await
    }

    /// Puts an artifact whose bytes come in over time, in constant memory. When their hash is `declared`, bytes of
    /// another hash are refused and nothing is recorded.
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes).
    pub async fn put_stream<S>(
        &self,
        by: &By,
        run: &RunId,
        path: &ArtifactPath,
        bytes: S,
        declared: Option<Hash>,
    ) -> Result<File>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send,
    {
        self.check_room(by, run, path).await?;
        let stored = self.objects.put_stream(bytes, declared).await?;
        self.record(by, run, path, &stored).await
    }

    /// Puts many artifacts whose bytes are in memory, such as a model's folder: all of them are recorded or none.
    ///
    /// # Errors
    /// As [`put_bytes`](Self::put_bytes).
    pub async fn put_many(
        &self,
        by: &By,
        run: &RunId,
        files: Vec<(ArtifactPath, Bytes)>,
    ) -> Result<Vec<File>> {
        let (paths, bytes): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let stored = self.objects.put_many(bytes).await?;
        let files: Vec<File> = paths
            .into_iter()
            .zip(&stored)
            .map(|(path, stored)| File {
                path,
                hash: stored.hash,
                size_bytes: stored.size,
            })
            .collect();
        let (by, run, recorded) = (by.clone(), run.clone(), files.clone());
        self.db
            .write(move |tx| artifacts::record(tx, &by, &run, &recorded))
            .await?;
        Ok(files)
    }

    /// The file at a path and its bytes, for files that fit in memory.
    ///
    /// # Errors
    /// As [`artifacts::get`]; those of the object store.
    pub async fn get_bytes(
        &self,
        project: &ProjectName,
        run: &RunId,
        path: &ArtifactPath,
    ) -> Result<(File, Bytes)> {
        let file = self.artifact(project, run, path).await?;
        let bytes = self.objects.get_bytes(&file.hash).await?;
        Ok((file, bytes))
    }

    /// The file at a path and its bytes as they are read.
    ///
    /// # Errors
    /// As [`get_bytes`](Self::get_bytes).
    pub async fn get_stream(
        &self,
        project: &ProjectName,
        run: &RunId,
        path: &ArtifactPath,
    ) -> Result<(File, BoxStream<'static, everloop_objects::Result<Bytes>>)> {
        let file = self.artifact(project, run, path).await?;
        let bytes = self.objects.get_stream(&file.hash).await?;
        Ok((file, bytes))
    }

    /// The file at a path, for who reads ranges of its object.
    ///
    /// # Errors
    /// As [`artifacts::get`].
    pub async fn artifact(&self, project: &ProjectName, run: &RunId, path: &ArtifactPath) -> Result<File> {
        let (project, run, path) = (project.clone(), run.clone(), path.clone());
        self.db
            .read(move |tx| artifacts::get(tx, &project, &run, &path))
            .await
    }

    /// Refuses before any byte is taken what [`record`](Self::record) would refuse after all of them.
    async fn check_room(&self, by: &By, run: &RunId, path: &ArtifactPath) -> Result<()> {
        let (project, run, path) = (by.project.clone(), run.clone(), path.clone());
        self.db
            .read(move |tx| artifacts::check_room(tx, &project, &run, &path))
            .await
    }

    async fn record(&self, by: &By, run: &RunId, path: &ArtifactPath, stored: &Stored) -> Result<File> {
        let file = File {
            path: path.clone(),
            hash: stored.hash,
            size_bytes: stored.size,
        };
        let (by, run, recorded) = (by.clone(), run.clone(), file.clone());
        self.db
            .write(move |tx| artifacts::record(tx, &by, &run, std::slice::from_ref(&recorded)))
            .await?;
        Ok(file)
    }
}
