//! Params: what a run was told. Once logged, a param never changes.

use std::collections::BTreeMap;

use everloop_core::{ProjectName, RunId};
use everloop_db::{Tx, params};

use crate::runs::{self, Stored};
use crate::{Error, Result, sql};

/// The params of a run.
///
/// # Errors
/// [`Error::NoRun`].
pub fn get(tx: &mut Tx<'_>, project: &ProjectName, run: &RunId) -> Result<BTreeMap<String, String>> {
    let run = runs::existing(tx, project, run)?;
    read(tx, run.key)
}

fn read(tx: &mut Tx<'_>, run: i64) -> Result<BTreeMap<String, String>> {
    let rows = tx.query("SELECT key, value FROM run_params WHERE run = ?1", &params![run])?;
    rows.iter()
        .map(|row| Ok((row.get("key")?, row.get("value")?)))
        .collect()
}

/// Logs checked params of a locked run; the same value again is fine.
pub(crate) fn write(tx: &mut Tx<'_>, run: &Stored, new: &BTreeMap<String, String>) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let logged = read(tx, run.key)?;
    let mut rows = Vec::new();
    for (key, value) in new {
        match logged.get(key) {
            None => rows.push(params![run.key, key, value].to_vec()),
            Some(logged) if logged == value => {}
            Some(logged) => {
                return Err(Error::ParamChanged {
                    run: run.info.id.clone(),
                    key: key.clone(),
                    logged: crate::names::shown(logged),
                    given: crate::names::shown(value),
                });
            }
        }
    }
    sql::insert(tx, "run_params (run, key, value)", "", &rows)?;
    Ok(())
}
