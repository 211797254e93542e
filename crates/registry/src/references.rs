//! Which objects the registry still needs: what the collector must not take away.

use everloop_core::Hash;
use everloop_db::{Tx, params};

use crate::Result;
use crate::words::one_more;

/// The next `limit` hashes after `after` that a file of any living version of any project refers to, in order, each
/// once; fewer than `limit` when there are no more. Deleted versions don't count: their files may go.
///
/// # Errors
/// Those of the database.
pub fn referenced(tx: &mut Tx<'_>, after: Option<&Hash>, limit: usize) -> Result<Vec<Hash>> {
    let rows = tx.query(
        "SELECT DISTINCT f.hash FROM model_files f
         JOIN model_versions v ON v.model = f.model AND v.version = f.version
         WHERE f.hash > ?1 AND v.deleted_at IS NULL ORDER BY f.hash LIMIT ?2",
        &params![
            after.map_or_else(String::new, |hash| hash.to_hex()),
            one_more(limit) - 1
        ],
    )?;
    rows.iter().map(|row| Ok(row.get("hash")?)).collect()
}

/// What the tag `key` says on living versions of any project, each value once: some tags name objects.
///
/// # Errors
/// Those of the database.
pub fn tagged(tx: &mut Tx<'_>, key: &str) -> Result<Vec<String>> {
    let rows = tx.query(
        "SELECT DISTINCT t.value FROM model_version_tags t
         JOIN model_versions v ON v.model = t.model AND v.version = t.version
         WHERE t.key = ?1 AND v.deleted_at IS NULL",
        &params![key],
    )?;
    rows.iter().map(|row| Ok(row.get("value")?)).collect()
}
