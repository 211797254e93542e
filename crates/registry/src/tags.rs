//! Tags of models and of versions: notes that may change. Each change is a ledger row with the tag's name; values may hold
//! personal data and stay out of it.

use std::collections::BTreeMap;

use everloop_core::ModelName;
use everloop_db::{Tx, params};
use serde_json::json;

use crate::text::{check_text, check_word, limits, shown};
use crate::{By, Error, Result, VersionNumber, events, models, versions};

/// Sets a tag of a model, or replaces its value.
///
/// # Errors
/// [`Error::NoModel`], or a key or value that can't be used.
pub fn set_on_model(tx: &mut Tx<'_>, by: &By, model: &ModelName, key: &str, value: &str) -> Result<()> {
    check(key, value)?;
    let of = models::lock(tx, &by.project, model)?;
    write_model(tx, of, &BTreeMap::from([(key.to_owned(), value.to_owned())]))?;
    models::touch(tx, by, of)?;
    events::model(tx, by, events::TAG_SET, model, json!({ "key": key }))?;
    Ok(())
}

/// Removes a tag of a model.
///
/// # Errors
/// [`Error::NoTag`] when it has none of this name; [`Error::NoModel`].
pub fn delete_on_model(tx: &mut Tx<'_>, by: &By, model: &ModelName, key: &str) -> Result<()> {
    let of = models::lock(tx, &by.project, model)?;
    let removed = tx.execute(
        "DELETE FROM model_tags WHERE model = ?1 AND key = ?2",
        &params![of, key],
    )?;
    if removed == 0 {
        return Err(no_tag(format!("model \"{model}\""), key));
    }
    models::touch(tx, by, of)?;
    events::model(tx, by, events::TAG_DELETED, model, json!({ "key": key }))?;
    Ok(())
}

/// Sets a tag of a version, or replaces its value.
///
/// # Errors
/// [`Error::NoModel`], [`Error::NoVersion`], or a key or value that can't be used.
pub fn set_on_version(
    tx: &mut Tx<'_>,
    by: &By,
    model: &ModelName,
    version: VersionNumber,
    key: &str,
    value: &str,
) -> Result<()> {
    check(key, value)?;
    let of = models::lock(tx, &by.project, model)?;
    versions::state(tx, of, model, version)?;
    write_version(
        tx,
        of,
        version,
        &BTreeMap::from([(key.to_owned(), value.to_owned())]),
    )?;
    versions::touch(tx, by, of, version)?;
    events::version(tx, by, events::TAG_SET, model, version, json!({ "key": key }))?;
    Ok(())
}

/// Removes a tag of a version.
///
/// # Errors
/// [`Error::NoTag`] when it has none of this name; [`Error::NoModel`], [`Error::NoVersion`].
pub fn delete_on_version(
    tx: &mut Tx<'_>,
    by: &By,
    model: &ModelName,
    version: VersionNumber,
    key: &str,
) -> Result<()> {
    let of = models::lock(tx, &by.project, model)?;
    versions::state(tx, of, model, version)?;
    let removed = tx.execute(
        "DELETE FROM model_version_tags WHERE model = ?1 AND version = ?2 AND key = ?3",
        &params![of, version, key],
    )?;
    if removed == 0 {
        return Err(no_tag(format!("version {version} of model \"{model}\""), key));
    }
    versions::touch(tx, by, of, version)?;
    events::version(tx, by, events::TAG_DELETED, model, version, json!({ "key": key }))?;
    Ok(())
}

/// Checks keys and values.
pub(crate) fn check_all(tags: &BTreeMap<String, String>) -> Result<()> {
    tags.iter().try_for_each(|(key, value)| check(key, value))
}

/// Writes checked tags of a model.
pub(crate) fn write_model(tx: &mut Tx<'_>, model: i64, tags: &BTreeMap<String, String>) -> Result<()> {
    let rows: Vec<_> = tags
        .iter()
        .map(|(key, value)| params![model, key, value].to_vec())
        .collect();
    tx.execute_many(
        "INSERT INTO model_tags (model, key, value) VALUES (?1, ?2, ?3)
         ON CONFLICT (model, key) DO UPDATE SET value = excluded.value",
        &rows,
    )?;
    Ok(())
}

/// Writes checked tags of a version.
pub(crate) fn write_version(
    tx: &mut Tx<'_>,
    model: i64,
    version: VersionNumber,
    tags: &BTreeMap<String, String>,
) -> Result<()> {
    let rows: Vec<_> = tags
        .iter()
        .map(|(key, value)| params![model, version, key, value].to_vec())
        .collect();
    tx.execute_many(
        "INSERT INTO model_version_tags (model, version, key, value) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (model, version, key) DO UPDATE SET value = excluded.value",
        &rows,
    )?;
    Ok(())
}

fn check(key: &str, value: &str) -> Result<()> {
    check_word("tag name", key, limits::TAG_KEY_CHARS)?;
    check_text("tag value", value, limits::TAG_CHARS)
}

fn no_tag(of: String, key: &str) -> Error {
    Error::NoTag { of, key: shown(key) }
}
