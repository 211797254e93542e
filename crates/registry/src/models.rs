//! Registered models: names under which versions are kept.

use std::collections::BTreeMap;

use everloop_core::{ModelName, ProjectName, Timestamp};
use everloop_db::{Row, Tx, params};
use serde_json::json;

use crate::text::{check_text, limits};
use crate::words::one_more;
use crate::{By, Error, Page, Result, VersionNumber, aliases, events, tags};

/// A registered model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name, unique in the project.
    pub name: ModelName,
    /// What it is for; may be empty.
    pub description: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it or one of its versions last changed.
    pub updated_at: Timestamp,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Where its aliases point.
    pub aliases: BTreeMap<String, VersionNumber>,
}

/// A model to create.
#[derive(Debug, Clone)]
pub struct NewModel {
    /// Its name.
    pub name: ModelName,
    /// What it is for; may be empty.
    pub description: String,
    /// Tags to begin with.
    pub tags: BTreeMap<String, String>,
}

impl NewModel {
    /// A model with a name and nothing else.
    #[must_use]
    pub fn named(name: ModelName) -> Self {
        Self {
            name,
            description: String::new(),
            tags: BTreeMap::new(),
        }
    }
}

/// Creates a model.
///
/// # Errors
/// [`Error::ModelExists`], or a text that can't be used.
pub fn create(tx: &mut Tx<'_>, by: &By, new: &NewModel) -> Result<()> {
    check_text("description", &new.description, limits::DESCRIPTION_CHARS)?;
    tags::check_all(&new.tags)?;
    if find(tx, &by.project, &new.name)?.is_some() {
        return Err(Error::ModelExists(new.name.clone()));
    }
    let key = events::model(tx, by, events::MODEL_CREATED, &new.name, json!({}))?;
    let inserted = tx.execute(
        "INSERT INTO models (key, project, name, description, last_version, created_by, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?6)
         ON CONFLICT (project, name) WHERE deleted_at IS NULL DO NOTHING",
        &params![
            key,
            &by.project,
            &new.name,
            &new.description,
            by.actor.to_string(),
            by.at
        ],
    )?;
    if inserted == 0 {
        return Err(Error::ModelExists(new.name.clone()));
    }
    tags::write_model(tx, key.0, &new.tags)
}

/// Creates a model with nothing but its name, unless it is there.
///
/// # Errors
/// Those of the database and the ledger.
pub fn ensure(tx: &mut Tx<'_>, by: &By, name: &ModelName) -> Result<()> {
    if find(tx, &by.project, name)?.is_some() {
        return Ok(());
    }
    let new = NewModel::named(name.clone());
    match tx.attempt(|tx| create(tx, by, &new)) {
        // Someone else made it at the same moment; the attempt took back our ledger row.
        Err(Error::ModelExists(_)) => Ok(()),
        outcome => outcome,
    }
}

/// The model of this name.
///
/// # Errors
/// Those of the database.
pub fn get(tx: &mut Tx<'_>, project: &ProjectName, name: &ModelName) -> Result<Option<Model>> {
    let found = find(tx, project, name)?;
    let Some(stored) = found else { return Ok(None) };
    let mut models = vec![stored];
    attach(tx, &mut models)?;
    Ok(models.pop().map(|stored| stored.model))
}

/// A page of models, by name. Three statements, whatever the page's length up to 256.
///
/// # Errors
/// Those of the database.
pub fn list(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    after: Option<&ModelName>,
    limit: usize,
) -> Result<Page<Model, ModelName>> {
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM models WHERE project = ?1 AND name > ?2 AND deleted_at IS NULL
             ORDER BY name LIMIT ?3"
        ),
        &params![project, after.map_or("", ModelName::as_str), one_more(limit)],
    )?;
    let found = rows.iter().map(stored).collect::<Result<Vec<_>>>()?;
    let mut page = Page::cut(found, limit, |last| last.model.name.clone());
    attach(tx, &mut page.items)?;
    Ok(Page {
        items: page.items.into_iter().map(|stored| stored.model).collect(),
        next: page.next,
    })
}

/// Gives a model another name; versions, aliases and history follow. Its own name again changes nothing.
///
/// # Errors
/// [`Error::NoModel`], [`Error::ModelExists`].
pub fn rename(tx: &mut Tx<'_>, by: &By, name: &ModelName, new: &ModelName) -> Result<()> {
    let key = lock(tx, &by.project, name)?;
    if name == new {
        return Ok(());
    }
    if find(tx, &by.project, new)?.is_some() {
        return Err(Error::ModelExists(new.clone()));
    }
    tx.execute(
        "UPDATE models SET name = ?2, updated_at = ?3 WHERE key = ?1",
        &params![key, new, by.at],
    )?;
    events::model(
        tx,
        by,
        events::MODEL_RENAMED,
        new,
        json!({ "from": name, "to": new }),
    )?;
    Ok(())
}

/// Describes a model anew.
///
/// # Errors
/// [`Error::NoModel`], or a text that can't be used.
pub fn describe(tx: &mut Tx<'_>, by: &By, name: &ModelName, description: &str) -> Result<()> {
    check_text("description", description, limits::DESCRIPTION_CHARS)?;
    let key = lock(tx, &by.project, name)?;
    tx.execute(
        "UPDATE models SET description = ?2, updated_at = ?3 WHERE key = ?1",
        &params![key, description, by.at],
    )?;
    events::model(tx, by, events::MODEL_DESCRIBED, name, json!({}))?;
    Ok(())
}

/// Deletes a model with its versions. For good, as far as anyone can see; its rows stay for those who audit.
///
/// # Errors
/// [`Error::NoModel`]; [`Error::ModelInUse`] while an alias points at one of its versions.
pub fn delete(tx: &mut Tx<'_>, by: &By, name: &ModelName) -> Result<()> {
    let key = lock(tx, &by.project, name)?;
    if let Some((alias, version)) = aliases::any(tx, key)? {
        return Err(Error::ModelInUse {
            model: name.clone(),
            alias,
            version,
        });
    }
    let versions = tx.execute(
        "UPDATE model_versions SET deleted_at = ?2, updated_at = ?2 WHERE model = ?1 AND deleted_at IS NULL",
        &params![key, by.at],
    )?;
    tx.execute(
        "UPDATE models SET deleted_at = ?2, updated_at = ?2 WHERE key = ?1",
        &params![key, by.at],
    )?;
    events::model(
        tx,
        by,
        events::MODEL_DELETED,
        name,
        json!({ "versions": versions }),
    )?;
    Ok(())
}

/// A model as stored: with the key that everything of it refers to.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) key: i64,
    pub(crate) model: Model,
}

/// The key of the model of this name, which must be there.
pub(crate) fn key(tx: &mut Tx<'_>, project: &ProjectName, name: &ModelName) -> Result<i64> {
    let row = tx.query_opt(
        "SELECT key FROM models WHERE project = ?1 AND name = ?2 AND deleted_at IS NULL",
        &params![project, name],
    )?;
    match row {
        Some(row) => Ok(row.get("key")?),
        None => Err(Error::NoModel(name.clone())),
    }
}

/// As [`key`], and nobody else changes the model, its versions or its aliases until this transaction ends.
///
/// Every change begins with it and ends with its ledger row: who takes locks in one order can't block each other.
pub(crate) fn lock(tx: &mut Tx<'_>, project: &ProjectName, name: &ModelName) -> Result<i64> {
    let row = tx.query_opt(
        "UPDATE models SET updated_at = updated_at WHERE project = ?1 AND name = ?2 AND deleted_at IS NULL
         RETURNING key",
        &params![project, name],
    )?;
    match row {
        Some(row) => Ok(row.get("key")?),
        None => Err(Error::NoModel(name.clone())),
    }
}

/// Notes that something of the model changed.
pub(crate) fn touch(tx: &mut Tx<'_>, by: &By, key: i64) -> Result<()> {
    tx.execute(
        "UPDATE models SET updated_at = ?2 WHERE key = ?1",
        &params![key, by.at],
    )?;
    Ok(())
}

const COLUMNS: &str = "key, name, description, created_by, created_at, updated_at";

fn find(tx: &mut Tx<'_>, project: &ProjectName, name: &ModelName) -> Result<Option<Stored>> {
    let row = tx.query_opt(
        &format!("SELECT {COLUMNS} FROM models WHERE project = ?1 AND name = ?2 AND deleted_at IS NULL"),
        &params![project, name],
    )?;
    row.as_ref().map(stored).transpose()
}

fn stored(row: &Row) -> Result<Stored> {
    let model = Model {
        name: row.get("name")?,
        description: row.get("description")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        tags: BTreeMap::new(),
        aliases: BTreeMap::new(),
    };
    Ok(Stored {
        key: row.get("key")?,
        model,
    })
}

fn attach(tx: &mut Tx<'_>, models: &mut [Stored]) -> Result<()> {
    for part in models.chunks_mut(crate::words::IN_LIST) {
        let keys = part.iter().map(|stored| stored.key.into()).collect();
        let (places, keys) = crate::words::in_list(0, keys);
        let tags = format!("SELECT model, key AS name, value FROM model_tags WHERE model IN {places}");
        for row in tx.query(&tags, &keys)? {
            let of: i64 = row.get("model")?;
            if let Some(stored) = part.iter_mut().find(|stored| stored.key == of) {
                stored.model.tags.insert(row.get("name")?, row.get("value")?);
            }
        }
        let aliases = format!(
            "SELECT model, alias, version FROM model_aliases WHERE model IN {places} AND valid_to IS NULL"
        );
        for row in tx.query(&aliases, &keys)? {
            let of: i64 = row.get("model")?;
            if let Some(stored) = part.iter_mut().find(|stored| stored.key == of) {
                stored
                    .model
                    .aliases
                    .insert(row.get("alias")?, row.get("version")?);
            }
        }
    }
    Ok(())
}
