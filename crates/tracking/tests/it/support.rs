//! A project with a fresh database, once per kind of database.

use everloop_core::{Actor, By, ExperimentId, Ids, ProjectName, RunId, Timestamp};
use everloop_db::testing::{TestDb, databases};
use everloop_db::{Db, Tx};
use everloop_ledger::{Filter, Seq};
use everloop_tracking::runs::{NewRun, RunInfo};
use everloop_tracking::{Error, MIGRATIONS, Result, experiments, runs};

pub const START: Timestamp = Timestamp(1_364_774_400_000);

pub struct World {
    pub name: &'static str,
    pub db: Db,
    pub by: By,
    pub ids: Ids,
    _place: TestDb,
}

pub async fn worlds() -> Vec<World> {
    let migrations = [everloop_ledger::MIGRATIONS, MIGRATIONS].concat();
    let found = databases(&migrations).await;
    found.into_iter().map(World::new).collect()
}

impl World {
    fn new(place: TestDb) -> Self {
        Self {
            name: place.name,
            db: place.db.clone(),
            by: by("flights", 0),
            ids: Ids::seeded(7),
            _place: place,
        }
    }

    /// The same person, `millis` after the start.
    pub fn at(&self, millis: i64) -> By {
        By {
            at: Timestamp(START.0 + millis),
            ..self.by.clone()
        }
    }

    pub async fn write<T: Send + 'static>(
        &self,
        f: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.db.write(f).await
    }

    pub async fn read<T: Send + 'static>(
        &self,
        f: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.db.read(f).await
    }

    pub async fn experiment(&self, name: &str) -> ExperimentId {
        let (by, name) = (self.by.clone(), name.to_owned());
        self.write(move |tx| experiments::ensure(tx, &by, &name))
            .await
            .unwrap()
    }

    pub async fn run(&self) -> RunId {
        let experiment = self.experiment("delays").await;
        self.create(&self.by, NewRun::new(self.ids.run(), experiment))
            .await
            .unwrap()
            .id
    }

    pub async fn create(&self, by: &By, new: NewRun) -> Result<RunInfo> {
        let by = by.clone();
        self.write(move |tx| runs::create(tx, &by, &new)).await
    }

    pub async fn delete_run(&self, run: &RunId) {
        let (by, run) = (self.by.clone(), run.clone());
        self.write(move |tx| runs::delete(tx, &by, &run)).await.unwrap();
    }

    /// Kind and subject of every ledger row, oldest first.
    pub async fn events(&self) -> Vec<(String, String)> {
        let found: Result<_> = self
            .db
            .read(|tx| everloop_ledger::after(tx, Seq(0), 1_000, &Filter::default()).map_err(Error::from))
            .await;
        found
            .unwrap()
            .into_iter()
            .map(|event| (event.kind, event.subject))
            .collect()
    }

    pub async fn kinds(&self) -> Vec<String> {
        self.events().await.into_iter().map(|(kind, _)| kind).collect()
    }
}

pub fn by(project: &str, millis: i64) -> By {
    By {
        project: ProjectName::new(project).unwrap(),
        actor: Actor::Local("ada".to_owned()),
        at: Timestamp(START.0 + millis),
    }
}
