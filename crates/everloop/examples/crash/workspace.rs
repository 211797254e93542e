//! The project that the server serves: small, of real flights, with a stage whose effect lies outside.

use anyhow::Context;
use everloop_core::{Frame, Values};
use everloop_tables::{Source, Tables, TablesOptions};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Versions of the data that take turns.
pub const SLICES: usize = 6;
/// Flights in each.
const ROWS: usize = 1_200;

pub const MODEL: &str = "flight-delay";
pub const ENDPOINT: &str = "flight-delay";

/// The folders of a run.
#[derive(Debug, Clone)]
pub struct Workspace {
    pub root: PathBuf,
    pub home: PathBuf,
    /// Slices that wait for their turn.
    spare: PathBuf,
    /// Where the stage called `effect` leaves a line for each time it ran.
    pub effects: PathBuf,
    /// Rows to ask about.
    pub flights: Vec<Map<String, Value>>,
}

impl Workspace {
    /// Makes the project below `folder`, with its home in `home`.
    pub async fn make(folder: &Path, home: &Path, flights: &Path) -> anyhow::Result<Self> {
        let made = Self {
            root: folder.join("project"),
            home: home.to_owned(),
            spare: folder.join("spare"),
            effects: folder.join("effects.log"),
            flights: Vec::new(),
        };
        for path in [&made.root.join("data"), &made.spare, &made.home] {
            std::fs::create_dir_all(path)?;
        }
        std::fs::write(&made.effects, "")?;
        let yaml = PROJECT.replace("EFFECTS", &made.effects.display().to_string());
        std::fs::write(made.root.join("everloop.yaml"), yaml)?;
        let tables = Tables::new(TablesOptions::default())?;
        let session = tables.session().await?;
        session
            .add("flights", Source::paths([flights.to_string_lossy()]))
            .await?;
        for slice in 0..SLICES {
            let sql = format!(
                "SELECT flight_id, departed_at, y, hour, minute, distance, temp, carrier, origin FROM flights \
                 ORDER BY flight_id LIMIT {ROWS} OFFSET {}",
                slice * ROWS
            );
            session.write_parquet(&sql, &made.slice(slice)).await?;
        }
        let sql = "SELECT hour, distance, temp, carrier, origin FROM flights ORDER BY flight_id LIMIT 500";
        let flights = records(&session.sql(sql).await?.to_frame()?);
        made.put_slice(0)?;
        Ok(Self { flights, ..made })
    }

    fn slice(&self, slice: usize) -> PathBuf {
        self.spare.join(format!("{slice}.parquet"))
    }

    /// Puts a slice in the place of the one that lies there: whole or not at all.
    pub fn put_slice(&self, slice: usize) -> anyhow::Result<()> {
        let part = self.root.join("arriving.part");
        std::fs::copy(self.slice(slice), &part).context("copying a slice")?;
        Ok(std::fs::rename(part, self.root.join("data/flights.parquet"))?)
    }
}

fn records(frame: &Frame) -> Vec<Map<String, Value>> {
    let cell = |values: &Values, row: usize| match values {
        Values::Int(numbers) => Value::from(numbers[row]),
        Values::Float(numbers) => Value::from(numbers[row]),
        Values::Bool(truths) => Value::from(truths[row]),
        texts => Value::from(texts.text(row)),
    };
    (0..frame.rows())
        .map(|row| {
            let fields = frame.columns().iter();
            fields
                .map(|column| (column.name.clone(), cell(&column.values, row)))
                .collect()
        })
        .collect()
}

const PROJECT: &str = "\
project: crash
datasets:
  flights: { path: data/*.parquet, time: departed_at, watch: true }
stages:
  prepare:
    sql: SELECT y, hour, distance, temp, carrier, origin FROM flights WHERE minute % 3 <> 0
    from: [flights]
    outs: [build/train.parquet]
  holdout:
    sql: SELECT y, hour, distance, temp, carrier, origin FROM flights WHERE minute % 3 = 0
    from: [flights]
    outs: [build/holdout.parquet]
  train:
    train: { data: build/train.parquet, target: y, task: classification, iterations: 5, seed: 7 }
    outs: [build/model]
  evaluate:
    evaluate: { model: build/model, data: build/holdout.parquet, target: y, metrics: [auc, log_loss] }
    metrics: [build/metrics.json]
  effect:
    cmd: >-
      echo \"$EVERLOOP_RUN $EVERLOOP_STAGE $MLFLOW_RUN_ID\" >> EFFECTS; sleep 0.1;
      cat build/metrics.json > build/effect.txt; sleep 0.1; echo done >> build/effect.txt
    deps: [build/metrics.json]
    outs: [build/effect.txt]
    always_changed: true
model:
  name: flight-delay
  from: build/model
  task: classification
  test: build/holdout.parquet
  target: y
  gates:
    - metric: auc >= 0.3
serve:
  endpoint: flight-delay
  rollout: { kind: canary, steps: [50, 100], each: 1s, min_samples: 1 }
";
