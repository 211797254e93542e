//! Taking a snapshot: hash what changed, profile what is new, then name it in one transaction.
//!
//! Bytes are durable before the version's row names them, so a crash leaves objects that nothing names (the
//! collector's business) and never a version without its bytes.

use everloop_core::{Actor, DatasetName, Hash, ProjectName, RunId};
use everloop_db::{Value, params};
use everloop_tables::{Profile, Source};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use crate::files::{self, Found};
use crate::store::{document, insert_version};
use crate::{ColumnSchema, Datasets, Error, FileEntry, Manifest, Result, Selector, Version, VersionRef};

/// A file that was written this recently may be written again within the same tick of its clock, unseen.
const UNSETTLED: Duration = Duration::from_secs(2);

/// What taking a snapshot came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The version that holds the files as they are.
    pub version: Version,
    /// Whether it is new; false when nothing had changed.
    pub is_new: bool,
}

/// What a version was made from.
#[derive(Debug, Clone, Default)]
struct Origin {
    parents: Vec<VersionRef>,
    run: Option<RunId>,
}

impl Datasets {
    /// Takes a snapshot of the dataset's files below `root`.
    ///
    /// # Errors
    /// When no file matches, one changes while it is read or holds no table, or a store fails.
    pub async fn snapshot(
        &self,
        project: &ProjectName,
        actor: &Actor,
        name: &DatasetName,
        root: &Path,
    ) -> Result<Snapshot> {
        let dataset = self.get(project, name).await?;
        let found = files::find(name, root, &dataset.spec.paths)?;
        if found.is_empty() {
            return Err(Error::NoFiles {
                name: name.clone(),
                paths: dataset.spec.paths,
                root: root.to_owned(),
            });
        }
        let entries = self.store_files(&found).await?;
        self.commit(project, actor, name, Manifest::new(entries), Origin::default())
            .await
    }

    /// Makes a version of files that are stored already, such as a stage's output.
    ///
    /// # Errors
    /// When a file holds no table, or a store fails.
    pub async fn commit_files(
        &self,
        project: &ProjectName,
        actor: &Actor,
        name: &DatasetName,
        files: Vec<FileEntry>,
        parents: Vec<VersionRef>,
        run: Option<RunId>,
    ) -> Result<Snapshot> {
        self.commit(
            project,
            actor,
            name,
            Manifest::new(files),
            Origin { parents, run },
        )
        .await
    }

    async fn commit(
        &self,
        project: &ProjectName,
        actor: &Actor,
        name: &DatasetName,
        manifest: Manifest,
        origin: Origin,
    ) -> Result<Snapshot> {
        let stored = self.objects.put_bytes(manifest.to_bytes()).await?;
        if let Ok(version) = self.version(project, name, Selector::Latest).await
            && version.digest == stored.hash
        {
            return Ok(Snapshot {
                version,
                is_new: false,
            });
        }
        let (profile, columns) = self.profile_files(name, &manifest).await?;
        let text = serde_json::to_vec(&profile).expect("a profile is plain data");
        let profile_hash = self.objects.put_bytes(text).await?.hash;
        let draft = Version {
            name: name.clone(),
            number: 0,
            digest: stored.hash,
            profile: profile_hash,
            columns,
            rows: profile.rows(),
            bytes: manifest.bytes(),
            files: manifest.files().len() as u64,
            parents: origin.parents,
            run: origin.run,
            actor: actor.to_string(),
            created_at: self.clock.now(),
            deleted_at: None,
        };
        let (project, actor) = (project.clone(), actor.clone());
        self.db
            .write(move |tx| insert_version(tx, &project, &actor, &draft))
            .await
    }

    /// Stores the files that changed since they were last seen.
    async fn store_files(&self, found: &[Found]) -> Result<Vec<FileEntry>> {
        let mut known = self.known_stats(found).await?;
        // Held, not only looked up: nothing may refer to them yet.
        let hashes: Vec<Hash> = known.values().copied().collect();
        let missing = self.objects.hold(&hashes).await?;
        known.retain(|_, hash| !missing.contains(hash));
        let mut entries = Vec::with_capacity(found.len());
        let mut seen = Vec::new();
        for file in found {
            if let Some(hash) = known.get(&file.absolute.to_string_lossy().into_owned()) {
                entries.push(FileEntry {
                    path: file.path.clone(),
                    hash: *hash,
                    size: file.size,
                });
                continue;
            }
            let stored = self.objects.put_file(&file.absolute).await?;
            let after = files::describe(file.path.clone(), &file.absolute)?;
            if after != *file || stored.size != file.size {
                return Err(Error::ChangedWhileRead {
                    path: file.absolute.clone(),
                });
            }
            entries.push(FileEntry {
                path: file.path.clone(),
                hash: stored.hash,
                size: stored.size,
            });
            seen.push((file.clone(), stored.hash));
        }
        self.remember_stats(seen).await?;
        Ok(entries)
    }

    /// Hashes of the files that still look as they did when they were hashed, by absolute path.
    async fn known_stats(&self, found: &[Found]) -> Result<HashMap<String, Hash>> {
        let found = found.to_vec();
        self.db
            .read(move |tx| {
                let mut known = HashMap::new();
                for file in &found {
                    let path = file.absolute.to_string_lossy().into_owned();
                    let row = tx.query_opt(
                        "SELECT hash FROM dataset_file_stats \
                         WHERE path = ?1 AND size = ?2 AND modified_ns = ?3 AND inode = ?4",
                        &params![path.as_str(), file.size, file.modified_ns, inode(file)],
                    )?;
                    if let Some(row) = row {
                        known.insert(path, row.get("hash")?);
                    }
                }
                Ok::<_, Error>(known)
            })
            .await
    }

    async fn remember_stats(&self, seen: Vec<(Found, Hash)>) -> Result<()> {
        let settled = self
            .clock
            .wall()
            .minus(UNSETTLED)
            .millis()
            .saturating_mul(1_000_000);
        let rows: Vec<Vec<Value>> = seen
            .iter()
            .filter(|(file, _)| file.modified_ns < settled)
            .map(|(file, hash)| {
                let path = file.absolute.to_string_lossy().into_owned();
                params![path, file.size, file.modified_ns, inode(file), *hash].to_vec()
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.db
            .write(move |tx| {
                tx.execute_many(
                    "INSERT INTO dataset_file_stats (path, size, modified_ns, inode, hash) \
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (path) DO UPDATE SET size = excluded.size, \
                     modified_ns = excluded.modified_ns, inode = excluded.inode, hash = excluded.hash",
                    &rows,
                )?;
                Ok::<_, Error>(())
            })
            .await
    }

    /// The profile of all files: merged from each file's own, which are kept. Files whose columns differ do not
    /// merge; then all are read together, as one table.
    async fn profile_files(
        &self,
        name: &DatasetName,
        manifest: &Manifest,
    ) -> Result<(Profile, Vec<ColumnSchema>)> {
        let mut whole: Option<(Profile, Vec<ColumnSchema>)> = None;
        for file in manifest.files() {
            let (profile, columns) = match self.kept_profile(&file.hash).await? {
                Some(kept) => kept,
                None => self
                    .profile_file(file)
                    .await
                    .map_err(|error| unreadable(name, file, error))?,
            };
            whole = match whole {
                None => Some((profile, columns)),
                Some((_, all)) if all != columns => return self.profile_together(manifest).await,
                Some((mut sum, all)) => {
                    sum.merge(&profile)?;
                    Some((sum, all))
                }
            };
        }
        whole.ok_or_else(|| Error::NoFiles {
            name: name.clone(),
            paths: Vec::new(),
            root: "".into(),
        })
    }

    async fn profile_together(&self, manifest: &Manifest) -> Result<(Profile, Vec<ColumnSchema>)> {
        let columns = self.columns_of(manifest.source()).await?;
        Ok((self.tables.profile(manifest.source()).await?, columns))
    }

    async fn kept_profile(&self, file: &Hash) -> Result<Option<(Profile, Vec<ColumnSchema>)>> {
        let file = *file;
        let row = self
            .db
            .read(move |tx| {
                let sql = "SELECT profile, columns_json FROM dataset_file_profiles WHERE file_hash = ?1";
                let row = tx.query_opt(sql, &params![file])?;
                row.map(|row| Ok((row.get::<Hash>("profile")?, row.get::<String>("columns_json")?)))
                    .transpose()
            })
            .await
            .map_err(|error: everloop_db::Error| Error::Db(error))?;
        let Some((profile, columns)) = row else {
            return Ok(None);
        };
        let columns = document(&columns, "columns of a file")?;
        match self.read_profile(&profile).await {
            Ok(profile) => Ok(Some((profile, columns))),
            // Collected since the last version with this file was deleted.
            Err(Error::Objects(everloop_objects::Error::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn profile_file(&self, file: &FileEntry) -> Result<(Profile, Vec<ColumnSchema>)> {
        let source = Source::objects(vec![file.object()]);
        let columns = self.columns_of(source.clone()).await?;
        let profile = self.tables.profile(source).await?;
        let text = serde_json::to_vec(&profile).expect("a profile is plain data");
        let kept = self.objects.put_bytes(text).await?.hash;
        let row = params![file.hash, kept, serde_json::json!(columns).to_string()];
        self.db
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO dataset_file_profiles (file_hash, profile, columns_json) VALUES (?1, ?2, ?3) \
                     ON CONFLICT (file_hash) DO UPDATE SET profile = excluded.profile",
                    &row,
                )?;
                Ok::<_, Error>(())
            })
            .await?;
        Ok((profile, columns))
    }

    async fn columns_of(&self, source: Source) -> Result<Vec<ColumnSchema>> {
        let schema = self.tables.schema(source).await?;
        let columns = schema.fields().iter();
        Ok(columns
            .map(|field| ColumnSchema {
                name: field.name().clone(),
                kind: field.data_type().to_string(),
            })
            .collect())
    }
}

/// SQLite and Postgres know signed integers only; the bits are what is compared.
fn inode(file: &Found) -> i64 {
    file.inode.cast_signed()
}

/// Says which file of the dataset does not hold a table.
fn unreadable(name: &DatasetName, file: &FileEntry, error: Error) -> Error {
    match error {
        Error::Tables(source) => Error::Unreadable {
            name: name.clone(),
            path: file.path.clone(),
            source,
        },
        other => other,
    }
}
