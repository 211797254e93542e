//! The capability as one value: the rules over transactions, with the database and the clock.
//!
//! Each method is one transaction around the function it names. Who needs several in one transaction calls the
//! functions.

use everloop_core::{Actor, AliasName, By, Clock, ModelName, ProjectName};
use everloop_db::Db;

use crate::aliases::{self, Move};
use crate::models::{self, Model, NewModel};
use crate::versions::{self, ModelVersion, NewVersion};
use crate::{Result, VersionNumber};

/// Models and versions in a database. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    /// Where the rows are.
    pub db: Db,
    /// The time of changes.
    pub clock: Clock,
}

impl Registry {
    /// `actor` in `project`, now.
    #[must_use]
    pub fn by(&self, project: &ProjectName, actor: &Actor) -> By {
        By {
            project: project.clone(),
            actor: actor.clone(),
            at: self.clock.now(),
        }
    }

    /// Creates a model: [`models::create`].
    ///
    /// # Errors
    /// As there.
    pub async fn create_model(&self, by: &By, new: NewModel) -> Result<()> {
        let by = by.clone();
        self.db.write(move |tx| models::create(tx, &by, &new)).await
    }

    /// The model of this name: [`models::get`].
    ///
    /// # Errors
    /// As there.
    pub async fn model(&self, project: &ProjectName, name: &ModelName) -> Result<Option<Model>> {
        let (project, name) = (project.clone(), name.clone());
        self.db.read(move |tx| models::get(tx, &project, &name)).await
    }

    /// Makes the next version of a model, which is made too when it is not there: [`versions::create`].
    ///
    /// # Errors
    /// As there.
    pub async fn create_version(&self, by: &By, model: &ModelName, new: NewVersion) -> Result<VersionNumber> {
        let (by, model) = (by.clone(), model.clone());
        self.db
            .write(move |tx| {
                models::ensure(tx, &by, &model)?;
                versions::create(tx, &by, &model, &new)
            })
            .await
    }

    /// Says that a version can be used: [`versions::mark_ready`].
    ///
    /// # Errors
    /// As there.
    pub async fn mark_ready(&self, by: &By, model: &ModelName, version: VersionNumber) -> Result<()> {
        let (by, model) = (by.clone(), model.clone());
        self.db
            .write(move |tx| versions::mark_ready(tx, &by, &model, version))
            .await
    }

    /// A version of a model: [`versions::get`].
    ///
    /// # Errors
    /// As there.
    pub async fn version(
        &self,
        project: &ProjectName,
        model: &ModelName,
        version: VersionNumber,
    ) -> Result<Option<ModelVersion>> {
        let (project, model) = (project.clone(), model.clone());
        self.db
            .read(move |tx| versions::get(tx, &project, &model, version))
            .await
    }

    /// Points an alias at a version: [`aliases::set`].
    ///
    /// # Errors
    /// As there.
    pub async fn set_alias(&self, by: &By, model: &ModelName, alias: &AliasName, change: Move) -> Result<()> {
        let (by, model, alias) = (by.clone(), model.clone(), alias.clone());
        self.db
            .write(move |tx| aliases::set(tx, &by, &model, &alias, &change))
            .await
    }

    /// The version an alias points at: [`aliases::get`].
    ///
    /// # Errors
    /// As there.
    pub async fn by_alias(
        &self,
        project: &ProjectName,
        model: &ModelName,
        alias: &AliasName,
    ) -> Result<Option<ModelVersion>> {
        let (project, model, alias) = (project.clone(), model.clone(), alias.clone());
        self.db
            .read(move |tx| aliases::get(tx, &project, &model, &alias))
            .await
    }
}
