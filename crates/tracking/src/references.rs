//! Which objects tracking still needs: what the collector must not take away.

use everloop_core::Hash;
use everloop_db::{Tx, params};

use crate::Result;
use crate::sql::one_more;

/// The next `limit` hashes after `after` that any artifact or provenance record of any project refers to, in order,
/// each once; fewer than `limit` when there are no more. Deleted runs still count: they can be restored.
///
/// # Errors
/// Those of the database.
pub fn referenced(tx: &mut Tx<'_>, after: Option<&Hash>, limit: usize) -> Result<Vec<Hash>> {
    // Each part is a range of an index, cut before the parts are joined, so a page costs what is in it.
    let part = |table: &str, column: &str| {
        format!(
            "SELECT hash FROM (SELECT DISTINCT {column} AS hash FROM {table}
             WHERE {column} > ?1 ORDER BY {column} LIMIT ?2) AS {table}_{column}"
        )
    };
    let rows = tx.query(
        &format!(
            "{} UNION {} UNION {} ORDER BY hash LIMIT ?2",
            part("artifacts", "hash"),
            part("run_provenance", "code_diff"),
            part("run_provenance", "package_lock"),
        ),
        &params![
            after.map_or_else(String::new, |hash| hash.to_hex()),
            one_more(limit) - 1
        ],
    )?;
    rows.iter().map(|row| Ok(row.get("hash")?)).collect()
}
