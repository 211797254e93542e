//! Aliases: names that point at one version, such as `champion`, and where they pointed before.
//!
//! A move says from where it moves, so that two who decide at once can't both win, and it keeps who moved it, why and
//! on which decision. The history has no holes and no overlaps: a moment belongs to at most one row of an alias.

use everloop_core::{Actor, AliasName, DecisionId, ModelName, ProjectName, Timestamp};
use everloop_db::{Row, Tx, params};
use serde_json::json;

use crate::text::{check_text, limits};
use crate::versions::{self, ModelVersion, State};
use crate::words::one_more;
use crate::{By, Error, Page, Result, VersionNumber, events, models};

/// Where an alias is expected to point when it is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Wherever it does.
    Anything,
    /// At this version.
    Version(VersionNumber),
    /// Nowhere: it is not set.
    Nothing,
}

/// A move of an alias.
#[derive(Debug, Clone)]
pub struct Move {
    /// Where it shall point: at a ready version.
    pub to: VersionNumber,
    /// Where it points now, as the one who decided saw it.
    pub expected: Expected,
    /// The decision behind the move.
    pub decision: Option<DecisionId>,
    /// Why, in a few words. It goes into the ledger: no personal data.
    pub why: String,
}

/// A span in which an alias pointed at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The alias.
    pub alias: AliasName,
    /// Where it pointed.
    pub version: VersionNumber,
    /// From when.
    pub from: Timestamp,
    /// Until when; `None` while it does.
    pub to: Option<Timestamp>,
    /// Who moved it there.
    pub actor: Actor,
    /// Why.
    pub why: String,
    /// The decision behind it.
    pub decision: Option<DecisionId>,
    /// Who moved it away or removed it, and why; `None` while it points here.
    pub ended: Option<(Actor, String)>,
    /// The ledger row that records the move.
    pub seq: i64,
}

/// Points an alias at a ready version. Where it points there already, nothing changes.
///
/// # Errors
/// [`Error::AliasMoved`] when it does not point where expected; [`Error::VersionState`] when the version is not ready;
/// [`Error::ReservedAlias`], [`Error::NoModel`], [`Error::NoVersion`].
pub fn set(tx: &mut Tx<'_>, by: &By, model: &ModelName, alias: &AliasName, change: &Move) -> Result<()> {
    refuse_reserved(alias)?;
    check_text("reason", &change.why, limits::REASON_CHARS)?;
    let key = models::lock(tx, &by.project, model)?;
    let found = versions::state(tx, key, model, change.to)?;
    if found != State::Ready {
        return Err(Error::VersionState {
            model: model.clone(),
            version: change.to,
            found,
        });
    }
    let now = current(tx, key, alias)?;
    check_expected(model, alias, change.expected, now.as_ref())?;
    if now.as_ref().is_some_and(|span| span.version == change.to) {
        return Ok(());
    }
    let at = moment(tx, by, key, alias)?;
    end(tx, by, key, alias, at, &change.why)?;
    models::touch(tx, by, key)?;
    let payload = json!({
        "alias": alias, "from": now.as_ref().map(|span| span.version), "to": change.to,
        "decision": change.decision, "why": change.why,
    });
    let seq = events::version(tx, by, events::ALIAS_MOVED, model, change.to, payload)?;
    tx.execute(
        "INSERT INTO model_aliases (seq, model, alias, version, valid_from, actor, why, decision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        &params![
            seq,
            key,
            alias,
            change.to,
            at,
            by.actor.to_string(),
            &change.why,
            change.decision.as_ref(),
        ],
    )?;
    Ok(())
}

/// Takes an alias away; its history stays.
///
/// # Errors
/// [`Error::NoAlias`] when it is not set; [`Error::AliasMoved`] when it does not point where expected;
/// [`Error::NoModel`].
pub fn remove(
    tx: &mut Tx<'_>,
    by: &By,
    model: &ModelName,
    alias: &AliasName,
    expected: Expected,
    why: &str,
) -> Result<()> {
    check_text("reason", why, limits::REASON_CHARS)?;
    let key = models::lock(tx, &by.project, model)?;
    let Some(now) = current(tx, key, alias)? else {
        return Err(Error::NoAlias {
            model: model.clone(),
            alias: alias.clone(),
        });
    };
    check_expected(model, alias, expected, Some(&now))?;
    let at = moment(tx, by, key, alias)?;
    end(tx, by, key, alias, at, why)?;
    models::touch(tx, by, key)?;
    let payload = json!({ "alias": alias, "from": now.version, "why": why });
    events::version(tx, by, events::ALIAS_REMOVED, model, now.version, payload)?;
    Ok(())
}

/// The version an alias points at.
///
/// # Errors
/// [`Error::NoModel`].
pub fn get(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    alias: &AliasName,
) -> Result<Option<ModelVersion>> {
    let key = models::key(tx, project, model)?;
    match current(tx, key, alias)? {
        Some(span) => Ok(Some(versions::existing(tx, project, model, span.version)?)),
        None => Ok(None),
    }
}

/// Where all aliases of a model point now, by name.
///
/// # Errors
/// [`Error::NoModel`].
pub fn all(tx: &mut Tx<'_>, project: &ProjectName, model: &ModelName) -> Result<Vec<Span>> {
    let key = models::key(tx, project, model)?;
    let rows = tx.query(
        &format!("SELECT {COLUMNS} FROM model_aliases WHERE model = ?1 AND valid_to IS NULL ORDER BY alias"),
        &params![key],
    )?;
    rows.iter().map(span).collect()
}

/// Where an alias pointed at a moment, with who, when and why; `None` when it pointed nowhere.
///
/// The version may have been deleted since.
///
/// # Errors
/// [`Error::NoModel`].
pub fn as_of(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    alias: &AliasName,
    at: Timestamp,
) -> Result<Option<Span>> {
    let key = models::key(tx, project, model)?;
    // Moves in one millisecond leave spans without length, which hold no moment.
    let row = tx.query_opt(
        &format!(
            "SELECT {COLUMNS} FROM model_aliases
             WHERE model = ?1 AND alias = ?2 AND valid_from <= ?3 AND (valid_to IS NULL OR valid_to > ?3)"
        ),
        &params![key, alias, at],
    )?;
    row.as_ref().map(span).transpose()
}

/// A page of an alias's history, the newest first, and all of it if `before` is `None` and `limit` large.
///
/// # Errors
/// [`Error::NoModel`].
pub fn history(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    alias: &AliasName,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<Span, i64>> {
    let key = models::key(tx, project, model)?;
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM model_aliases WHERE model = ?1 AND alias = ?2 AND seq < ?3
             ORDER BY seq DESC LIMIT ?4"
        ),
        &params![key, alias, before.unwrap_or(i64::MAX), one_more(limit)],
    )?;
    let spans = rows.iter().map(span).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(spans, limit, |last| last.seq))
}

/// Any alias of a model, and where it points.
pub(crate) fn any(tx: &mut Tx<'_>, model: i64) -> Result<Option<(AliasName, VersionNumber)>> {
    let row = tx.query_opt(
        "SELECT alias, version FROM model_aliases WHERE model = ?1 AND valid_to IS NULL ORDER BY alias LIMIT 1",
        &params![model],
    )?;
    row.map(|row| Ok((row.get("alias")?, row.get("version")?)))
        .transpose()
}

/// Any alias that points at a version.
pub(crate) fn any_of_version(
    tx: &mut Tx<'_>,
    model: i64,
    version: VersionNumber,
) -> Result<Option<AliasName>> {
    let row = tx.query_opt(
        "SELECT alias FROM model_aliases WHERE model = ?1 AND version = ?2 AND valid_to IS NULL
         ORDER BY alias LIMIT 1",
        &params![model, version],
    )?;
    Ok(row.map(|row| row.get("alias")).transpose()?)
}

const COLUMNS: &str = "alias, version, valid_from, valid_to, actor, why, decision, ended_by, ended_why, seq";

fn current(tx: &mut Tx<'_>, model: i64, alias: &AliasName) -> Result<Option<Span>> {
    let row = tx.query_opt(
        &format!("SELECT {COLUMNS} FROM model_aliases WHERE model = ?1 AND alias = ?2 AND valid_to IS NULL"),
        &params![model, alias],
    )?;
    row.as_ref().map(span).transpose()
}

/// When a move takes place: now, but never before the last move of this alias. Clocks of two servers differ, and a
/// history that runs backwards would have a moment twice.
fn moment(tx: &mut Tx<'_>, by: &By, model: i64, alias: &AliasName) -> Result<Timestamp> {
    let row = tx.query_one(
        "SELECT MAX(CASE WHEN valid_to IS NULL THEN valid_from ELSE valid_to END) AS last
         FROM model_aliases WHERE model = ?1 AND alias = ?2",
        &params![model, alias],
    )?;
    let last: Option<Timestamp> = row.get("last")?;
    Ok(last.map_or(by.at, |last| last.max(by.at)))
}

fn end(tx: &mut Tx<'_>, by: &By, model: i64, alias: &AliasName, at: Timestamp, why: &str) -> Result<()> {
    tx.execute(
        "UPDATE model_aliases SET valid_to = ?3, ended_by = ?4, ended_why = ?5
         WHERE model = ?1 AND alias = ?2 AND valid_to IS NULL",
        &params![model, alias, at, by.actor.to_string(), why],
    )?;
    Ok(())
}

fn check_expected(
    model: &ModelName,
    alias: &AliasName,
    expected: Expected,
    now: Option<&Span>,
) -> Result<()> {
    let found = now.map(|span| span.version);
    let expected = match expected {
        Expected::Anything => return Ok(()),
        Expected::Version(version) => Some(version),
        Expected::Nothing => None,
    };
    if expected == found {
        return Ok(());
    }
    Err(Error::AliasMoved {
        model: model.clone(),
        alias: alias.clone(),
        expected,
        found,
    })
}

/// `latest` and `v3` say by themselves which version is meant, in MLflow's addresses of models.
fn refuse_reserved(alias: &AliasName) -> Result<()> {
    let text = alias.as_str().to_ascii_lowercase();
    let number = text
        .strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    if text == "latest" || number {
        return Err(Error::ReservedAlias(alias.clone()));
    }
    Ok(())
}

fn span(row: &Row) -> Result<Span> {
    let ended_by: Option<String> = row.get("ended_by")?;
    let ended = match ended_by {
        Some(text) => Some((actor(&text)?, row.get("ended_why")?)),
        None => None,
    };
    Ok(Span {
        alias: row.get("alias")?,
        version: row.get("version")?,
        from: row.get("valid_from")?,
        to: row.get("valid_to")?,
        actor: actor(&row.get::<String>("actor")?)?,
        why: row.get("why")?,
        decision: row.get("decision")?,
        ended,
        seq: row.get("seq")?,
    })
}

fn actor(text: &str) -> Result<Actor> {
    text.parse().map_err(|()| Error::Damaged {
        what: "actor of an alias".to_owned(),
        problem: format!("\"{text}\" is not one"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_a_version_are_reserved() {
        for bad in ["latest", "Latest", "v1", "V12"] {
            assert!(refuse_reserved(&AliasName::new(bad).unwrap()).is_err(), "{bad}");
        }
        for good in ["champion", "v", "v1a", "version1", "latest-good"] {
            assert!(refuse_reserved(&AliasName::new(good).unwrap()).is_ok(), "{good}");
        }
    }
}
