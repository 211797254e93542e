//! The resources that sessions and profiles share.

use crate::cpu::Cpu;
use crate::engine::{Engine, LocalEngine};
use crate::error::{Error, Result, from_datafusion};
use crate::numbered::Numbered;
use crate::options::TablesOptions;
use crate::profile::{Profile, ProfileOptions};
use crate::records::{RecordGuard, TextPaths};
use crate::session::Session;
use crate::source::Source;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;
use everloop_objects::{Objects, ObjectsAsStore};
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use std::num::NonZeroUsize;
use std::sync::Arc;
use url::Url;

/// How many of the hungriest operators an out-of-memory error names.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");

/// Memory, threads, stores and spill space for queries. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Tables(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: TablesOptions,
    env: Arc<RuntimeEnv>,
    text_paths: TextPaths,
    engine: Arc<dyn Engine>,
    cpu: Arc<Cpu>,
}

impl Tables {
    /// Queries over local files, run in this process. Other places are added by
    /// [`with_objects`](Self::with_objects) and [`add_store`](Self::add_store).
    ///
    /// # Errors
    /// When the folder for spill files or the threads cannot be had.
    pub fn new(options: TablesOptions) -> Result<Self> {
        let cpu = Cpu::new(options.threads)?;
        let env = runtime_env(&options)?;
        let tables = Self(Arc::new(Inner {
            options,
            env,
            text_paths: TextPaths::default(),
            engine: Arc::new(LocalEngine),
            cpu: Arc::new(cpu),
        }));
        let files = Url::parse("file:///").expect("a constant URL");
        tables.register_store(&files, Arc::new(LocalFileSystem::new()));
        Ok(tables)
    }

    /// The same tables and limits, with plans run by `engine`.
    #[must_use]
    pub fn with_engine(&self, engine: Arc<dyn Engine>) -> Self {
        Self(Arc::new(Inner {
            options: self.0.options.clone(),
            env: Arc::clone(&self.0.env),
            text_paths: self.0.text_paths.clone(),
            engine,
            cpu: Arc::clone(&self.0.cpu),
        }))
    }

    /// Makes the store of `url` (`s3://bucket`, `gs://bucket`, `az://container`, `https://host`) known to sources,
    /// with the options that `object_store` knows by name, such as `region`, `endpoint`, `access_key_id`.
    ///
    /// # Errors
    /// When the URL or an option is wrong.
    pub fn add_store(&self, url: &str, options: impl IntoIterator<Item = (String, String)>) -> Result<()> {
        let invalid = |detail: String| Error::InvalidStore {
            url: url.to_owned(),
            detail,
        };
        let parsed = Url::parse(url).map_err(|error| invalid(error.to_string()))?;
        let (store, _) =
            object_store::parse_url_opts(&parsed, options).map_err(|error| invalid(error.to_string()))?;
        self.register_store(&parsed, Arc::from(store));
        Ok(())
    }

    /// Makes `objects` the place that [`Source::Objects`] reads from, for these tables and all their clones.
    #[must_use]
    pub fn with_objects(self, objects: Objects) -> Self {
        let url = Url::parse(OBJECTS_URL).expect("a constant URL");
        self.register_store(&url, Arc::new(ObjectsAsStore::new(objects)));
        self
    }

    /// Makes an open store known to sources, under the scheme and authority of `url`.
    pub fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) {
        let store = match url.scheme() {
            OBJECTS_SCHEME => Arc::new(Numbered(store)),
            _ => store,
        };
        let guarded = RecordGuard::new(store, self.0.options.record_limit, self.0.text_paths.clone());
        self.0.env.register_object_store(url, Arc::new(guarded));
    }

    /// A session without tables.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn session(&self) -> BoxFuture<'_, Result<Session>> {
        Box::pin(async move { Session::open(self.clone()).await })
    }

    /// Names and types of the columns of `source`.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn schema(&self, source: Source) -> BoxFuture<'_, Result<SchemaRef>> {
        Box::pin(async move {
            let session = self.session().await?;
            session.add(ONE_TABLE, source).await?;
            session.schema(ONE_TABLE).await
        })
    }

    /// Number of rows of `source`; for Parquet read from the files' footers.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn rows(&self, source: Source) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move {
            let session = self.session().await?;
            session.add(ONE_TABLE, source).await?;
            session.rows(ONE_TABLE).await
        })
    }

    /// The profile of `source`, in one pass.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn profile(&self, source: Source) -> BoxFuture<'_, Result<Profile>> {
        Box::pin(async move { self.profile_with(source, ProfileOptions::default()).await })
    }

    /// The profile of `source`, in one pass, with `options`.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn profile_with(&self, source: Source, options: ProfileOptions) -> BoxFuture<'_, Result<Profile>> {
        Box::pin(async move {
            let session = self.session().await?;
            session.add(ONE_TABLE, source).await?;
            session.profile(ONE_TABLE, options).await
        })
    }

    /// Memory, caches and stores, for engines that run plans in this process.
    #[must_use]
    pub fn runtime_env(&self) -> Arc<RuntimeEnv> {
        Arc::clone(&self.0.env)
    }

    /// The settings that queries start from.
    #[must_use]
    pub fn session_config(&self) -> SessionConfig {
        session_config(&self.0.options)
    }

    /// Memory that queries may hold together.
    #[must_use]
    pub fn memory_limit(&self) -> everloop_core::ByteSize {
        self.0.options.memory_limit
    }

    pub(crate) fn options(&self) -> &TablesOptions {
        &self.0.options
    }

    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.0.engine
    }

    pub(crate) fn cpu(&self) -> &Cpu {
        &self.0.cpu
    }

    pub(crate) fn text_paths(&self) -> &TextPaths {
        &self.0.text_paths
    }
}

/// Where objects appear among the stores.
pub(crate) const OBJECTS_URL: &str = "everloop://objects/";
const OBJECTS_SCHEME: &str = "everloop";

/// The name of the only table of a session made for one question.
const ONE_TABLE: &str = "rows";

fn runtime_env(options: &TablesOptions) -> Result<Arc<RuntimeEnv>> {
    let memory = usize::try_from(options.memory_limit.0).unwrap_or(usize::MAX);
    let spill = match &options.spill_dir {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|source| Error::Write {
                path: folder.display().to_string(),
                source,
            })?;
            DiskManagerMode::Directories(vec![folder.clone()])
        }
        None => DiskManagerMode::OsTmpDirectory,
    };
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(TrackConsumersPool::new(
            FairSpillPool::new(memory),
            NAMED_CONSUMERS,
        )))
        .with_disk_manager_builder(
            DiskManagerBuilder::default()
                .with_mode(spill)
                .with_max_temp_directory_size(options.spill_limit.0),
        )
        .build_arc()
        .map_err(from_datafusion)
}

fn session_config(options: &TablesOptions) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(options.partitions.max(1))
        .with_information_schema(false);
    let settings = config.options_mut();
    // Errors name the place in the statement.
    settings.sql_parser.collect_spans = true;
    // Names are written as the files write them: `SELECT DepDelay`, no quotes needed.
    settings.sql_parser.enable_ident_normalization = false;
    // Text comes as plain Utf8: what models, Python and Parquet writers know best.
    settings.optimizer.expand_views_at_output = true;
    config.set_str("datafusion.execution.time_zone", "UTC")
}
