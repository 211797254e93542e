//! A log in memory, judged over a real database.

use async_trait::async_trait;
use everloop_core::{Column, EndpointName, Frame, ProjectName, Timestamp, Values};
use everloop_db::Db;
use everloop_db::testing::databases;
use everloop_ledger::{Event, Filter, Seq};
use everloop_monitoring::{
    Alert, Evaluated, Monitoring, Part, Place, Reference, Result, Span, WindowResult, WindowSource, alerts,
    results,
};
use everloop_project::{Monitor, Suite};
use everloop_tables::{Source, Tables, TablesOptions, from_frame};
use serde_json::Value;
use std::sync::Mutex;

/// 2026-01-05, a Monday.
pub const START: i64 = 1_767_571_200_000;
pub const HOUR: i64 = 3_600_000;
pub const DAY: i64 = 24 * HOUR;

pub fn project() -> ProjectName {
    ProjectName::new("flights").unwrap()
}

pub fn endpoint() -> EndpointName {
    EndpointName::new("flight-delay").unwrap()
}

/// One logged prediction.
#[derive(Debug, Clone)]
pub struct Row {
    pub at: i64,
    pub id: String,
    pub delay: f64,
    pub label: f64,
}

/// The log that windows are read from.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<Row>>);

impl Log {
    pub fn add(&self, row: Row) {
        self.0.lock().unwrap().push(row);
    }

    /// `count` predictions from `at` on, one a minute, whose feature lies around `around`.
    pub fn add_many(&self, at: i64, count: usize, around: f64) {
        let first = self.0.lock().unwrap().len();
        for row in 0..count {
            self.add(Row {
                at: at + row as i64 * 60_000,
                id: format!("p{:08}", first + row),
                delay: around + (row * 37 % 101) as f64,
                label: (row % 2) as f64,
            });
        }
    }

    fn ordered(&self) -> Vec<Row> {
        let mut rows = self.0.lock().unwrap().clone();
        rows.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        rows
    }
}

fn frame(rows: &[Row]) -> Frame {
    let floats = |value: &dyn Fn(&Row) -> f64| Values::Float(rows.iter().map(value).collect());
    let column = |name: &str, values| Column {
        name: name.to_owned(),
        values,
    };
    Frame::new(vec![
        column(
            "_event_time",
            Values::Int(rows.iter().map(|row| Some(row.at)).collect()),
        ),
        column(
            "_id",
            Values::Text(rows.iter().map(|row| Some(row.id.clone())).collect()),
        ),
        column("_score", floats(&|row| 0.2 + 0.6 * row.label)),
        column("_label", floats(&|row| row.label)),
        column("delay", floats(&|row| row.delay)),
    ])
    .unwrap()
}

/// The log with what it is compared with.
pub struct Watched<'a> {
    pub log: &'a Log,
    pub reference: Reference,
}

#[async_trait]
impl WindowSource for Watched<'_> {
    async fn since(&self) -> Result<Option<Timestamp>> {
        Ok(self.log.ordered().first().map(|row| Timestamp(row.at)))
    }

    async fn next_rows(&self, after: Option<&Place>, rows: u64) -> Result<Option<(Place, Place)>> {
        let all = self.log.ordered().into_iter().map(|row| Place {
            at: Timestamp(row.at),
            id: row.id,
        });
        let next: Vec<Place> = all
            .filter(|place| after.is_none_or(|after| place > after))
            .take(rows as usize)
            .collect();
        Ok((next.len() == rows as usize).then(|| (next[0].clone(), next[next.len() - 1].clone())))
    }

    async fn rows(&self, span: Span) -> Result<Frame> {
        let within = |row: &Row| (span.start.0..span.end.0).contains(&row.at);
        let rows: Vec<Row> = self.log.ordered().into_iter().filter(within).collect();
        Ok(frame(&rows))
    }

    async fn reference(&self, _: &everloop_project::Reference) -> Result<Option<Reference>> {
        Ok(Some(self.reference.clone()))
    }
}

/// One process that watches one endpoint.
pub struct Bench {
    pub db: Db,
    pub log: Log,
    pub monitoring: Monitoring,
    reference: Reference,
}

impl Bench {
    async fn over(db: &Db) -> Self {
        let options = TablesOptions {
            threads: 1,
            ..TablesOptions::default()
        };
        let tables = Tables::new(options).unwrap();
        let training = Log::default();
        training.add_many(0, 2_000, 0.0);
        let trained = frame(&training.ordered());
        let inputs = trained
            .columns()
            .iter()
            .filter(|column| !column.name.starts_with('_'));
        let inputs = Frame::new(inputs.cloned().collect()).unwrap();
        let rows = Source::batches(vec![from_frame(&inputs).unwrap()]);
        Self {
            db: db.clone(),
            log: Log::default(),
            monitoring: Monitoring::new(db.clone(), tables.clone()),
            reference: Reference {
                words: "training".to_owned(),
                profile: tables.profile(rows).await.unwrap(),
                scores: None,
            },
        }
    }

    /// Judges as this process at `now`.
    pub async fn judge(&self, monitor: &Value, now: i64) -> Vec<WindowResult> {
        self.judge_with(monitor, None, now).await.results
    }

    pub async fn judge_with(&self, monitor: &Value, quality: Option<&Suite>, now: i64) -> Evaluated {
        let monitor: Monitor = serde_json::from_value(monitor.clone()).unwrap();
        let source = Watched {
            log: &self.log,
            reference: self.reference.clone(),
        };
        self.monitoring
            .evaluate(
                &project(),
                &endpoint(),
                &monitor,
                quality,
                &source,
                Timestamp(now),
            )
            .await
            .unwrap()
    }

    /// What was judged of a part, oldest window first.
    pub async fn judged(&self, part: Part) -> Vec<WindowResult> {
        let mut found = self
            .db
            .read(move |tx| results(tx, &project(), &endpoint(), Some(part), 1_000))
            .await
            .unwrap();
        found.reverse();
        found
    }

    pub async fn alerts(&self) -> Vec<Alert> {
        self.db.read(|tx| alerts(tx, &project(), 1_000)).await.unwrap()
    }

    pub async fn events(&self, kind: &str) -> Vec<Event> {
        let filter = Filter {
            kind: Some(kind.to_owned()),
            ..Filter::default()
        };
        self.db
            .read(move |tx| everloop_ledger::after(tx, Seq(0), 10_000, &filter))
            .await
            .unwrap()
    }
}

/// Runs a law over every database there is.
pub async fn on_each(law: impl AsyncFn(&Bench)) {
    let migrations = [everloop_ledger::MIGRATIONS, everloop_monitoring::MIGRATIONS].concat();
    for db in databases(&migrations).await {
        law(&Bench::over(&db.db).await).await;
    }
}
