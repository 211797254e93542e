//! What stages do: commands of the user's own, and the kinds built in.

mod cmd;
mod evaluate;
mod sql;
mod train;

use std::collections::BTreeMap;
use std::path::PathBuf;

use everloop_core::{DatasetName, Frame};
use everloop_datasets::Version;
use everloop_project::{Dataset, Format, Source as Read, Stage};
use everloop_tables::{CsvFormat, Session, Source};
use serde_json::Value;

use crate::Failure;
use crate::attempt::Attempt;
use crate::logs::LogFile;
use crate::metrics::Point;

pub(crate) use cmd::run as run_cmd;

/// What a built-in stage has to say of itself beside its outs.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub metrics: Vec<Point>,
    /// Small documents for the tracked run, by artifact path.
    pub documents: Vec<(String, Vec<u8>)>,
}

/// A stage at work, seen by its action.
pub(crate) struct Work<'a> {
    pub attempt: &'a Attempt,
    pub stage: &'a Stage,
    pub params: &'a BTreeMap<String, Value>,
    /// The versions of the datasets it reads.
    pub versions: &'a BTreeMap<DatasetName, Version>,
}

impl Work<'_> {
    /// Runs a built-in kind.
    pub async fn built_in(&self, log: &mut LogFile) -> Result<Told, Failure> {
        use everloop_project::Action;
        match &self.stage.action {
            Action::Cmd { .. } => Ok(Told::default()),
            Action::Sql(query) => sql::run(self, query, log).await,
            Action::Train { train } => train::run(self, train, log).await,
            Action::Evaluate { evaluate } => evaluate::run(self, evaluate, log).await,
        }
    }

    /// The rows of what the stage reads: of a dataset those of its version, whatever happens to its files meanwhile.
    async fn source(&self, read: &Read) -> Result<Source, Failure> {
        match read {
            Read::Dataset(name) => {
                let version = self
                    .versions
                    .get(name)
                    .ok_or_else(|| Failure::NoDataset(name.to_string()))?;
                let manifest = self.attempt.pipelines.datasets.manifest(version).await?;
                let dataset = self.attempt.decider.project.datasets.get(name);
                let format = dataset.and_then(|dataset: &Dataset| dataset.format);
                Ok(match format {
                    Some(format) => manifest.source().with_format(table_format(format)),
                    None => manifest.source(),
                })
            }
            Read::Path(path) => {
                let path = path.from_wdir(self.stage.wdir.as_ref());
                let text = match path.reach() {
                    everloop_project::Reach::Remote => path.to_string(),
                    _ => self.path(path.as_str()).to_string_lossy().into_owned(),
                };
                Ok(Source::paths([text]))
            }
        }
    }

    /// The names of the columns of what the stage reads.
    async fn columns(&self, read: &Read) -> Result<Vec<String>, Failure> {
        let source = self.source(read).await?;
        let schema = self.attempt.pipelines.tables.schema(source).await?;
        Ok(schema.fields().iter().map(|field| field.name().clone()).collect())
    }

    /// Some columns of what the stage reads, in memory; all when `keep` keeps all.
    async fn frame(&self, read: &Read, keep: impl Fn(&str) -> bool) -> Result<Frame, Failure> {
        const ROWS: &str = "rows";
        let session: Session = self.attempt.pipelines.tables.session().await?;
        session.add(ROWS, self.source(read).await?).await?;
        let schema = session.schema(ROWS).await?;
        let columns: Vec<String> = schema
            .fields()
            .iter()
            .filter(|field| keep(field.name()))
            .map(|field| format!("\"{}\"", field.name().replace('"', "\"\"")))
            .collect();
        if columns.is_empty() {
            return Err(Failure::Rows(format!(
                "\"{read}\" has none of the columns that are read"
            )));
        }
        let query = format!("SELECT {} FROM {ROWS}", columns.join(", "));
        let answer = session.sql(&query).await?;
        Ok(answer.to_frame()?)
    }

    /// Where a path, seen from the project's folder, lies on this machine.
    fn path(&self, path: &str) -> PathBuf {
        self.attempt.decider.files.absolute(path)
    }

    /// The path of the stage's out or metrics file number `index`.
    fn out(&self, index: usize) -> Option<PathBuf> {
        let written = self.stage.writes().nth(index)?;
        Some(self.path(written.path.as_str()))
    }
}

fn table_format(format: Format) -> everloop_tables::Format {
    match format {
        Format::Parquet => everloop_tables::Format::Parquet,
        Format::Csv => everloop_tables::Format::Csv(CsvFormat::default()),
        Format::Jsonl => everloop_tables::Format::JsonLines,
        Format::Arrow => everloop_tables::Format::Arrow,
    }
}

/// Writes a line of a built-in stage to its log.
fn say(log: &mut LogFile, line: &str) -> Result<(), Failure> {
    log.write(format!("{line}\n").as_bytes())
        .map_err(|source| Failure::Io {
            action: "keep the output in",
            path: "the stage's log".into(),
            source,
        })
}

/// Writes figures as JSON, by name.
fn write_metrics(path: &std::path::Path, figures: &BTreeMap<String, f64>) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(figures).expect("figures are finite numbers by name");
    text.push('\n');
    std::fs::write(path, text).map_err(|source| crate::files::io("write", path, source))
}
