//! Bounds the records of text files before a parser sees them.
//!
//! The CSV and JSON readers keep one record and one batch of records in memory. A quote that is never closed, or a
//! line of a gigabyte, would make that "one" as large as the file. [`RecordGuard`] sits between store and reader,
//! follows the same grammar, and ends the stream with [`RecordLimit`] instead.

use crate::error::Error;
use crate::source::Format;
use async_trait::async_trait;
use bytes::Bytes;
use everloop_core::ByteSize;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A reader collects this many records into one batch.
const BATCH_RECORDS: u64 = 8_192;

/// A batch of records may be this many times as long as the longest record.
const BATCH_FACTOR: u64 = 16;

/// A record, or a batch of them, is longer than the limit.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a record of \"{path}\" that starts at byte {start} is longer than {limit}")]
pub(crate) struct RecordLimit {
    path: String,
    start: u64,
    limit: ByteSize,
}

impl RecordLimit {
    pub(crate) fn to_error(&self) -> Error {
        Error::RecordTooLong {
            place: format!("\"{}\", byte {}", self.path, self.start),
            limit: self.limit,
        }
    }
}

/// The grammar of a text file, as far as the ends of records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    /// Records end at line breaks outside quotes.
    Csv {
        /// The sign between values.
        delimiter: u8,
    },
    /// Records end at line breaks.
    Lines,
}

impl Text {
    /// The grammar of files read as `format`, when it is a text format.
    pub(crate) fn of(format: &Format) -> Option<Self> {
        match format {
            Format::Csv(csv) => Some(Self::Csv {
                delimiter: csv.delimiter,
            }),
            Format::JsonLines => Some(Self::Lines),
            Format::Parquet | Format::Arrow => None,
        }
    }
}

/// Which paths of all stores are text, when their extension does not say so, and how many sessions read them.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextPaths(Arc<RwLock<HashMap<String, (Text, usize)>>>);

impl TextPaths {
    fn get(&self, path: &str) -> Option<Text> {
        self.0.read().get(path).map(|(text, _)| *text)
    }
}

/// The paths that one session made known; they are forgotten with it.
#[derive(Debug)]
pub(crate) struct SessionPaths {
    all: TextPaths,
    mine: Mutex<Vec<String>>,
}

impl SessionPaths {
    pub(crate) fn new(all: TextPaths) -> Self {
        Self {
            all,
            mine: Mutex::default(),
        }
    }

    /// Makes known that the file at `path` is read as `format`.
    pub(crate) fn add(&self, path: &str, format: &Format) {
        let by_name = Format::of_name(path).as_ref().and_then(Text::of);
        let Some(text) = Text::of(format).filter(|text| Some(*text) != by_name) else {
            return;
        };
        let mut all = self.all.0.write();
        let entry = all.entry(path.to_owned()).or_insert((text, 0));
        *entry = (text, entry.1 + 1);
        self.mine.lock().push(path.to_owned());
    }
}

impl Drop for SessionPaths {
    fn drop(&mut self) {
        let mut all = self.all.0.write();
        for path in self.mine.get_mut().drain(..) {
            if let Some((_, readers)) = all.get_mut(&path) {
                *readers -= 1;
                if *readers == 0 {
                    all.remove(&path);
                }
            }
        }
    }
}

/// A store whose text files have bounded records.
#[derive(Debug)]
pub(crate) struct RecordGuard {
    inner: Arc<dyn ObjectStore>,
    limit: ByteSize,
    paths: TextPaths,
}

impl RecordGuard {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, limit: ByteSize, paths: TextPaths) -> Self {
        Self { inner, limit, paths }
    }

    fn text(&self, location: &Path) -> Option<Text> {
        if let Some(text) = self.paths.get(location.as_ref()) {
            return Some(text);
        }
        Text::of(&Format::of_name(location.filename()?)?)
    }
}

impl fmt::Display for RecordGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for RecordGuard {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let result = self.inner.get_opts(location, options).await?;
        let Some(text) = self.text(location) else {
            return Ok(result);
        };
        let meta = result.meta.clone();
        let range = result.range.clone();
        let attributes = result.attributes.clone();
        let mut records = Records::new(text, location.to_string(), range.start, self.limit);
        let stream = result
            .into_stream()
            .map(move |chunk| {
                let chunk = chunk?;
                records.check(&chunk)?;
                Ok(chunk)
            })
            .boxed();
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream),
            meta,
            range,
            attributes,
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// Where the reader stands inside a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    ValueStart,
    Value,
    Quoted,
    /// Behind a quote inside a quoted value: its end, or the first of two.
    QuoteInQuoted,
}

/// Follows the records of one stream.
#[derive(Debug)]
struct Records {
    text: Text,
    path: String,
    limit: ByteSize,
    at: At,
    /// Byte of the file that comes next.
    position: u64,
    record_start: u64,
    batch_start: u64,
    records: u64,
}

impl Records {
    fn new(text: Text, path: String, start: u64, limit: ByteSize) -> Self {
        Self {
            text,
            path,
            limit,
            at: At::ValueStart,
            position: start,
            record_start: start,
            batch_start: start,
            records: 0,
        }
    }

    fn check(&mut self, chunk: &[u8]) -> Result<()> {
        match self.text {
            Text::Lines => self.follow_lines(chunk)?,
            Text::Csv { delimiter } => self.follow_csv(chunk, delimiter)?,
        }
        self.check_record()
    }

    fn follow_lines(&mut self, chunk: &[u8]) -> Result<()> {
        let start = self.position;
        for (index, &byte) in chunk.iter().enumerate() {
            if byte == b'\n' {
                self.position = start + index as u64 + 1;
                self.end_record()?;
            }
        }
        self.position = start + chunk.len() as u64;
        Ok(())
    }

    fn follow_csv(&mut self, chunk: &[u8], delimiter: u8) -> Result<()> {
        let start = self.position;
        for (index, &byte) in chunk.iter().enumerate() {
            self.at = match (self.at, byte) {
                (At::Quoted, b'"') => At::QuoteInQuoted,
                (At::Quoted, _) => At::Quoted,
                (At::QuoteInQuoted | At::ValueStart, b'"') => At::Quoted,
                (_, b'\n' | b'\r') => {
                    self.position = start + index as u64 + 1;
                    self.end_record()?;
                    At::ValueStart
                }
                (_, byte) if byte == delimiter => At::ValueStart,
                (_, _) => At::Value,
            };
        }
        self.position = start + chunk.len() as u64;
        Ok(())
    }

    fn end_record(&mut self) -> Result<()> {
        self.check_record()?;
        self.record_start = self.position;
        self.records += 1;
        if self.records.is_multiple_of(BATCH_RECORDS) {
            self.batch_start = self.position;
        }
        Ok(())
    }

    fn check_record(&self) -> Result<()> {
        let record = self.position - self.record_start;
        let batch = self.position - self.batch_start;
        if record <= self.limit.0 && batch <= self.limit.0.saturating_mul(BATCH_FACTOR) {
            return Ok(());
        }
        Err(object_store::Error::Generic {
            store: "text file",
            source: Box::new(RecordLimit {
                path: self.path.clone(),
                start: self.record_start,
                limit: self.limit,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: Text, chunks: &[&str]) -> Result<()> {
        let mut records = Records::new(text, "x".to_owned(), 0, ByteSize(16));
        chunks
            .iter()
            .try_for_each(|chunk| records.check(chunk.as_bytes()))
    }

    const CSV: Text = Text::Csv { delimiter: b',' };

    #[test]
    fn short_records_pass_however_they_are_cut() {
        assert!(
            check(
                CSV,
                &[
                    "a,b\n1,",
                    "\"x\ny\"\n",
                    "2,\"x\"\"",
                    "y\"\r\n",
                    "3,5\" pipe\n4,5\n"
                ]
            )
            .is_ok()
        );
        assert!(check(Text::Lines, &["{\"a\":1}\n{\"a", "\":2}\n"]).is_ok());
    }

    #[test]
    fn an_unclosed_quote_is_one_long_record() {
        assert!(check(CSV, &["a,b\n1,\"x\n", "2,y\n3,z\n", "4,5\n5,6\n"]).is_err());
    }

    #[test]
    fn a_quote_inside_a_plain_value_opens_nothing() {
        let rows = "5\" pipe,1\n".repeat(10);
        assert!(check(CSV, &[&rows]).is_ok());
    }

    #[test]
    fn paths_are_forgotten_with_the_last_session_that_reads_them() {
        let all = TextPaths::default();
        let semicolons = Format::Csv(crate::CsvFormat {
            delimiter: b';',
            ..crate::CsvFormat::default()
        });
        let (a, b) = (SessionPaths::new(all.clone()), SessionPaths::new(all.clone()));
        a.add("x.csv", &semicolons);
        b.add("x.csv", &semicolons);
        b.add("plain.csv", &Format::Csv(crate::CsvFormat::default()));
        drop(a);
        assert_eq!(all.get("x.csv"), Some(Text::Csv { delimiter: b';' }));
        drop(b);
        assert!(all.0.read().is_empty());
    }

    #[test]
    fn a_long_line_is_refused_before_it_ends() {
        assert!(check(Text::Lines, &["0123456789", "0123456789"]).is_err());
        assert!(check(CSV, &["0123456789012345\n"]).is_err());
    }
}
