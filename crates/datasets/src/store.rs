//! Datasets and versions as rows.

use everloop_core::{Actor, Clock, DatasetName, Hash, ProjectName, RunId, Timestamp};
use everloop_db::{Db, Migration, Row, Tx, params};
use everloop_ledger::NewEvent;
use everloop_objects::Objects;
use everloop_tables::{Profile, Tables};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;

use crate::{Error, Manifest, Result, Snapshot};

/// The tables of this crate.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        component: "datasets",
        number: 1,
        name: "datasets",
        sql: include_str!("../migrations/0001_datasets.sql"),
    },
    Migration {
        component: "datasets",
        number: 2,
        name: "deleted versions",
        sql: include_str!("../migrations/0002_deleted_versions.sql"),
    },
];

/// Where a dataset's files are and what they mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Files, folders or globs below the project's folder.
    pub paths: Vec<String>,
    /// The column that holds the time of what a row describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Whether new files make a new version by themselves.
    #[serde(default)]
    pub watch: bool,
}

/// A dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its name.
    pub name: DatasetName,
    /// Its files.
    pub spec: Spec,
    /// When it was first named.
    pub created_at: Timestamp,
    /// The newest version's number; none before the first.
    pub latest: Option<u64>,
}

/// A version by its dataset and number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VersionRef {
    /// The dataset.
    pub name: DatasetName,
    /// 1, 2, 3, ...
    pub number: u64,
}

impl fmt::Display for VersionRef {
    /// `flights@3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.number)
    }
}

/// A column of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSchema {
    /// Its name.
    pub name: String,
    /// Its Arrow type, as Arrow writes it.
    #[serde(rename = "type")]
    pub kind: String,
}

/// An immutable snapshot of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The dataset.
    pub name: DatasetName,
    /// 1, 2, 3, ...
    pub number: u64,
    /// Hash of the manifest: equal digests mean equal content.
    pub digest: Hash,
    /// The profile, as an object.
    pub profile: Hash,
    /// The columns, in order.
    pub columns: Vec<ColumnSchema>,
    /// Rows in all files.
    pub rows: u64,
    /// Length of all files in bytes.
    pub bytes: u64,
    /// Number of files.
    pub files: u64,
    /// The versions it was made from.
    pub parents: Vec<VersionRef>,
    /// The run that wrote it, if one did.
    pub run: Option<RunId>,
    /// Who took the snapshot.
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
    /// When it was deleted. Its row stays; its files are gone sooner or later.
    pub deleted_at: Option<Timestamp>,
}

impl Version {
    /// The version by its dataset and number.
    #[must_use]
    pub fn reference(&self) -> VersionRef {
        VersionRef {
            name: self.name.clone(),
            number: self.number,
        }
    }

    /// Refuses to look for the objects of a deleted version, whether or not they are still there.
    fn check_kept(&self) -> Result<()> {
        match self.deleted_at {
            None => Ok(()),
            Some(at) => Err(Error::Deleted {
                version: self.reference(),
                at,
            }),
        }
    }
}

/// Which version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// The newest.
    Latest,
    /// This one.
    Number(u64),
    /// The newest that was taken at or before this moment.
    AsOf(Timestamp),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("yet"),
            Self::Number(number) => write!(f, "{number}"),
            Self::AsOf(at) => write!(f, "as of {at}"),
        }
    }
}

/// The datasets of this house.
#[derive(Debug, Clone)]
pub struct Datasets {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) objects: Objects,
    pub(crate) tables: Tables,
}

impl Datasets {
    /// The datasets in `db`, with their bytes in `objects`.
    #[must_use]
    pub fn new(db: Db, clock: Clock, objects: Objects, tables: Tables) -> Self {
        Self {
            db,
            clock,
            objects,
            tables,
        }
    }

    /// What versions are read and profiled with.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Names a dataset, or changes its spec; the same spec again changes nothing.
    ///
    /// # Errors
    /// When a path leads out of the project or is no glob, or the database fails.
    pub async fn register(
        &self,
        project: &ProjectName,
        actor: &Actor,
        name: &DatasetName,
        spec: &Spec,
    ) -> Result<()> {
        crate::files::Matcher::new(name, &spec.paths)?;
        let (project, actor, name, spec) = (project.clone(), actor.clone(), name.clone(), spec.clone());
        let at = self.clock.now();
        self.db
            .write(move |tx| register(tx, at, &project, &actor, &name, &spec))
            .await
    }

    /// All datasets of a project, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, project: &ProjectName) -> Result<Vec<Dataset>> {
        let project = project.clone();
        self.db
            .read(move |tx| {
                let sql = format!("{DATASET_SQL} WHERE d.project = ?1 ORDER BY d.name");
                tx.query(&sql, &params![project.as_str()])?
                    .iter()
                    .map(read_dataset)
                    .collect()
            })
            .await
    }

    /// One dataset.
    ///
    /// # Errors
    /// [`Error::NoSuchDataset`], or when the database fails.
    pub async fn get(&self, project: &ProjectName, name: &DatasetName) -> Result<Dataset> {
        let (project, name) = (project.clone(), name.clone());
        self.db.read(move |tx| get(tx, &project, &name)).await
    }

    /// One version.
    ///
    /// # Errors
    /// [`Error::NoSuchDataset`], [`Error::NoSuchVersion`], or when the database fails.
    pub async fn version(
        &self,
        project: &ProjectName,
        name: &DatasetName,
        wanted: Selector,
    ) -> Result<Version> {
        let (project, name) = (project.clone(), name.clone());
        self.db
            .read(move |tx| {
                if let Some(version) = find_version(tx, &project, &name, wanted)? {
                    return Ok(version);
                }
                get(tx, &project, &name)?;
                Err(Error::NoSuchVersion {
                    name: name.clone(),
                    wanted: wanted.to_string(),
                })
            })
            .await
    }

    /// Versions, newest first, numbered below `before` when that is given; at most `limit`.
    ///
    /// # Errors
    /// [`Error::NoSuchDataset`], or when the database fails.
    pub async fn versions(
        &self,
        project: &ProjectName,
        name: &DatasetName,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Version>> {
        let (project, name) = (project.clone(), name.clone());
        self.db
            .read(move |tx| {
                get(tx, &project, &name)?;
                let below = before
                    .and_then(|number| i64::try_from(number).ok())
                    .unwrap_or(i64::MAX);
                let rows = tx.query(
                    "SELECT * FROM dataset_versions WHERE project = ?1 AND name = ?2 AND number < ?3 \
                     ORDER BY number DESC LIMIT ?4",
                    &params![project.as_str(), name.as_str(), below, limit],
                )?;
                rows.iter().map(read_version).collect()
            })
            .await
    }

    /// Deletes a version: its row stays with its history, its files become the collector's. Again is fine.
    ///
    /// # Errors
    /// [`Error::NewestVersion`], for that is what everything reads; when there is no such version, or the database
    /// fails.
    pub async fn delete(
        &self,
        project: &ProjectName,
        actor: &Actor,
        version: &VersionRef,
    ) -> Result<Version> {
        let (project, actor, version) = (project.clone(), actor.clone(), version.clone());
        let at = self.clock.now();
        self.db
            .write(move |tx| delete(tx, at, &project, &actor, &version))
            .await
    }

    /// The files of a version.
    ///
    /// # Errors
    /// [`Error::Deleted`], or when the manifest can't be read.
    pub async fn manifest(&self, version: &Version) -> Result<Manifest> {
        version.check_kept()?;
        self.read_manifest(version.digest).await
    }

    pub(crate) async fn read_manifest(&self, hash: Hash) -> Result<Manifest> {
        let bytes = self.objects.get_bytes(&hash).await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Damaged {
            what: format!("manifest {hash}"),
            problem: error.to_string(),
        })
    }

    /// The profile of a version.
    ///
    /// # Errors
    /// [`Error::Deleted`], or when the profile can't be read.
    pub async fn profile(&self, version: &Version) -> Result<Profile> {
        version.check_kept()?;
        self.read_profile(&version.profile).await
    }

    pub(crate) async fn read_profile(&self, hash: &Hash) -> Result<Profile> {
        let bytes = self.objects.get_bytes(hash).await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Damaged {
            what: format!("profile {hash}"),
            problem: error.to_string(),
        })
    }
}

const DATASET_SQL: &str = "SELECT d.name, d.spec, d.created_at, \
    (SELECT MAX(v.number) FROM dataset_versions v WHERE v.project = d.project AND v.name = d.name) AS latest \
    FROM datasets d";

fn register(
    tx: &mut Tx<'_>,
    at: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    name: &DatasetName,
    spec: &Spec,
) -> Result<()> {
    let text = serde_json::to_string(spec).expect("a spec holds only texts");
    let changed = tx.execute(
        "INSERT INTO datasets (project, name, spec, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4) \
         ON CONFLICT (project, name) DO UPDATE SET spec = excluded.spec, updated_at = excluded.updated_at \
         WHERE datasets.spec <> excluded.spec",
        &params![project.as_str(), name.as_str(), text, at],
    )?;
    if changed > 0 {
        let event = NewEvent {
            project: project.clone(),
            actor: actor.clone(),
            kind: "dataset.registered",
            subject: format!("dataset:{name}"),
            payload: json!({ "spec": spec }),
        };
        everloop_ledger::append(tx, at, event)?;
    }
    Ok(())
}

fn get(tx: &mut Tx<'_>, project: &ProjectName, name: &DatasetName) -> Result<Dataset> {
    let sql = format!("{DATASET_SQL} WHERE d.project = ?1 AND d.name = ?2");
    if let Some(row) = tx.query_opt(&sql, &params![project.as_str(), name.as_str()])? {
        return read_dataset(&row);
    }
    let rows = tx.query(
        "SELECT name FROM datasets WHERE project = ?1 ORDER BY name",
        &params![project.as_str()],
    )?;
    let known = rows.iter().map(|row| row.get("name")).collect::<Result<_, _>>()?;
    Err(Error::NoSuchDataset {
        name: name.clone(),
        known,
    })
}

fn find_version(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    name: &DatasetName,
    wanted: Selector,
) -> Result<Option<Version>> {
    let (number, at) = match wanted {
        Selector::Latest => (None, i64::MAX),
        Selector::Number(number) => (Some(i64::try_from(number).unwrap_or(i64::MAX)), i64::MAX),
        Selector::AsOf(at) => (None, at.millis()),
    };
    let row = match number {
        Some(number) => tx.query_opt(
            "SELECT * FROM dataset_versions WHERE project = ?1 AND name = ?2 AND number = ?3",
            &params![project.as_str(), name.as_str(), number],
        )?,
        None => tx.query_opt(
            "SELECT * FROM dataset_versions WHERE project = ?1 AND name = ?2 AND created_at <= ?3 \
             ORDER BY number DESC LIMIT 1",
            &params![project.as_str(), name.as_str(), at],
        )?,
    };
    row.as_ref().map(read_version).transpose()
}

/// The newest version, inside the caller's transaction; none before the first.
///
/// # Errors
/// When the database fails.
pub fn latest(tx: &mut Tx<'_>, project: &ProjectName, name: &DatasetName) -> Result<Option<Version>> {
    find_version(tx, project, name, Selector::Latest)
}

/// Marks a version as deleted, with its ledger row; one that is deleted already stays as it is.
fn delete(
    tx: &mut Tx<'_>,
    at: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    wanted: &VersionRef,
) -> Result<Version> {
    tx.lock(&format!("dataset:{project}/{}", wanted.name))?;
    let dataset = get(tx, project, &wanted.name)?;
    let found = find_version(tx, project, &wanted.name, Selector::Number(wanted.number))?;
    let Some(version) = found else {
        return Err(Error::NoSuchVersion {
            name: wanted.name.clone(),
            wanted: wanted.number.to_string(),
        });
    };
    if dataset.latest == Some(version.number) {
        return Err(Error::NewestVersion {
            name: wanted.name.clone(),
            number: version.number,
        });
    }
    if version.deleted_at.is_some() {
        return Ok(version);
    }
    tx.execute(
        "UPDATE dataset_versions SET deleted_at = ?4 WHERE project = ?1 AND name = ?2 AND number = ?3",
        &params![project.as_str(), wanted.name.as_str(), wanted.number, at],
    )?;
    let event = NewEvent {
        project: project.clone(),
        actor: actor.clone(),
        kind: "dataset.version_deleted",
        subject: format!("dataset:{wanted}"),
        payload: json!({
            "dataset": version.name, "version": version.number, "digest": version.digest, "bytes": version.bytes,
        }),
    };
    everloop_ledger::append(tx, at, event)?;
    Ok(Version {
        deleted_at: Some(at),
        ..version
    })
}

/// Stores a new version under the next number, with its ledger row; the newest again when it has the same content.
pub(crate) fn insert_version(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    actor: &Actor,
    version: &Version,
) -> Result<Snapshot> {
    tx.lock(&format!("dataset:{project}/{}", version.name))?;
    let before = latest(tx, project, &version.name)?;
    if let Some(same) = before.as_ref().filter(|before| before.digest == version.digest) {
        return Ok(Snapshot {
            version: same.clone(),
            is_new: false,
        });
    }
    let number = before.as_ref().map_or(0, |before| before.number) + 1;
    let version = Version {
        number,
        actor: actor.to_string(),
        ..version.clone()
    };
    tx.execute(
        "INSERT INTO dataset_versions (project, name, number, digest, profile, columns_json, rows_count, \
         bytes_count, files_count, parents, run_id, actor, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        &params![
            project.as_str(),
            version.name.as_str(),
            version.number,
            version.digest,
            version.profile,
            json!(version.columns).to_string(),
            version.rows,
            version.bytes,
            version.files,
            json!(version.parents).to_string(),
            version.run.as_ref().map(RunId::as_str),
            version.actor.as_str(),
            version.created_at
        ],
    )?;
    let event = NewEvent {
        project: project.clone(),
        actor: actor.clone(),
        kind: "dataset.version",
        subject: format!("dataset:{}", version.reference()),
        payload: json!({
            "dataset": version.name, "version": number, "digest": version.digest, "rows": version.rows,
            "bytes": version.bytes, "files": version.files, "run": version.run,
            "rows_before": before.map(|before| before.rows),
        }),
    };
    everloop_ledger::append(tx, version.created_at, event)?;
    Ok(Snapshot {
        version,
        is_new: true,
    })
}

fn read_dataset(row: &Row) -> Result<Dataset> {
    let name: String = row.get("name")?;
    let latest: Option<i64> = row.get("latest")?;
    Ok(Dataset {
        name: parse_name(&name)?,
        spec: document(
            &row.get::<String>("spec")?,
            &format!("spec of dataset \"{name}\""),
        )?,
        created_at: row.get("created_at")?,
        latest: latest.and_then(|number| u64::try_from(number).ok()),
    })
}

fn read_version(row: &Row) -> Result<Version> {
    let name: String = row.get("name")?;
    let what = format!("version of dataset \"{name}\"");
    Ok(Version {
        name: parse_name(&name)?,
        number: row.get("number")?,
        digest: row.get("digest")?,
        profile: row.get("profile")?,
        columns: document(&row.get::<String>("columns_json")?, &what)?,
        rows: row.get("rows_count")?,
        bytes: row.get("bytes_count")?,
        files: row.get("files_count")?,
        parents: document(&row.get::<String>("parents")?, &what)?,
        run: row.get::<Option<String>>("run_id")?.map(RunId::new),
        actor: row.get("actor")?,
        created_at: row.get("created_at")?,
        deleted_at: row.get("deleted_at")?,
    })
}

fn parse_name(text: &str) -> Result<DatasetName> {
    DatasetName::new(text).map_err(|error| Error::Damaged {
        what: "dataset row".to_owned(),
        problem: error.to_string(),
    })
}

pub(crate) fn document<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Damaged {
        what: what.to_owned(),
        problem: error.to_string(),
    })
}
