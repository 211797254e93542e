//! A project with a fresh database, once per kind of database.

use everloop_core::{
    Actor, AliasName, ArtifactPath, By, DecisionId, Hash, ModelName, ProjectName, Timestamp,
};
use everloop_db::testing::{TestDb, databases};
use everloop_db::{Db, Tx};
use everloop_ledger::{Event, Filter, Seq};
use everloop_registry::aliases::{self, Expected, Move};
use everloop_registry::files::ModelFile;
use everloop_registry::versions::{self, NewVersion};
use everloop_registry::{Error, MIGRATIONS, Result, VersionNumber, models};

pub const START: Timestamp = Timestamp(1_364_774_400_000);

pub struct World {
    pub name: &'static str,
    pub db: Db,
    pub by: By,
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
            by: by("flights"),
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

    /// Makes the next version of "delay", pending.
    pub async fn pending(&self, new: NewVersion) -> VersionNumber {
        let by = self.by.clone();
        self.write(move |tx| {
            models::ensure(tx, &by, &delay())?;
            versions::create(tx, &by, &delay(), &new)
        })
        .await
        .unwrap()
    }

    /// Makes the next version of "delay", ready.
    pub async fn ready(&self) -> VersionNumber {
        let version = self.pending(onnx()).await;
        let by = self.by.clone();
        self.write(move |tx| versions::mark_ready(tx, &by, &delay(), version))
            .await
            .unwrap();
        version
    }

    /// Moves an alias of "delay".
    pub async fn move_alias(&self, millis: i64, alias: &str, to: u32, expected: Expected) -> Result<()> {
        let (by, alias) = (self.at(millis), AliasName::new(alias).unwrap());
        let change = Move {
            to: VersionNumber(to),
            expected,
            decision: Some(DecisionId::new(format!("decision-{millis}"))),
            why: format!("move at {millis}"),
        };
        self.write(move |tx| aliases::set(tx, &by, &delay(), &alias, &change))
            .await
    }

    /// Every ledger row, oldest first.
    pub async fn events(&self) -> Vec<Event> {
        let found: Result<_> = self
            .db
            .read(|tx| everloop_ledger::after(tx, Seq(0), 1_000, &Filter::default()).map_err(Error::from))
            .await;
        found.unwrap()
    }

    pub async fn kinds(&self) -> Vec<String> {
        self.events().await.into_iter().map(|event| event.kind).collect()
    }
}

pub fn by(project: &str) -> By {
    By {
        project: ProjectName::new(project).unwrap(),
        actor: Actor::Local("ada".to_owned()),
        at: START,
    }
}

/// The model that most tests use.
pub fn delay() -> ModelName {
    ModelName::new("flight delay").unwrap()
}

pub fn file(path: &str, content: &str) -> ModelFile {
    ModelFile {
        path: ArtifactPath::new(path).unwrap(),
        hash: Hash::of(content.as_bytes()),
        size_bytes: content.len() as u64,
    }
}

pub fn onnx() -> NewVersion {
    NewVersion {
        files: vec![file("MLmodel", "flavors"), file("data/model.onnx", "weights")],
        flavor: "onnx".to_owned(),
        ..NewVersion::default()
    }
}
