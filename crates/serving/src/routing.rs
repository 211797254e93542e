//! Who answers: a table in memory, swapped whole when the rows in the database change.
//!
//! A version is loaded and ready before the table that names it is swapped in, so no request waits for a load. A
//! version that can't be loaded leaves the table as it was.

use arc_swap::ArcSwap;
use async_trait::async_trait;
use everloop_core::{Clock, EndpointName, Ids, ModelName, ProjectName};
use everloop_db::Db;
use everloop_objects::Objects;
use everloop_runtime::{Limits, Model, ModelFiles, Signature};
use everloop_tables::Tables;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::log::PredictionLog;
use crate::store::{ALL, Endpoint, Mode, all_endpoints};
use crate::{Error, Result};

/// Gives the files of a registered version. The registry and the object store meet above this crate.
#[async_trait]
pub trait ModelSource: Send + Sync + std::fmt::Debug {
    /// The files of `version` of `model`, or why they can't be had.
    async fn files(
        &self,
        project: &ProjectName,
        model: &ModelName,
        version: u64,
    ) -> Result<ModelFiles, String>;
}

/// Limits and places of serving.
#[derive(Debug, Clone)]
pub struct ServingOptions {
    /// The folder of the write-ahead log.
    pub folder: PathBuf,
    /// The most rows one request may hold.
    pub most_rows: usize,
    /// Rows after which a segment of the log is sealed.
    pub segment_rows: u64,
}

impl ServingOptions {
    /// The usual limits, with the log in `folder`: 100,000 rows a request, 100,000 rows a segment.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            most_rows: 100_000,
            segment_rows: 100_000,
        }
    }
}

/// Serving of all endpoints in this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Serving(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) objects: Objects,
    pub(crate) tables: Tables,
    pub(crate) options: ServingOptions,
    pub(crate) log: PredictionLog,
    source: Arc<dyn ModelSource>,
    table: ArcSwap<RoutingTable>,
    /// Loaded versions, so that a change of weights loads nothing again.
    loaded: Mutex<HashMap<(ProjectName, ModelName, u64), Arc<Loaded>>>,
    /// One refresh at a time.
    refreshing: tokio::sync::Mutex<()>,
}

/// The endpoints by project and name.
#[derive(Debug, Default)]
struct RoutingTable {
    endpoints: HashMap<ProjectName, HashMap<String, Arc<LiveEndpoint>>>,
}

/// A version in memory.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) version: u64,
    pub(crate) model: Model,
}

/// An endpoint as it answers now. It stays so for whoever holds it, whatever the routes become meanwhile.
#[derive(Debug)]
pub struct LiveEndpoint {
    pub(crate) name: EndpointName,
    pub(crate) model: ModelName,
    /// Live versions with the end of their share, ascending; the last end is [`ALL`].
    live: Vec<(u64, Arc<Loaded>)>,
    /// Shadow versions with their share.
    pub(crate) shadows: Vec<(u64, Arc<Loaded>)>,
}

impl LiveEndpoint {
    /// The columns that it reads and gives, by the first of the versions that answer, and that version.
    ///
    /// # Errors
    /// When nothing answers yet.
    pub fn signature(&self) -> Result<(u64, &Signature)> {
        let (_, first) = self.live.first().ok_or_else(|| Error::NotReady {
            name: self.name.clone(),
        })?;
        Ok((first.version, first.model.signature()))
    }

    /// The version that answers requests with this key. Older versions hold the low end of the range, so a share
    /// that grows takes keys over and gives none back.
    pub(crate) fn choose(&self, key: &str) -> Option<&Arc<Loaded>> {
        let slot = slot_of(self.name.as_str(), key);
        self.live
            .iter()
            .find(|(end, _)| slot < *end)
            .map(|(_, loaded)| loaded)
    }
}

/// A stable place of `key` from 0 to below [`ALL`].
pub(crate) fn slot_of(endpoint: &str, key: &str) -> u64 {
    let hash = everloop_core::Hasher::new()
        .field(endpoint.as_bytes())
        .field(key.as_bytes())
        .finish();
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first) % ALL
}

impl Serving {
    /// Opens serving on the stores and loads who answers. What an earlier process logged is sealed later, by
    /// [`run`](Self::run): however much it is, and however full the disk, nobody waits for it.
    ///
    /// # Errors
    /// When the log's folder or a store fails.
    pub async fn open(
        db: Db,
        clock: Clock,
        ids: Ids,
        objects: Objects,
        tables: Tables,
        source: Arc<dyn ModelSource>,
        options: ServingOptions,
    ) -> Result<Self> {
        let log = PredictionLog::open(&options.folder, &ids, clock.wall())?;
        let serving = Self(Arc::new(Inner {
            db,
            clock,
            ids,
            objects,
            tables,
            options,
            log,
            source,
            table: ArcSwap::default(),
            loaded: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
        }));
        serving.refresh().await?;
        Ok(serving)
    }

    /// Reads who answers and swaps it in, once every version it names is loaded.
    ///
    /// # Errors
    /// When the database fails. A version that can't be loaded is logged, and its endpoint stays as it was.
    pub async fn refresh(&self) -> Result<()> {
        let _one = self.0.refreshing.lock().await;
        let endpoints = self.0.db.read(all_endpoints).await?;
        let before = self.0.table.load_full();
        let mut table = RoutingTable::default();
        for (project, endpoint) in endpoints {
            let name = endpoint.name.to_string();
            let live = match self.prepare(&project, &endpoint).await {
                Ok(live) => Arc::new(live),
                Err(error) => {
                    tracing::error!(endpoint = name, %error, "endpoint keeps its old routes");
                    match before.endpoints.get(&project).and_then(|known| known.get(&name)) {
                        Some(old) => Arc::clone(old),
                        None => continue,
                    }
                }
            };
            table.endpoints.entry(project).or_default().insert(name, live);
        }
        self.forget_unused(&table);
        self.0.table.store(Arc::new(table));
        Ok(())
    }

    async fn prepare(&self, project: &ProjectName, endpoint: &Endpoint) -> Result<LiveEndpoint> {
        let (mut live, mut shadows) = (Vec::new(), Vec::new());
        let mut end = 0;
        for route in &endpoint.routes {
            let loaded = self
                .load(project, &endpoint.name, &endpoint.model, route.version)
                .await?;
            match route.mode {
                Mode::Live => {
                    end += route.weight;
                    live.push((end, loaded));
                }
                Mode::Shadow => shadows.push((route.weight, loaded)),
            }
        }
        Ok(LiveEndpoint {
            name: endpoint.name.clone(),
            model: endpoint.model.clone(),
            live,
            shadows,
        })
    }

    /// The version, from memory or from its files.
    pub(crate) async fn load(
        &self,
        project: &ProjectName,
        endpoint: &EndpointName,
        model: &ModelName,
        version: u64,
    ) -> Result<Arc<Loaded>> {
        let key = (project.clone(), model.clone(), version);
        if let Some(loaded) = self.0.loaded.lock().get(&key) {
            return Ok(Arc::clone(loaded));
        }
        let bad = |problem: String| Error::BadVersion {
            name: endpoint.clone(),
            version,
            problem,
        };
        let files = self.0.source.files(project, model, version).await.map_err(bad)?;
        let parsed = tokio::task::spawn_blocking(move || Model::load(&files, &Limits::default())).await;
        let model = match parsed {
            Ok(Ok(model)) => model,
            Ok(Err(error)) => return Err(bad(error.to_string())),
            Err(_) => return Err(bad("loading it failed".to_owned())),
        };
        let loaded = Arc::new(Loaded { version, model });
        self.0.loaded.lock().insert(key, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Versions that no route names are dropped; a pinned one is loaded again when it is asked for.
    fn forget_unused(&self, table: &RoutingTable) {
        let named = |project: &ProjectName, model: &ModelName, version: u64| {
            let endpoints = table.endpoints.get(project).into_iter().flat_map(HashMap::values);
            endpoints
                .filter(|endpoint| endpoint.model == *model)
                .any(|endpoint| {
                    endpoint
                        .live
                        .iter()
                        .chain(&endpoint.shadows)
                        .any(|(_, loaded)| loaded.version == version)
                })
        };
        // A few stay warm: rollbacks and comparisons ask for them.
        const WARM: usize = 8;
        let mut loaded = self.0.loaded.lock();
        if loaded.len() > WARM {
            loaded.retain(|(project, model, version), _| named(project, model, *version));
        }
    }

    /// The endpoint as it answers now.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn live(&self, project: &ProjectName, name: &str) -> Result<Arc<LiveEndpoint>> {
        let table = self.0.table.load();
        let endpoints = table.endpoints.get(project);
        match endpoints.and_then(|endpoints| endpoints.get(name)) {
            Some(endpoint) => Ok(Arc::clone(endpoint)),
            None => Err(Error::NoSuchEndpoint {
                name: name.chars().take(128).collect(),
                known: endpoints.into_iter().flat_map(HashMap::keys).cloned().collect(),
            }),
        }
    }
}
