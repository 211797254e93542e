//! Commits that arrive in the project's repository: each is an event once per branch, whoever tells of it.

use everloop_core::{Actor, ProjectName, Timestamp};
use everloop_db::{Tx, params};
use everloop_ledger::{NewEvent, Seq};
use serde_json::json;

use crate::{Error, Result};

/// The longest name of a branch.
const LONGEST_BRANCH: usize = 255;
/// Commits that an event names.
const MOST_COMMITS: usize = 100;

/// A branch's new commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    branch: String,
    commit: String,
    commits: Vec<String>,
}

/// A commit that a branch was seen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPush {
    /// The branch.
    pub branch: String,
    /// The commit.
    pub commit: String,
    /// The event's place in the ledger.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
}

impl Push {
    /// A push of `commits` (newest first, `commit` among them or not) that leaves `branch` at `commit`.
    ///
    /// # Errors
    /// [`Error::Push`] when it is no branch or a commit's id is not 40 or 64 hex digits.
    pub fn new(branch: &str, commit: &str, commits: &[String]) -> Result<Self> {
        let wrong = |problem: String| Error::Push { problem };
        let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
        if branch.is_empty() || branch.len() > LONGEST_BRANCH || branch.chars().any(char::is_control) {
            return Err(wrong("the branch has no usable name".to_owned()));
        }
        let is_id = |id: &str| matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(id) = std::iter::once(commit)
            .chain(commits.iter().map(String::as_str))
            .find(|id| !is_id(id))
        {
            let shown: String = id.chars().take(80).flat_map(char::escape_debug).collect();
            return Err(wrong(format!("\"{shown}\" is not the id of a commit")));
        }
        let mut commits: Vec<String> = commits.iter().map(|id| id.to_ascii_lowercase()).collect();
        let commit = commit.to_ascii_lowercase();
        if !commits.contains(&commit) {
            commits.insert(0, commit.clone());
        }
        Ok(Self {
            branch: branch.to_owned(),
            commit,
            commits,
        })
    }
}

/// Tells the ledger of a push with a `git.push` event, unless the branch was seen at this commit before. Answers the
/// event's place, and whether it is new.
///
/// # Errors
/// When the database fails.
pub fn record_push(
    tx: &mut Tx<'_>,
    now: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    push: &Push,
) -> Result<(Seq, bool)> {
    // Whoever comes second waits here on Postgres, and finds the first one's row.
    tx.lock(&format!("git-push/{project}/{}/{}", push.branch, push.commit))?;
    let seen = tx.query_opt(
        "SELECT seq FROM git_pushes WHERE project = ?1 AND branch = ?2 AND commit_id = ?3",
        &params![project.as_str(), push.branch.as_str(), push.commit.as_str()],
    )?;
    if let Some(row) = seen {
        return Ok((row.get("seq")?, false));
    }
    let short = &push.commit[..12];
    let words = match push.commits.len() {
        1 => format!("1 commit on {}: {short}", push.branch),
        many => format!("{many} commits on {}, up to {short}", push.branch),
    };
    let named = &push.commits[..push.commits.len().min(MOST_COMMITS)];
    let event = NewEvent {
        project: project.clone(),
        actor: actor.clone(),
        kind: "git.push",
        subject: format!("branch:{}", push.branch),
        payload: json!({ "branch": push.branch, "commit": push.commit, "commits": named, "words": words }),
    };
    let seq = everloop_ledger::append(tx, now, event)?;
    tx.execute(
        "INSERT INTO git_pushes (project, branch, commit_id, seq, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        &params![
            project.as_str(),
            push.branch.as_str(),
            push.commit.as_str(),
            seq,
            now
        ],
    )?;
    Ok((seq, true))
}

/// The commits that branches were seen at, newest first, at most `limit`; of one branch or all.
///
/// # Errors
/// When the database fails.
pub fn pushes(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    branch: Option<&str>,
    limit: usize,
) -> Result<Vec<SeenPush>> {
    let rows = tx.query(
        "SELECT * FROM git_pushes WHERE project = ?1 AND (CAST(?2 AS TEXT) IS NULL OR branch = ?2) \
         ORDER BY seq DESC LIMIT ?3",
        &params![project.as_str(), branch, limit],
    )?;
    rows.iter()
        .map(|row| {
            Ok(SeenPush {
                branch: row.get("branch")?,
                commit: row.get("commit_id")?,
                seq: row.get("seq")?,
                at: row.get("at")?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_are_read_strictly() {
        let (id, other) = ("a".repeat(40), "B".repeat(64));
        let push = Push::new("refs/heads/topic/one", &id, std::slice::from_ref(&other)).unwrap();
        assert_eq!(push.branch, "topic/one");
        assert_eq!(push.commits, [id.clone(), other.to_lowercase()]);
        let long = "b".repeat(256);
        for (branch, commit) in [
            ("", id.as_str()),
            ("a\nb", &id),
            (&long, &id),
            ("main", "HEAD"),
            ("main", &id[1..]),
        ] {
            assert!(Push::new(branch, commit, &[]).is_err(), "{branch:?} {commit:?}");
        }
        assert!(Push::new("main", &id, &["x".to_owned()]).is_err());
    }
}
