//! The bytes of one record: the rows that one request asked, and what was answered.

use everloop_core::{Column, Frame, Hash, PredictionId, Values};

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

/// The rows of one request with their answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch {
    pub project: String,
    pub endpoint: String,
    pub model: String,
    pub version: u64,
    pub role: Role,
    pub event_time: i64,
    pub received_at: i64,
    pub latency_us: u32,
    pub ids: Vec<PredictionId>,
    pub features: Frame,
    /// One per row; empty when the model failed.
    pub scores: Vec<f64>,
    /// The predicted class per row, as text; empty for regression or failure.
    pub labels: Vec<String>,
    /// Why the model failed.
    pub error: Option<String>,
}

impl Batch {
    /// The record with its length and checksum before it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(256 + self.ids.len() * 256));
        out.0.extend_from_slice(&[0; 8]);
        out.0.push(FORMAT);
        for text in [&self.project, &self.endpoint, &self.model] {
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
        for id in &self.ids {
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
        out.optional(self.error.as_deref());
        frame(out.0)
    }

    /// Reads what [`encode`](Self::encode) wrote, without its length and checksum; none when the bytes are not that.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
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
        let rows = input.count(4)?;
        let ids = (0..rows)
            .map(|_| input.text().map(PredictionId::new))
            .collect::<Option<Vec<_>>>()?;
        let width = input.count(5)?;
        let columns = (0..width)
            .map(|_| {
                Some(Column {
                    name: input.text()?,
                    values: input.values()?,
                })
            })
            .collect::<Option<Vec<_>>>()?;
        let scores = (0..input.count(8)?)
            .map(|_| input.u64().map(f64::from_bits))
            .collect::<Option<_>>()?;
        let labels = (0..input.count(4)?)
            .map(|_| input.text())
            .collect::<Option<_>>()?;
        let error = input.optional()?;
        let features = Frame::new(columns).ok()?;
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

/// Fills in the length and checksum that [`Batch::encode`] left room for.
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

    fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        Some(std::str::from_utf8(self.take(length)?).ok()?.to_owned())
    }

    fn optional(&mut self) -> Option<Option<String>> {
        match self.take(1)? {
            [0] => Some(None),
            [1] => self.text().map(Some),
            _ => None,
        }
    }

    fn values(&mut self) -> Option<Values> {
        let kind = self.take(1)?[0];
        match kind {
            0 => {
                let rows = self.count(8)?;
                (0..rows)
                    .map(|_| self.u64().map(f64::from_bits))
                    .collect::<Option<_>>()
                    .map(Values::Float)
            }
            1 => {
                let rows = self.count(9)?;
                let number = |reader: &mut Self| {
                    let is_there = reader.take(1)? == [1];
                    let value = reader.u64()?.cast_signed();
                    Some(is_there.then_some(value))
                };
                (0..rows)
                    .map(|_| number(self))
                    .collect::<Option<_>>()
                    .map(Values::Int)
            }
            2 => {
                let rows = self.count(1)?;
                let bytes = self.take(rows)?;
                Some(Values::Bool(
                    bytes
                        .iter()
                        .map(|&byte| (byte < 2).then_some(byte == 1))
                        .collect(),
                ))
            }
            3 => {
                let rows = self.count(1)?;
                (0..rows)
                    .map(|_| self.optional())
                    .collect::<Option<_>>()
                    .map(Values::Text)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batch() -> Batch {
        let column = |name: &str, values: Values| Column {
            name: name.to_owned(),
            values,
        };
        let features = Frame::new(vec![
            column("distance", Values::Float(vec![1.5, f64::INFINITY])),
            column("hour", Values::Int(vec![Some(-7), None])),
            column("late", Values::Bool(vec![Some(true), None])),
            column("origin", Values::Text(vec![Some("EWR".to_owned()), None])),
        ])
        .unwrap();
        Batch {
            project: "p".to_owned(),
            endpoint: "e".to_owned(),
            model: "m".to_owned(),
            version: 3,
            role: Role::Pinned,
            event_time: -5,
            received_at: 1_364_774_400_123,
            latency_us: 12,
            ids: vec![PredictionId::new("a"), PredictionId::new("b")],
            features,
            scores: vec![0.25, 0.75],
            labels: vec!["0".to_owned(), "1".to_owned()],
            error: None,
        }
    }

    #[test]
    fn records_round_trip() {
        let bytes = batch().encode();
        assert_eq!(Batch::decode(&bytes[8..]).unwrap(), batch());
        assert_eq!(bytes[4..8], checksum(&bytes[8..]));
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 8_usize..200, value: u8, cut in 8_usize..200) {
            let mut bytes = batch().encode();
            let length = bytes.len();
            bytes[at.min(length - 1)] = value;
            let _ = Batch::decode(&bytes[8..cut.min(length)]);
        }
    }
}
