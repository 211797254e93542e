//! API tokens: opaque random secrets, stored as BLAKE3 hashes only.
//!
//! A secret has 256 random bits, so a fast hash is enough (argon2 is for secrets that people choose). Looked-up
//! tokens are kept in memory for a few seconds; revoking wakes every server, which forgets them at once.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everloop_core::{Actor, Clock, Hash, ProjectName, RunId, Timestamp};
use everloop_db::{Db, Migration, Row, Tx, params};
use everloop_ledger::NewEvent;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

use crate::{Error, Principal, Result, Role};

/// The tables of this crate.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "access",
    number: 1,
    name: "tokens",
    sql: include_str!("../migrations/0001_tokens.sql"),
}];

/// Wakes every server when a token is revoked.
const CHANNEL: &str = "access_tokens";
/// How long a looked-up token is trusted without asking the database.
const CACHE_TTL: Duration = Duration::from_secs(5);
/// More than this many cached tokens means an attack or a bug; start over.
const CACHE_LIMIT: usize = 10_000;
const PREFIX: &str = "evl_";

/// A token's secret. Prints as `***`; shown once, when it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret that a caller presents.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, to be printed once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a secret must come from the machine's randomness"
    )]
    fn random() -> Self {
        let bytes: [u8; 32] = rand::random();
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    fn hash(&self) -> Hash {
        Hash::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a token is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TokenScope {
    /// In every project.
    Everything,
    /// In one project.
    Project {
        /// The project.
        project: ProjectName,
    },
    /// For one tracked run of a stage; ends with it.
    Run {
        /// The run's project.
        project: ProjectName,
        /// The run.
        run: RunId,
    },
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("every project"),
            Self::Project { project } => write!(f, "project \"{project}\""),
            Self::Run { project, run } => write!(f, "run \"{run}\" of project \"{project}\""),
        }
    }
}

/// What is known of a token; never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Names the token in lists; not secret.
    pub id: String,
    /// Says who uses it.
    pub label: String,
    /// What it may do.
    pub role: Role,
    /// Where.
    pub scope: TokenScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; none means never. Wall time.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    fn is_valid_at(&self, wall: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| wall < end)
    }
}

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Says who uses it: 1 to 128 characters.
    pub label: String,
    /// What it may do.
    pub role: Role,
    /// Where.
    pub scope: TokenScope,
    /// How long it lives; none means until it is revoked.
    pub lifetime: Option<Duration>,
}

/// The tokens of this house.
#[derive(Debug, Clone)]
pub struct Tokens {
    db: Db,
    clock: Clock,
    project: ProjectName,
    cache: Arc<Mutex<Cache>>,
    revocations: watch::Receiver<u64>,
}

#[derive(Debug, Default)]
struct Cache {
    known: HashMap<Hash, (Token, Timestamp)>,
    /// The revocation count that `known` was filled under.
    seen: u64,
}

impl Tokens {
    /// The tokens in `db`; their ledger rows are written in `project`.
    #[must_use]
    pub fn new(db: Db, clock: Clock, project: ProjectName) -> Self {
        let revocations = db.subscribe(CHANNEL);
        Self {
            db,
            clock,
            project,
            cache: Arc::default(),
            revocations,
        }
    }

    /// Makes a token and returns it with its secret, which is never shown again.
    ///
    /// # Errors
    /// [`Error::BadLabel`], or when the database fails.
    pub async fn create(&self, actor: &Actor, new: NewToken) -> Result<(Token, Secret)> {
        let (actor, project, clock) = (actor.clone(), self.project.clone(), self.clock.clone());
        let secret = Secret::random();
        let answer = secret.clone();
        let token = self
            .db
            .write(move |tx| insert(tx, &clock, &project, &actor, &new, &secret))
            .await?;
        Ok((token, answer))
    }

    /// Makes a token inside the caller's transaction, so that a stage's token lives and dies with its lease.
    ///
    /// # Errors
    /// [`Error::BadLabel`], or when the database fails.
    pub fn create_in(&self, tx: &mut Tx<'_>, actor: &Actor, new: &NewToken) -> Result<(Token, Secret)> {
        let secret = Secret::random();
        let token = insert(tx, &self.clock, &self.project, actor, new, &secret)?;
        Ok((token, secret))
    }

    /// All tokens, newest first, revoked ones included.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self) -> Result<Vec<Token>> {
        self.db
            .read(|tx| {
                let rows = tx.query(
                    "SELECT * FROM access_tokens ORDER BY created_at DESC, id LIMIT 1000",
                    &[],
                )?;
                rows.iter().map(read).collect()
            })
            .await
    }

    /// Revokes the token called `id`; again is fine.
    ///
    /// # Errors
    /// [`Error::NoSuchToken`], [`Error::LastAdmin`], or when the database fails.
    pub async fn revoke(&self, actor: &Actor, id: &str) -> Result<()> {
        let (actor, project, clock, id) = (
            actor.clone(),
            self.project.clone(),
            self.clock.clone(),
            id.to_owned(),
        );
        self.db
            .write(move |tx| revoke(tx, &clock, &project, &actor, &id))
            .await
    }

    /// The principal whose secret this is.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for an unknown, expired or revoked token, or when the database fails: an
    /// unreachable database never lets anyone in.
    pub async fn authenticate(&self, secret: &Secret) -> Result<Principal> {
        let wall = self.clock.wall();
        let hash = secret.hash();
        let token = match self.cached(&hash, wall) {
            Some(token) => token,
            None => self.look_up(hash, wall).await?,
        };
        if !token.is_valid_at(wall) {
            return Err(Error::Unauthenticated);
        }
        Ok(Principal {
            actor: Actor::Token(token.label),
            role: token.role,
            scope: token.scope,
        })
    }

    /// Whether any valid token can administer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_admin(&self) -> Result<bool> {
        let wall = self.clock.wall();
        self.db.read(move |tx| Ok(count_admins(tx, wall)? > 0)).await
    }

    fn cached(&self, hash: &Hash, wall: Timestamp) -> Option<Token> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = *self.revocations.borrow();
        if cache.seen != seen {
            cache.known.clear();
            cache.seen = seen;
        }
        let (token, since) = cache.known.get(hash)?;
        (wall.since(*since) < CACHE_TTL).then(|| token.clone())
    }

    async fn look_up(&self, hash: Hash, wall: Timestamp) -> Result<Token> {
        let seen = *self.revocations.borrow();
        let found = self
            .db
            .read(move |tx| {
                let row = tx.query_opt(
                    "SELECT * FROM access_tokens WHERE secret_hash = ?1",
                    &params![hash.to_hex()],
                )?;
                row.as_ref().map(read).transpose()
            })
            .await?;
        let token: Token = found.ok_or(Error::Unauthenticated)?;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        // A revocation that came while we read must not be undone by what we read.
        if cache.seen == seen {
            if cache.known.len() >= CACHE_LIMIT {
                cache.known.clear();
            }
            cache.known.insert(hash, (token.clone(), wall));
        }
        Ok(token)
    }
}

fn insert(
    tx: &mut Tx<'_>,
    clock: &Clock,
    project: &ProjectName,
    actor: &Actor,
    new: &NewToken,
    secret: &Secret,
) -> Result<Token> {
    let label = new.label.trim();
    if label.is_empty() || label.chars().count() > 128 || label.chars().any(char::is_control) {
        return Err(Error::BadLabel {
            label: new.label.chars().take(140).collect(),
        });
    }
    let hash = secret.hash();
    let token = Token {
        // Part of a hash of the hash: names the token, tells nothing of the secret.
        id: Hash::of(hash.as_bytes()).to_hex()[..12].to_owned(),
        label: label.to_owned(),
        role: new.role,
        scope: new.scope.clone(),
        created_at: clock.wall(),
        expires_at: new.lifetime.map(|lifetime| clock.wall().plus(lifetime)),
        revoked_at: None,
    };
    let (scope, scope_project, scope_run) = columns_of(&token.scope);
    tx.execute(
        "INSERT INTO access_tokens (id, secret_hash, label, role, scope, project, run_id, created_at, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        &params![
            token.id.as_str(),
            hash.to_hex(),
            token.label.as_str(),
            token.role.as_str(),
            scope,
            scope_project,
            scope_run,
            token.created_at,
            token.expires_at
        ],
    )?;
    // Tokens of stages come and go with each attempt; the attempt's own row says so.
    if !matches!(token.scope, TokenScope::Run { .. }) {
        let payload = serde_json::json!({ "label": token.label, "role": token.role, "scope": token.scope });
        record(tx, clock, project, actor, "token.created", &token.id, payload)?;
    }
    Ok(token)
}

fn revoke(tx: &mut Tx<'_>, clock: &Clock, project: &ProjectName, actor: &Actor, id: &str) -> Result<()> {
    tx.lock(CHANNEL)?;
    let row = tx.query_opt("SELECT * FROM access_tokens WHERE id = ?1", &params![id])?;
    let token = row
        .as_ref()
        .map(read)
        .transpose()?
        .ok_or_else(|| Error::NoSuchToken { id: id.to_owned() })?;
    if token.revoked_at.is_some() {
        return Ok(());
    }
    let wall = clock.wall();
    let administers =
        token.role == Role::Admin && token.scope == TokenScope::Everything && token.is_valid_at(wall);
    if administers && count_admins(tx, wall)? == 1 {
        return Err(Error::LastAdmin { id: id.to_owned() });
    }
    tx.execute(
        "UPDATE access_tokens SET revoked_at = ?2 WHERE id = ?1",
        &params![id, wall],
    )?;
    tx.wake(CHANNEL);
    record(
        tx,
        clock,
        project,
        actor,
        "token.revoked",
        id,
        serde_json::json!({ "label": token.label }),
    )
}

fn count_admins(tx: &mut Tx<'_>, wall: Timestamp) -> Result<i64> {
    let row = tx.query_one(
        "SELECT COUNT(*) AS n FROM access_tokens WHERE role = 'admin' AND scope = 'everything' \
         AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?1)",
        &params![wall],
    )?;
    Ok(row.get("n")?)
}

fn record(
    tx: &mut Tx<'_>,
    clock: &Clock,
    project: &ProjectName,
    actor: &Actor,
    kind: &'static str,
    id: &str,
    payload: serde_json::Value,
) -> Result<()> {
    let subject = format!("token:{id}");
    let event = NewEvent {
        project: project.clone(),
        actor: actor.clone(),
        kind,
        subject,
        payload,
    };
    everloop_ledger::append(tx, clock.now(), event)?;
    Ok(())
}

fn columns_of(scope: &TokenScope) -> (&'static str, Option<String>, Option<String>) {
    match scope {
        TokenScope::Everything => ("everything", None, None),
        TokenScope::Project { project } => ("project", Some(project.to_string()), None),
        TokenScope::Run { project, run } => ("run", Some(project.to_string()), Some(run.to_string())),
    }
}

fn read(row: &Row) -> Result<Token> {
    let project: Option<String> = row.get("project")?;
    let project = project.and_then(|name| ProjectName::new(name).ok());
    let run: Option<String> = row.get("run_id")?;
    let scope: String = row.get("scope")?;
    let role: String = row.get("role")?;
    let scope = match (scope.as_str(), project, run) {
        ("everything", _, _) => TokenScope::Everything,
        ("project", Some(project), _) => TokenScope::Project { project },
        ("run", Some(project), Some(run)) => TokenScope::Run {
            project,
            run: RunId::new(run),
        },
        // A row we can't read lets nobody in.
        _ => return Err(Error::Unauthenticated),
    };
    Ok(Token {
        id: row.get("id")?,
        label: row.get("label")?,
        role: role.parse().map_err(|_| Error::Unauthenticated)?,
        scope,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        revoked_at: row.get("revoked_at")?,
    })
}
