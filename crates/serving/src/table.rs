//! Rows of the log on their way to Parquet: the records of one endpoint with the same features, column by column.

use everloop_core::{Column, Frame, Values};
use std::ops::RangeInclusive;

use crate::read::columns;
use crate::wal::{Batch, Cells};

/// Rows that fit one table, whose features have the same names and kinds.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) project: String,
    pub(crate) endpoint: String,
    ids: Vec<Option<String>>,
    models: Vec<Option<String>>,
    versions: Vec<Option<i64>>,
    roles: Vec<Option<String>>,
    event_times: Vec<Option<i64>>,
    received_at: Vec<Option<i64>>,
    latencies_us: Vec<Option<i64>>,
    scores: Vec<f64>,
    labels: Vec<Option<String>>,
    errors: Vec<Option<String>>,
    features: Vec<Column>,
}

/// The rows of `batches` as tables. The same batches give the same tables in the same order: a segment that is stored
/// twice is stored under the same names.
pub(crate) fn tables<'a>(batches: impl Iterator<Item = Batch<'a>>) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut last = 0;
    for mut batch in batches {
        // What was logged before such inputs were refused must not keep the rest of its segment from being stored.
        batch.features.retain(|(name, _)| !columns::is_own(name));
        // Nearly always the one that the batch before went to.
        let fits = |table: &Table| table.fits(&batch);
        let found = tables.get(last).is_some_and(fits).then_some(last);
        match found.or_else(|| tables.iter().position(fits)) {
            Some(found) => {
                last = found;
                tables[found].push(&batch);
            }
            None => {
                last = tables.len();
                tables.push(Table::of(&batch));
            }
        }
    }
    tables
}

impl Table {
    /// The rows of one batch.
    pub(crate) fn of(batch: &Batch<'_>) -> Self {
        let mut table = Self::like(batch);
        table.push(batch);
        table
    }

    /// No rows, in the columns of `batch`.
    fn like(batch: &Batch<'_>) -> Self {
        let feature = |(name, cells): &(&str, Cells<'_>)| Column {
            name: (*name).to_owned(),
            values: cells.empty(),
        };
        Self {
            project: batch.project.to_owned(),
            endpoint: batch.endpoint.to_owned(),
            ids: Vec::new(),
            models: Vec::new(),
            versions: Vec::new(),
            roles: Vec::new(),
            event_times: Vec::new(),
            received_at: Vec::new(),
            latencies_us: Vec::new(),
            scores: Vec::new(),
            labels: Vec::new(),
            errors: Vec::new(),
            features: batch.features.iter().map(feature).collect(),
        }
    }

    fn fits(&self, batch: &Batch<'_>) -> bool {
        let same = |(column, (name, cells)): (&Column, &(&str, Cells<'_>))| {
            column.name == *name && cells.fit(&column.values)
        };
        self.project == batch.project
            && self.endpoint == batch.endpoint
            && self.features.len() == batch.features.len()
            && self.features.iter().zip(&batch.features).all(same)
    }

    fn push(&mut self, batch: &Batch<'_>) {
        let rows = batch.ids.len();
        let text = |text: &str| Some(text.to_owned());
        let number = |number: i64| std::iter::repeat_n(Some(number), rows);
        self.ids.extend(batch.ids.iter().map(|id| text(id)));
        self.models.extend((0..rows).map(|_| text(batch.model)));
        self.versions.extend(number(batch.version.cast_signed()));
        self.roles.extend((0..rows).map(|_| text(batch.role.as_str())));
        self.event_times.extend(number(batch.event_time));
        self.received_at.extend(number(batch.received_at));
        self.latencies_us.extend(number(i64::from(batch.latency_us)));
        // Where the model failed there is an error in place of these.
        let score = |row: usize| batch.scores.get(row).copied().unwrap_or(f64::NAN);
        self.scores.extend((0..rows).map(score));
        let label = |row: usize| batch.labels.get(row).and_then(|label| text(label));
        self.labels.extend((0..rows).map(label));
        self.errors.extend((0..rows).map(|_| batch.error.and_then(text)));
        for (column, (_, cells)) in self.features.iter_mut().zip(&batch.features) {
            cells.append_to(&mut column.values);
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.ids.len()
    }

    /// The first and last event time.
    pub(crate) fn event_times(&self) -> RangeInclusive<i64> {
        let times = || self.event_times.iter().flatten().copied();
        times().min().unwrap_or(0)..=times().max().unwrap_or(0)
    }

    /// The first and last id, as texts sort.
    pub(crate) fn ids(&self) -> RangeInclusive<&str> {
        let ids = || self.ids.iter().flatten().map(String::as_str);
        ids().min().unwrap_or_default()..=ids().max().unwrap_or_default()
    }

    /// The rows as one table: ours first (their names start with `_`), then the features.
    pub(crate) fn into_frame(self) -> Frame {
        let ours = [
            (columns::ID, Values::Text(self.ids)),
            (columns::MODEL, Values::Text(self.models)),
            (columns::VERSION, Values::Int(self.versions)),
            (columns::ROLE, Values::Text(self.roles)),
            (columns::EVENT_TIME, Values::Int(self.event_times)),
            (columns::RECEIVED_AT, Values::Int(self.received_at)),
            (columns::LATENCY_US, Values::Int(self.latencies_us)),
            (columns::SCORE, Values::Float(self.scores)),
            (columns::PREDICTION, Values::Text(self.labels)),
            (columns::ERROR, Values::Text(self.errors)),
        ];
        let ours = ours.into_iter().map(|(name, values)| Column {
            name: name.to_owned(),
            values,
        });
        let all = ours.chain(self.features).collect();
        Frame::new(all).expect("every batch brought a value per column and row")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::Role;

    fn batch<'a>(endpoint: &'a str, ids: Vec<&'a str>, features: Vec<(&'a str, Cells<'a>)>) -> Batch<'a> {
        Batch {
            project: "p",
            endpoint,
            model: "m",
            version: 2,
            role: Role::Live,
            event_time: 5,
            received_at: 6,
            latency_us: 7,
            scores: vec![0.5; ids.len()],
            labels: vec!["yes"; ids.len()],
            ids,
            features,
            error: None,
        }
    }

    #[test]
    fn rows_of_the_same_columns_share_a_table() {
        let truths = |cells| vec![("a", Cells::Truths(cells))];
        let texts = || vec![("a", Cells::Texts(vec![None]))];
        let made = tables(
            [
                batch("e", vec!["1", "2"], truths(&[1, 2])),
                batch("e", vec!["3"], texts()),
                batch("f", vec!["4"], truths(&[0])),
                batch("e", vec!["5"], truths(&[0])),
            ]
            .into_iter(),
        );
        let rows: Vec<(&str, usize)> = made
            .iter()
            .map(|table| (table.endpoint.as_str(), table.rows()))
            .collect();
        assert_eq!(rows, [("e", 3), ("e", 1), ("f", 1)]);
        assert_eq!(made[0].ids(), "1"..="5");
        let frame = made.into_iter().next().unwrap().into_frame();
        assert_eq!(
            frame.get("a"),
            Some(&Values::Bool(vec![Some(true), None, Some(false)]))
        );
        assert_eq!(frame.get(columns::SCORE), Some(&Values::Float(vec![0.5; 3])));
    }

    #[test]
    fn an_input_called_like_a_column_of_ours_is_left_out() {
        let features = vec![("_id", Cells::Texts(vec![Some("x")])), ("a", Cells::Truths(&[1]))];
        let frame = tables([batch("e", vec!["1"], features)].into_iter())
            .remove(0)
            .into_frame();
        let names: Vec<&str> = frame
            .columns()
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(names.iter().filter(|name| **name == columns::ID).count(), 1);
        assert!(names.contains(&"a"));
    }

    #[test]
    fn a_failure_keeps_its_rows_and_its_reason() {
        let failed = Batch {
            scores: Vec::new(),
            labels: Vec::new(),
            error: Some("broke"),
            ..batch("e", vec!["1", "2"], Vec::new())
        };
        let frame = tables([failed].into_iter()).remove(0).into_frame();
        assert!(frame.get(columns::SCORE).unwrap().is_missing(1));
        assert!(frame.get(columns::PREDICTION).unwrap().is_missing(0));
        assert_eq!(frame.get(columns::ERROR).unwrap().text(1), Some("broke"));
    }
}
