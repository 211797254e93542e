//! The composition root: opens the stores, builds the capabilities on them, and holds them for the handlers.

use everloop_access::{MIGRATIONS as ACCESS, Tokens};
use everloop_core::{ByteSize, Clock, Code, Coded, Ids, ProjectName};
use everloop_datasets::Datasets;
use everloop_db::{Db, DbUrl, Migration};
use everloop_ledger::AnchorFile;
use everloop_objects::{Objects, ObjectsAsStore, Options, StoreUrl};
use everloop_tables::{Tables, TablesOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

use crate::api::ledger::VerificationBody;
use crate::{ApiError, ApiResult, Metrics};

/// How requests are let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Bound to loopback only: whoever reaches it is the person at this machine.
    Local {
        /// Their login, for ledger rows.
        login: String,
    },
    /// Every request needs a token.
    Tokens,
}

/// What the server part of the program is opened with.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// The folder of the embedded database, objects and logs.
    pub home: PathBuf,
    /// The folder of the project: where its file, code and data lie.
    pub root: PathBuf,
    /// The metadata database; none means SQLite in `home`.
    pub db: Option<DbUrl>,
    /// The object store; none means a folder in `home`.
    pub store: Option<StoreUrl>,
    /// Variables that object stores read their credentials from.
    pub environment: Vec<(String, String)>,
    /// How requests are let in.
    pub mode: Mode,
    /// Tells the time.
    pub clock: Clock,
    /// Makes ids.
    pub ids: Ids,
    /// Threads for queries, training and hashing; none means one per core.
    pub threads: Option<usize>,
    /// Stages that run at the same time; none means one per core.
    pub stages: Option<usize>,
    /// Memory that queries may use.
    pub memory: ByteSize,
    /// What webhooks may reach beyond public https: `http`, `private`.
    pub webhooks_allow: String,
}

/// The capabilities of a running program. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: AppOptions,
    project: ProjectName,
    db: Db,
    objects: Objects,
    tables: Tables,
    tokens: Tokens,
    datasets: Datasets,
    metrics: Metrics,
    description: OnceLock<serde_json::Value>,
    stop: CancellationToken,
}

/// Why the stores can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The home folder can't be made.
    #[error("can't make the folder \"{}\"", path.display())]
    Home {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database can't be opened.
    #[error(transparent)]
    Db(#[from] everloop_db::Error),
    /// The object store can't be opened.
    #[error(transparent)]
    Objects(#[from] everloop_objects::Error),
    /// The query engine can't be made.
    #[error(transparent)]
    Tables(#[from] everloop_tables::Error),
}

impl Coded for OpenError {
    fn code(&self) -> Code {
        match self {
            Self::Home { .. } => Code::FailedPrecondition,
            Self::Db(error) => error.code(),
            Self::Objects(error) => error.code(),
            Self::Tables(error) => error.code(),
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::Home { .. } => None,
            Self::Db(error) => error.location(),
            Self::Objects(error) => error.location(),
            Self::Tables(error) => error.location(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Home { .. } => Some("choose another folder with --home".to_owned()),
            Self::Db(error) => error.hint(),
            Self::Objects(error) => error.hint(),
            Self::Tables(error) => error.hint(),
        }
    }
}

/// Every table of the house, in the order in which they are made.
#[must_use]
pub fn migrations() -> Vec<Migration> {
    [
        everloop_ledger::MIGRATIONS,
        ACCESS,
        everloop_tracking::MIGRATIONS,
        everloop_registry::MIGRATIONS,
        everloop_datasets::MIGRATIONS,
    ]
    .concat()
}

impl App {
    /// Opens the stores and builds everything on them.
    ///
    /// # Errors
    /// When a store can't be opened, or a newer program wrote it.
    pub async fn open(options: AppOptions, project: ProjectName) -> Result<Self, OpenError> {
        make_home(&options.home)?;
        let url = options
            .db
            .clone()
            .unwrap_or_else(|| DbUrl::sqlite(options.home.join("everloop.db")));
        let db = Db::open(&url, &migrations(), &options.clock).await?;
        let store = options
            .store
            .clone()
            .unwrap_or_else(|| StoreUrl::folder(options.home.join("objects")));
        let store_options = Options::new(options.ids.clone()).with_env(options.environment.iter().cloned());
        let objects = Objects::open(&store, &store_options).await?;
        let tables = open_tables(&options, &objects)?;
        let clock = options.clock.clone();
        let tokens = Tokens::new(db.clone(), clock.clone(), project.clone());
        let datasets = Datasets::new(db.clone(), clock, objects.clone(), tables.clone());
        Ok(Self(Arc::new(Inner {
            options,
            project,
            db,
            objects,
            tables,
            tokens,
            datasets,
            metrics: Metrics::default(),
            description: OnceLock::new(),
            stop: CancellationToken::new(),
        })))
    }

    /// How requests are let in.
    #[must_use]
    pub fn mode(&self) -> &Mode {
        &self.0.options.mode
    }

    /// The project of requests that name none.
    #[must_use]
    pub fn default_project(&self) -> &ProjectName {
        &self.0.project
    }

    /// The folder of `project`'s file, code and data.
    ///
    /// # Errors
    /// When this server holds no such project.
    pub fn root(&self, project: &ProjectName) -> ApiResult<PathBuf> {
        if project == &self.0.project {
            return Ok(self.0.options.root.clone());
        }
        Err(ApiError::new(
            Code::NotFound,
            format!("this server has no folder for project \"{project}\""),
        )
        .with_hint(format!(
            "it was started in the folder of project \"{}\"",
            self.0.project
        )))
    }

    /// The metadata database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// The object store.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.0.objects
    }

    /// The query engine.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.0.tables
    }

    /// The API tokens.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// The datasets.
    #[must_use]
    pub fn datasets(&self) -> &Datasets {
        &self.0.datasets
    }

    /// Figures for Prometheus.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Tells the time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.options.clock
    }

    /// Makes ids.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.0.options.ids
    }

    /// Cancelled when the program was told to stop.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.0.stop.clone()
    }

    /// The OpenAPI description of the registered routes.
    #[must_use]
    pub fn description(&self) -> &serde_json::Value {
        self.0.description.get().unwrap_or(&serde_json::Value::Null)
    }

    pub(crate) fn describe(&self, description: serde_json::Value) {
        // A second router over the same program describes the same routes.
        let _ = self.0.description.set(description);
    }

    /// The file of ledger anchors, beside the store and outside the database.
    #[must_use]
    pub fn anchors(&self) -> AnchorFile {
        AnchorFile::new(self.0.options.home.join("ledger.anchors"))
    }

    pub(crate) async fn verify_ledger(&self) -> ApiResult<VerificationBody> {
        let anchors = self.anchors().read()?;
        let verification = everloop_ledger::verify(self.db(), &anchors).await?;
        Ok(VerificationBody {
            ok: verification.problem.is_none(),
            rows: verification.events,
            anchors: verification.anchors,
            problem: verification.problem.map(|problem| problem.to_string()),
        })
    }
}

fn open_tables(options: &AppOptions, objects: &Objects) -> Result<Tables, OpenError> {
    let mut limits = TablesOptions {
        memory_limit: options.memory,
        ..TablesOptions::default()
    };
    limits.spill_dir = Some(options.home.join("spill"));
    if let Some(threads) = options.threads {
        limits.threads = threads;
    }
    let tables = Tables::new(limits)?;
    let url = url::Url::parse("everloop://objects").expect("a constant address");
    tables.register_store(&url, Arc::new(ObjectsAsStore::new(objects.clone())));
    Ok(tables)
}

/// Only its owner may look into the home folder: it holds data and the ledger.
fn make_home(home: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Home {
        path: home.to_owned(),
        source,
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(home).map_err(failed)?;
    std::fs::create_dir_all(home.join("spill")).map_err(failed)
}
