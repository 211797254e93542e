//! The bytes of one record: the rows that one request asked, and what was answered.

use everloop_core::{Frame, Hash, PredictionId, Values};
use std::borrow::Cow;

/// A record longer than this is no record of ours.
pub(crate) const LONGEST: u32 = 256 << 20;
const FORMAT: u8 = 1;

/// How the version that answered was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// By its share of the traffic.
    Live,
    /// It answered a copy, unseen.
    Shadow,
    /// The caller named it.
    Pinned,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Shadow => "shadow",
            Self::Pinned => "pinned",
        }
    }
}

/// The rows of one request with their answers, on their way into the log.
#[derive(Debug, Clone)]
pub(crate) struct Record<'a> {
    pub project: &'a str,
    pub endpoint: &'a str,
    pub model: &'a str,
    pub version: u64,
    pub role: Role,
    pub event_time: i64,
    pub received_at: i64,
    pub latency_us: u32,
    pub ids: &'a [PredictionId],
    pub features: &'a Frame,
    /// One per row; empty when the model failed.
    pub scores: Vec<f64>,
    /// The predicted class per row, as text; empty for regression or failure.
    pub labels: Vec<Cow<'a, str>>,
    /// Why the model failed.
    pub error: Option<&'a str>,
}

/// A record as it is read again, where it lies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch<'a> {
    pub project: &'a str,
    pub endpoint: &'a str,
    pub model: &'a str,
    pub version: u64,
    pub role: Role,
    pub event_time: i64,
    pub received_at: i64,
    pub latency_us: u32,
    pub ids: Vec<&'a str>,
    /// The features with their names; each has a value per id.
    pub features: Vec<(&'a str, Cells<'a>)>,
    pub scores: Vec<f64>,
    pub labels: Vec<&'a str>,
    pub error: Option<&'a str>,
}

/// The values of one feature in a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cells<'a> {
    Floats(&'a [[u8; 8]]),
    /// Whether it is there, and the number.
    Ints(&'a [[u8; 9]]),
    /// 0, 1, or anything else where it is missing.
    Truths(&'a [u8]),
    Texts(Vec<Option<&'a str>>),
}

impl Cells<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Floats(cells) => cells.len(),
            Self::Ints(cells) => cells.len(),
            Self::Truths(cells) => cells.len(),
            Self::Texts(cells) => cells.len(),
        }
    }

    /// No values of the same kind.
    pub(crate) fn empty(&self) -> Values {
        match self {
            Self::Floats(_) => Values::Float(Vec::new()),
            Self::Ints(_) => Values::Int(Vec::new()),
            Self::Truths(_) => Values::Bool(Vec::new()),
            Self::Texts(_) => Values::Text(Vec::new()),
        }
    }

    /// Whether values are of this kind.
    pub(crate) fn fit(&self, values: &Values) -> bool {
        matches!(
            (self, values),
            (Self::Floats(_), Values::Float(_))
                | (Self::Ints(_), Values::Int(_))
                | (Self::Truths(_), Values::Bool(_))
                | (Self::Texts(_), Values::Text(_))
        )
    }

    /// Puts these behind `values`, which they [`fit`](Self::fit).
    pub(crate) fn append_to(&self, values: &mut Values) {
        match (self, values) {
            (Self::Floats(cells), Values::Float(numbers)) => {
                numbers.extend(cells.iter().map(|cell| f64::from_le_bytes(*cell)));
            }
            (Self::Ints(cells), Values::Int(numbers)) => numbers.extend(cells.iter().map(|cell| {
                let [is_there, number @ ..] = *cell;
                (is_there == 1).then_some(i64::from_le_bytes(number))
            })),
            (Self::Truths(cells), Values::Bool(truths)) => {
                truths.extend(cells.iter().map(|&cell| (cell < 2).then_some(cell == 1)));
            }
            (Self::Texts(cells), Values::Text(texts)) => {
                texts.extend(cells.iter().map(|cell| cell.map(ToOwned::to_owned)));
            }
            _ => debug_assert!(false, "the kinds were compared"),
        }
    }
}

impl Record<'_> {
    /// The record with its length and checksum before it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(256 + self.ids.len() * 256));
        out.0.extend_from_slice(&[0; 8]);
        out.0.push(FORMAT);
        for text in [self.project, self.endpoint, self.model] {
            out.text(text);
        }
        out.u64(self.version);
        out.0.push(match self.role {
            Role::Live => 0,
            Role::Shadow => 1,
            Role::Pinned => 2,
        });
        out.u64(self.event_time.cast_unsigned());
        out.u64(self.received_at.cast_unsigned());
        out.u32(self.latency_us);
        out.count(self.ids.len());
        for id in self.ids {
            out.text(id.as_str());
        }
        out.count(self.features.columns().len());
        for column in self.features.columns() {
            out.text(&column.name);
            out.values(&column.values);
        }
        out.count(self.scores.len());
        for score in &self.scores {
            out.u64(score.to_bits());
        }
        out.count(self.labels.len());
        for label in &self.labels {
            out.text(label);
        }
        out.optional(self.error);
        frame(out.0)
    }
}

impl<'a> Batch<'a> {
    /// Reads what [`Record::encode`] wrote, without its length and checksum; none when the bytes are not that.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        if input.take(1)? != [FORMAT] {
            return None;
        }
        let (project, endpoint, model) = (input.text()?, input.text()?, input.text()?);
        let version = input.u64()?;
        let role = match input.take(1)? {
            [0] => Role::Live,
            [1] => Role::Shadow,
            [2] => Role::Pinned,
            _ => return None,
        };
        let event_time = input.u64()?.cast_signed();
        let received_at = input.u64()?.cast_signed();
        let latency_us = input.u32()?;
        let ids = input.many(4, Reader::text)?;
        let features = input.many(5, |input| Some((input.text()?, input.cells()?)))?;
        if features.iter().any(|(_, cells)| cells.len() != ids.len()) {
            return None;
        }
        let scores = input.many(8, |input| input.u64().map(f64::from_bits))?;
        let labels = input.many(4, Reader::text)?;
        let error = input.optional()?;
        Some(Self {
            project,
            endpoint,
            model,
            version,
            role,
            event_time,
            received_at,
            latency_us,
            ids,
            features,
            scores,
            labels,
            error,
        })
    }
}

/// Fills in the length and checksum that [`Record::encode`] left room for.
fn frame(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(bytes.len() - 8).unwrap_or(u32::MAX);
    let check = checksum(&bytes[8..]);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..8].copy_from_slice(&check);
    bytes
}

pub(crate) fn checksum(payload: &[u8]) -> [u8; 4] {
    let hash = Hash::of(payload);
    let bytes = hash.as_bytes();
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn count(&mut self, value: usize) {
        self.u32(u32::try_from(value).unwrap_or(u32::MAX));
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            None => self.0.push(0),
            Some(text) => {
                self.0.push(1);
                self.text(text);
            }
        }
    }

    fn values(&mut self, values: &Values) {
        match values {
            Values::Float(numbers) => {
                self.0.push(0);
                self.count(numbers.len());
                numbers.iter().for_each(|number| self.u64(number.to_bits()));
            }
            Values::Int(numbers) => {
                self.0.push(1);
                self.count(numbers.len());
                for number in numbers {
                    self.0.push(u8::from(number.is_some()));
                    self.u64(number.unwrap_or(0).cast_unsigned());
                }
            }
            Values::Bool(truths) => {
                self.0.push(2);
                self.count(truths.len());
                truths
                    .iter()
                    .for_each(|truth| self.0.push(truth.map_or(2, u8::from)));
            }
            Values::Text(_) | Values::Category { .. } => {
                self.0.push(3);
                self.count(values.len());
                (0..values.len()).for_each(|row| self.optional(values.text(row)));
            }
        }
    }
}

/// Reads from the front; every length is checked against what is left before anything is made of it.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// A number of items of at least `least` bytes each.
    fn count(&mut self, least: usize) -> Option<usize> {
        let count = self.u32()? as usize;
        (count.checked_mul(least)? <= self.0.len()).then_some(count)
    }

    /// A number of items of at least `least` bytes each, and the items.
    fn many<T>(&mut self, least: usize, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.count(least)?;
        (0..count).map(|_| item(self)).collect()
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.u32()? as usize;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn optional(&mut self) -> Option<Option<&'a str>> {
        match self.take(1)? {
            [0] => Some(None),
            [1] => self.text().map(Some),
            _ => None,
        }
    }

    fn cells(&mut self) -> Option<Cells<'a>> {
        Some(match self.take(1)? {
            [0] => {
                let rows = self.count(8)?;
                Cells::Floats(self.take(rows * 8)?.as_chunks().0)
            }
            [1] => {
                let rows = self.count(9)?;
                Cells::Ints(self.take(rows * 9)?.as_chunks().0)
            }
            [2] => {
                let rows = self.count(1)?;
                Cells::Truths(self.take(rows)?)
            }
            [3] => Cells::Texts(self.many(1, Self::optional)?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_core::Column;
    use proptest::prelude::*;

    fn features() -> Frame {
        let column = |name: &str, values: Values| Column {
            name: name.to_owned(),
            values,
        };
        Frame::new(vec![
            column("distance", Values::Float(vec![1.5, f64::INFINITY])),
            column("hour", Values::Int(vec![Some(-7), None])),
            column("late", Values::Bool(vec![Some(true), None])),
            column("origin", Values::Text(vec![Some("EWR".to_owned()), None])),
        ])
        .unwrap()
    }

    fn encoded() -> Vec<u8> {
        Record {
            project: "p",
            endpoint: "e",
            model: "m",
            version: 3,
            role: Role::Pinned,
            event_time: -5,
            received_at: 1_364_774_400_123,
            latency_us: 12,
            ids: &[PredictionId::new("a"), PredictionId::new("b")],
            features: &features(),
            scores: vec![0.25, 0.75],
            labels: vec!["0".into(), "1".into()],
            error: None,
        }
        .encode()
    }

    #[test]
    fn records_round_trip() {
        let bytes = encoded();
        assert_eq!(bytes[4..8], checksum(&bytes[8..]));
        let read = Batch::decode(&bytes[8..]).unwrap();
        let columns = read.features.iter().map(|(name, cells)| {
            let mut values = cells.empty();
            assert!(cells.fit(&values));
            cells.append_to(&mut values);
            Column {
                name: (*name).to_owned(),
                values,
            }
        });
        assert_eq!(Frame::new(columns.collect()).unwrap(), features());
        let expected = Batch {
            project: "p",
            endpoint: "e",
            model: "m",
            version: 3,
            role: Role::Pinned,
            event_time: -5,
            received_at: 1_364_774_400_123,
            latency_us: 12,
            ids: vec!["a", "b"],
            features: read.features.clone(),
            scores: vec![0.25, 0.75],
            labels: vec!["0", "1"],
            error: None,
        };
        assert_eq!(read, expected);
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 8_usize..200, value: u8, cut in 8_usize..200) {
            let mut bytes = encoded();
            let length = bytes.len();
            bytes[at.min(length - 1)] = value;
            let _ = Batch::decode(&bytes[8..cut.min(length)]);
        }
    }
}
