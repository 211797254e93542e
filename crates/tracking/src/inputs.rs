//! What a run used and made: datasets and model versions, so that lineage can be followed both ways.
//!
//! A dataset is known to an experiment by name and digest, as in MLflow; when it is a version of a dataset of ours, the
//! version's number stands beside. A run may use one dataset in several contexts ("training", "evaluation").

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use everloop_core::{ExperimentId, ModelName, ProjectName, RunId};
use everloop_db::{Row, Tx, Value, params};

use crate::names::{check_name, check_text, limits, shown};
use crate::runs::{self, Stored};
use crate::sql::one_more;
use crate::{By, Error, KeyKind, Result, experiments};

/// The tag in which MLflow's clients send an input's context.
pub const CONTEXT_TAG: &str = "mlflow.data.context";

/// A dataset as an experiment knows it. The first record of a name and digest counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// What tells one content from another.
    pub digest: String,
    /// Its number, when it is a version of a dataset of ours.
    pub version: Option<u64>,
    /// What kind of place it came from.
    pub source_type: String,
    /// Where it came from.
    pub source: String,
    /// Its columns, as the client describes them.
    pub schema: Option<String>,
    /// Its figures, as the client describes them.
    pub profile: Option<String>,
}

/// A dataset that a run used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetInput {
    /// The dataset; runs that share one share it in memory too.
    pub dataset: Arc<Dataset>,
    /// What for; may be empty.
    pub context: String,
    /// Further notes.
    pub tags: BTreeMap<String, String>,
}

/// Whether a run used something or made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Used it.
    Input,
    /// Made it.
    Output,
}

impl Direction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// A version of a registered model that a run used or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelLink {
    /// Used or made.
    pub direction: Direction,
    /// The model.
    pub model: ModelName,
    /// Its version.
    pub version: u32,
}

/// Records datasets a run used. The same again changes nothing; further tags join those that are there.
///
/// # Errors
/// [`Error::TooMany`], a text that can't be used, [`Error::NoRun`], [`Error::RunDeleted`].
pub fn log_datasets(tx: &mut Tx<'_>, by: &By, run: &RunId, inputs: &[DatasetInput]) -> Result<()> {
    if inputs.len() > limits::DATASETS {
        return Err(Error::TooMany {
            what: "datasets",
            limit: limits::DATASETS,
        });
    }
    for input in inputs {
        check_input(input)?;
    }
    let run = runs::lock_active(tx, &by.project, run)?;
    write_datasets(tx, by, &run, inputs)?;
    let mut merged: BTreeMap<(String, String, String), BTreeMap<String, String>> = BTreeMap::new();
    for row in tx.query(
        "SELECT name, digest, context, tags FROM run_datasets WHERE run = ?1",
        &params![run.key],
    )? {
        let place = (row.get("name")?, row.get("digest")?, row.get("context")?);
        merged.insert(place, read_tags(&row)?);
    }
    let mut rows = Vec::with_capacity(inputs.len());
    for input in inputs {
        let dataset = &input.dataset;
        let place = (
            dataset.name.clone(),
            dataset.digest.clone(),
            input.context.clone(),
        );
        let tags = merged.entry(place).or_default();
        tags.extend(input.tags.clone());
        let text = serde_json::json!(tags).to_string();
        rows.push(params![run.key, &dataset.name, &dataset.digest, &input.context, text].to_vec());
    }
    tx.execute_many(
        "INSERT INTO run_datasets (run, name, digest, context, tags) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (run, name, digest, context) DO UPDATE SET tags = excluded.tags",
        &rows,
    )?;
    Ok(())
}

/// Records model versions a run used or made. The same again changes nothing.
///
/// # Errors
/// [`Error::NoRun`], [`Error::RunDeleted`].
pub fn log_models(tx: &mut Tx<'_>, by: &By, run: &RunId, links: &[ModelLink]) -> Result<()> {
    let run = runs::active(tx, &by.project, run)?;
    let rows: Vec<Vec<Value>> = links
        .iter()
        .map(|link| params![run.key, link.direction.as_str(), &link.model, link.version].to_vec())
        .collect();
    tx.execute_many(
        "INSERT INTO run_model_versions (run, direction, model, version) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (run, direction, model, version) DO NOTHING",
        &rows,
    )?;
    Ok(())
}

/// The runs that used a dataset of this name and digest, newest first; the deleted too.
///
/// # Errors
/// Those of the database.
pub fn runs_using(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    name: &str,
    digest: &str,
    limit: usize,
) -> Result<Vec<RunId>> {
    let rows = tx.query(
        "SELECT DISTINCT r.key, r.run_id FROM run_datasets d JOIN runs r ON r.key = d.run
         WHERE d.name = ?1 AND d.digest = ?2 AND r.project = ?3 ORDER BY r.key DESC LIMIT ?4",
        &params![name, digest, project, one_more(limit) - 1],
    )?;
    rows.iter().map(|row| Ok(row.get("run_id")?)).collect()
}

/// The runs that made or used a version of a model, newest first; the deleted too.
///
/// # Errors
/// Those of the database.
pub fn runs_of_model(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    version: u32,
    direction: Direction,
    limit: usize,
) -> Result<Vec<RunId>> {
    let rows = tx.query(
        "SELECT r.run_id FROM run_model_versions m JOIN runs r ON r.key = m.run
         WHERE m.model = ?1 AND m.version = ?2 AND m.direction = ?3 AND r.project = ?4
         ORDER BY r.key DESC LIMIT ?5",
        &params![model, version, direction.as_str(), project, one_more(limit) - 1],
    )?;
    rows.iter().map(|row| Ok(row.get("run_id")?)).collect()
}

/// Follows a registered model to its new name; for the transaction that renames it.
///
/// # Errors
/// Those of the database.
pub fn rename_model(tx: &mut Tx<'_>, project: &ProjectName, from: &ModelName, to: &ModelName) -> Result<()> {
    // A model of the new name may have been before, with links of its own.
    tx.execute(
        "INSERT INTO run_model_versions (run, direction, model, version)
         SELECT m.run, m.direction, ?2, m.version FROM run_model_versions m JOIN runs r ON r.key = m.run
         WHERE m.model = ?1 AND r.project = ?3
         ON CONFLICT (run, direction, model, version) DO NOTHING",
        &params![from, to, project],
    )?;
    tx.execute(
        "DELETE FROM run_model_versions
         WHERE model = ?1 AND run IN (SELECT key FROM runs WHERE project = ?2)",
        &params![from, project],
    )?;
    Ok(())
}

/// Rows of [`link`] follow an `IN` list of runs.
pub(crate) const LINKS_OF: &str = "SELECT run, name, digest, context, tags FROM run_datasets WHERE run IN";
pub(crate) const LINKS_ORDER: &str = "ORDER BY run, name, digest, context";
/// Rows of [`model_link`] follow an `IN` list of runs.
pub(crate) const MODELS_OF: &str =
    "SELECT run, direction, model, version FROM run_model_versions WHERE run IN";
pub(crate) const MODELS_ORDER: &str = "ORDER BY run, direction, model, version";

/// Datasets by experiment, name and digest.
pub(crate) type Datasets = HashMap<(ExperimentId, String, String), Arc<Dataset>>;

/// Every dataset that the runs in an `IN` list use, once each however many runs share it.
pub(crate) fn datasets_of(tx: &mut Tx<'_>, places: &str, runs: &[Value]) -> Result<Datasets> {
    let rows = tx.query(
        &format!(
            "SELECT experiment, name, digest, version, source_type, source, dataset_schema, profile
             FROM experiment_datasets WHERE (project, experiment, name, digest) IN (
                 SELECT r.project, r.experiment, d.name, d.digest
                 FROM run_datasets d JOIN runs r ON r.key = d.run WHERE d.run IN {places})"
        ),
        runs,
    )?;
    rows.iter()
        .map(|row| {
            let dataset = dataset(row)?;
            let experiment = ExperimentId::new(row.get::<i64>("experiment")?.to_string());
            let place = (experiment, dataset.name.clone(), dataset.digest.clone());
            Ok((place, Arc::new(dataset)))
        })
        .collect()
}

/// Reads a row of [`LINKS_OF`] of a run in `experiment`.
pub(crate) fn link(row: &Row, experiment: &ExperimentId, datasets: &Datasets) -> Result<DatasetInput> {
    let place = (experiment.clone(), row.get("name")?, row.get("digest")?);
    let dataset = datasets.get(&place).cloned().ok_or_else(|| Error::Damaged {
        what: format!("dataset \"{}\"", place.1),
        problem: "a run uses it and it is not there".to_owned(),
    })?;
    Ok(DatasetInput {
        dataset,
        context: row.get("context")?,
        tags: read_tags(row)?,
    })
}

/// Reads a row of [`MODELS_OF`].
pub(crate) fn model_link(row: &Row) -> Result<ModelLink> {
    let direction = match row.get::<String>("direction")?.as_str() {
        "input" => Direction::Input,
        "output" => Direction::Output,
        other => {
            return Err(Error::Damaged {
                what: "model link".to_owned(),
                problem: format!("\"{other}\" is not a direction"),
            });
        }
    };
    Ok(ModelLink {
        direction,
        model: row.get("model")?,
        version: row.get("version")?,
    })
}

fn dataset(row: &Row) -> Result<Dataset> {
    Ok(Dataset {
        name: row.get("name")?,
        digest: row.get("digest")?,
        version: row.get("version")?,
        source_type: row.get("source_type")?,
        source: row.get("source")?,
        schema: row.get("dataset_schema")?,
        profile: row.get("profile")?,
    })
}

fn read_tags(row: &Row) -> Result<BTreeMap<String, String>> {
    serde_json::from_str(&row.get::<String>("tags")?).map_err(|error| Error::Damaged {
        what: "tags of a dataset".to_owned(),
        problem: error.to_string(),
    })
}

fn write_datasets(tx: &mut Tx<'_>, by: &By, run: &Stored, inputs: &[DatasetInput]) -> Result<()> {
    let experiment = experiments::number(&run.info.experiment)?;
    let mut datasets: Vec<&Dataset> = inputs.iter().map(|input| &*input.dataset).collect();
    // Two runs that record the same datasets at once must take their rows in one order.
    datasets.sort_by_key(|dataset| (&dataset.name, &dataset.digest));
    let rows: Vec<Vec<Value>> = datasets
        .into_iter()
        .map(|dataset| {
            params![
                &by.project,
                experiment,
                &dataset.name,
                &dataset.digest,
                dataset.version,
                &dataset.source_type,
                &dataset.source,
                dataset.schema.as_deref(),
                dataset.profile.as_deref(),
            ]
            .to_vec()
        })
        .collect();
    tx.execute_many(
        "INSERT INTO experiment_datasets
             (project, experiment, name, digest, version, source_type, source, dataset_schema, profile)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (project, experiment, name, digest) DO UPDATE SET version = excluded.version
         WHERE experiment_datasets.version IS NULL AND excluded.version IS NOT NULL",
        &rows,
    )?;
    Ok(())
}

fn check_input(input: &DatasetInput) -> Result<()> {
    let dataset = &input.dataset;
    check_name("dataset name", &dataset.name, limits::DATASET_NAME_CHARS)?;
    check_name("dataset digest", &dataset.digest, limits::DATASET_DIGEST_CHARS)?;
    check_text(
        "dataset source type",
        &dataset.source_type,
        limits::DATASET_NAME_CHARS,
    )?;
    check_text("dataset source", &dataset.source, limits::DATASET_SOURCE_CHARS)?;
    check_text("dataset context", &input.context, limits::INPUT_TAG_CHARS)?;
    if let Some(schema) = &dataset.schema {
        check_text("dataset schema", schema, limits::DATASET_SCHEMA_CHARS)?;
    }
    if let Some(profile) = &dataset.profile {
        check_text("dataset profile", profile, limits::DATASET_PROFILE_CHARS)?;
    }
    for (key, value) in &input.tags {
        if key.is_empty() || key.chars().count() > limits::INPUT_TAG_KEY_CHARS {
            return Err(Error::InvalidKey {
                kind: KeyKind::InputTag,
                key: shown(key),
                problem: "it is empty or longer than 255 characters",
            });
        }
        check_text("input tag value", value, limits::INPUT_TAG_CHARS)?;
    }
    Ok(())
}
