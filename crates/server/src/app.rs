//! The composition root: opens the stores, builds the capabilities on them, and holds them for the handlers.

use everloop_access::{MIGRATIONS as ACCESS, Tokens};
use everloop_checks::Reports;
use everloop_controller::{Controller, Parts};
use everloop_core::{Actor, ByteSize, Clock, Code, Ids, ModelName, ProjectName};
use everloop_datasets::Datasets;
use everloop_db::{Db, DbUrl, Migration};
use everloop_ledger::AnchorFile;
use everloop_monitoring::Monitoring;
use everloop_objects::{Objects, Options, StoreUrl};
use everloop_pipelines::Pipelines;
use everloop_project::Project;
use everloop_registry::Registry;
use everloop_runtime::{Limits, Model};
use everloop_serving::{ModelSource, Serving, ServingOptions};
use everloop_tables::{Engine, Tables, TablesOptions};
use everloop_tracking::Tracking;
use everloop_webhooks::{Allow, Egress, Outbox, hooks_of};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::ledger::VerificationBody;
use crate::figures::{Figures, Waiting};
use crate::project_file::ProjectFile;
use crate::{ApiError, ApiResult, GIT_SECRET_VARIABLE, Metrics, OpenError, RegisteredModels};

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
    /// Variables that credentials are read from: those of object stores, the secrets of webhooks.
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
    /// How long the pipeline runs of a program that died wait until they are taken over.
    pub lease: Duration,
    /// Where queries, profiles and checks of data run; none means in this process.
    pub engine: Option<Arc<dyn Engine>>,
    /// What webhooks may reach beyond public https: `http`, `private`.
    pub webhooks_allow: String,
}

/// The capabilities of a running program. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    options: AppOptions,
    project: ProjectName,
    file: ProjectFile,
    db: Db,
    objects: Objects,
    tables: Tables,
    tokens: Tokens,
    tracking: Tracking,
    registry: Registry,
    datasets: Datasets,
    pipelines: Pipelines,
    models: RegisteredModels,
    serving: Serving,
    monitoring: Monitoring,
    controller: Controller,
    outbox: Outbox,
    /// Counts how often the project file was read.
    readings: watch::Sender<u64>,
    reports: Reports,
    anchors: AnchorFile,
    metrics: Metrics,
    waiting: Waiting,
    url: OnceLock<String>,
    description: OnceLock<serde_json::Value>,
    stop: CancellationToken,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("project", &self.0.project)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
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
        everloop_checks::MIGRATIONS,
        everloop_pipelines::MIGRATIONS,
        everloop_serving::MIGRATIONS,
        everloop_monitoring::MIGRATIONS,
        everloop_webhooks::MIGRATIONS,
        everloop_controller::MIGRATIONS,
    ]
    .concat()
}

impl App {
    /// Opens the stores and builds everything on them.
    ///
    /// # Errors
    /// When a store can't be opened, or a newer program wrote it.
    pub async fn open(options: AppOptions, project: ProjectName) -> Result<Self, OpenError> {
        let egress = Egress::new(options.webhooks_allow.parse::<Allow>()?);
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
        Self::build(options, project, db, objects, tables, egress).await
    }

    /// The capabilities on open stores.
    async fn build(
        options: AppOptions,
        project: ProjectName,
        db: Db,
        objects: Objects,
        tables: Tables,
        egress: Egress,
    ) -> Result<Self, OpenError> {
        let (clock, ids) = (options.clock.clone(), options.ids.clone());
        let tracking = Tracking {
            db: db.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            objects: objects.clone(),
        };
        let registry = Registry {
            db: db.clone(),
            clock: clock.clone(),
        };
        let models = RegisteredModels::new(registry.clone(), objects.clone());
        let serving = Serving::open(
            db.clone(),
            clock.clone(),
            ids,
            objects.clone(),
            tables.clone(),
            Arc::new(models.clone()),
            ServingOptions::new(options.home.join("predictions")),
        )
        .await?;
        // Data is asked where it is told to be. What reads files of this machine, rows in memory, or must give the
        // same rows in the same order every time stays in this process.
        let data = match &options.engine {
            Some(engine) => tables.with_engine(Arc::clone(engine)),
            None => tables.clone(),
        };
        let datasets = Datasets::new(db.clone(), clock.clone(), objects.clone(), data.clone());
        let pipelines = Pipelines {
            db: db.clone(),
            clock: clock.clone(),
            ids: options.ids.clone(),
            objects: objects.clone(),
            tables: tables.clone(),
            tracking: tracking.clone(),
            datasets: datasets.clone(),
            logs: options.home.join("logs"),
        };
        let monitoring = Monitoring::new(db.clone(), tables.clone());
        let parts = Parts {
            db: db.clone(),
            clock: clock.clone(),
            ids: options.ids.clone(),
            objects: objects.clone(),
            tables: tables.clone(),
            registry: registry.clone(),
            datasets: datasets.clone(),
            pipelines: pipelines.clone(),
            serving: serving.clone(),
            monitoring: monitoring.clone(),
        };
        let loop_file = everloop_controller::ProjectFile::read(&options.root).ok();
        let app = Self(Arc::new(Inner {
            file: ProjectFile::new(&options.root),
            tokens: Tokens::new(db.clone(), clock.clone(), project.clone()),
            controller: Controller::new(parts, project.clone(), loop_file),
            outbox: Outbox::new(db.clone(), clock, project.clone(), egress),
            readings: watch::Sender::default(),
            pipelines,
            url: OnceLock::new(),
            monitoring,
            reports: Reports::new(db.clone()),
            anchors: AnchorFile::new(options.home.join("ledger.anchors")),
            metrics: Metrics::default(),
            waiting: Waiting::default(),
            description: OnceLock::new(),
            stop: CancellationToken::new(),
            options,
            project,
            db,
            objects,
            tables: data,
            tracking,
            registry,
            datasets,
            models,
            serving,
        }));
        app.register_figures();
        // A file that is wrong stops nobody from looking at the rest.
        let starter = Actor::system("server");
        if let Err(error) = app.reload_project(app.default_project(), &starter).await {
            tracing::info!(problem = error.public_message(), "no project file in use");
        }
        Ok(app)
    }

    fn register_figures(&self) {
        let figures = Figures {
            db: self.0.db.clone(),
            serving: self.0.serving.clone(),
            outbox: self.0.outbox.clone(),
            waiting: Arc::clone(&self.0.waiting),
        };
        self.0
            .metrics
            .register(|registry| registry.register_collector(Box::new(figures)));
    }

    pub(crate) fn options(&self) -> &AppOptions {
        &self.0.options
    }

    /// Says where this program answers, so that stages find it. The first call counts.
    pub fn listening_at(&self, url: &str) {
        let _ = self.0.url.set(url.to_owned());
    }

    /// Where this program answers, once it does.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.0.url.get().map(String::as_str)
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

    /// The loop of `project`.
    ///
    /// # Errors
    /// When this server holds no such project.
    pub fn controller(&self, project: &ProjectName) -> ApiResult<&Controller> {
        self.root(project)?;
        Ok(&self.0.controller)
    }

    pub(crate) fn loop_of_project(&self) -> &Controller {
        &self.0.controller
    }

    /// The messages to webhooks.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// Rings when the project file was read again.
    pub(crate) fn readings(&self) -> watch::Receiver<u64> {
        self.0.readings.subscribe()
    }

    /// The secret that git hosts sign their messages with.
    pub(crate) fn git_secret(&self) -> Option<&str> {
        self.variable(GIT_SECRET_VARIABLE)
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let environment = &self.0.options.environment;
        let found = environment.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Reads the project's file again: registers the datasets it names, and tells the webhooks it lists from now on.
    ///
    /// # Errors
    /// When the file or a suite it names is not valid; the loop goes on with the last one that was.
    pub async fn reload_project(&self, project: &ProjectName, actor: &Actor) -> ApiResult<()> {
        let root = self.root(project)?;
        self.project_file(project).await?;
        let read = tokio::task::spawn_blocking(move || everloop_controller::ProjectFile::read(&root)).await;
        let file = read.map_err(|_| ApiError::new(Code::Internal, "reading the project broke off"))??;
        for (name, dataset) in &file.project.datasets {
            let spec = everloop_datasets::Spec {
                paths: dataset.path.iter().map(ToString::to_string).collect(),
                time: dataset.time.as_ref().map(ToString::to_string),
                watch: dataset.watch,
            };
            self.datasets().register(project, actor, name, &spec).await?;
        }
        let hooks = hooks_of(&file.project.notify, &|name| {
            self.variable(name).map(ToOwned::to_owned)
        });
        self.0.outbox.set_hooks(hooks).await?;
        self.0.controller.set_file(file);
        self.0.readings.send_modify(|readings| *readings += 1);
        Ok(())
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

    /// The query engine for data.
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

    /// Experiments and runs.
    #[must_use]
    pub fn tracking(&self) -> &Tracking {
        &self.0.tracking
    }

    /// Registered models.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Pipeline runs.
    #[must_use]
    pub fn pipelines(&self) -> &Pipelines {
        &self.0.pipelines
    }

    /// Endpoints, predictions and feedback.
    #[must_use]
    pub fn serving(&self) -> &Serving {
        &self.0.serving
    }

    /// The watch over endpoints.
    #[must_use]
    pub fn monitoring(&self) -> &Monitoring {
        &self.0.monitoring
    }

    /// Kept reports of checks.
    #[must_use]
    pub fn reports(&self) -> &Reports {
        &self.0.reports
    }

    /// The files of registered versions.
    #[must_use]
    pub fn models(&self) -> &RegisteredModels {
        &self.0.models
    }

    /// The project file as it was valid last; none before that.
    #[must_use]
    pub fn known_project(&self) -> Option<Arc<Project>> {
        self.0.file.known()
    }

    /// The project file as it is now, read again when it has changed.
    ///
    /// # Errors
    /// When it is not there, or with everything that is wrong with it.
    pub async fn project_file(&self, project: &ProjectName) -> ApiResult<Arc<Project>> {
        self.root(project)?;
        let (app, name) = (self.clone(), project.clone());
        tokio::task::spawn_blocking(move || app.0.file.read(&name))
            .await
            .map_err(|error| ApiError::new(Code::Internal, error.to_string()))?
    }

    /// Refuses a version that can't be loaded, before a route names it.
    ///
    /// # Errors
    /// When its files are not there or no model.
    pub(crate) async fn try_loading(
        &self,
        project: &ProjectName,
        model: &ModelName,
        version: u32,
    ) -> ApiResult<()> {
        let refused = |problem: String| {
            ApiError::new(
                Code::FailedPrecondition,
                format!("version {version} of model \"{model}\" can't be loaded: {problem}"),
            )
        };
        let source = &self.0.models;
        let files = source.files(project, model, u64::from(version)).await;
        let files = files.map_err(refused)?;
        let loaded = tokio::task::spawn_blocking(move || Model::load(&files, &Limits::default()).map(drop));
        match loaded.await {
            Ok(outcome) => outcome.map_err(|error| refused(error.to_string())),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// Answers when the stores can be reached.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn reach_stores(&self) -> ApiResult<()> {
        let one = |tx: &mut everloop_db::Tx<'_>| tx.query_one("SELECT 1 AS one", &[]).map(drop);
        Ok(self.db().read(one).await?)
    }

    /// Reads what waits (how far the ledger's consumers are behind, messages to webhooks), for the next scrape.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn read_waiting(&self) -> ApiResult<()> {
        let lags = self.db().read(everloop_ledger::lags).await?;
        let project = self.0.project.clone();
        let messages = self
            .db()
            .read(move |tx| everloop_webhooks::counts(tx, &project, None))
            .await?;
        *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) = (lags, messages);
        Ok(())
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
        self.0.anchors.clone()
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
    Ok(Tables::new(limits)?.with_objects(objects.clone()))
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
