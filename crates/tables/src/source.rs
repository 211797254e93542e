//! Where the rows of a table come from, and how its files are read.

use datafusion::arrow::record_batch::RecordBatch;
use everloop_core::Hash;

/// The rows of one table.
#[derive(Debug, Clone)]
pub enum Source {
    /// Files by path, folder, glob or URL. See [`Source::paths`].
    Paths {
        /// Paths, folders, globs (`data/**/*.parquet`) or URLs of stores made known by
        /// [`Tables::add_store`](crate::Tables::add_store).
        paths: Vec<String>,
        /// The files' format; told by their extension when `None`.
        format: Option<Format>,
    },
    /// Files kept as content-addressed objects of [`Tables::with_objects`](crate::Tables::with_objects), read in the
    /// order given.
    Objects {
        /// The files.
        files: Vec<ObjectFile>,
        /// The files' format; told by the extension of their names when `None`.
        format: Option<Format>,
    },
    /// Rows in memory. All batches have the schema of the first.
    Batches(Vec<RecordBatch>),
}

impl Source {
    /// Files by path, folder, glob or URL, each read as its extension says. A folder stands for every data file
    /// below it. Files are read in byte order of their full paths, each once.
    pub fn paths<P: Into<String>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self::Paths {
            paths: paths.into_iter().map(Into::into).collect(),
            format: None,
        }
    }

    /// Objects, each read as the extension of its name says.
    #[must_use]
    pub fn objects(files: Vec<ObjectFile>) -> Self {
        Self::Objects { files, format: None }
    }

    /// Rows in memory.
    #[must_use]
    pub fn batches(batches: Vec<RecordBatch>) -> Self {
        Self::Batches(batches)
    }

    /// The same files, read as `given`. Rows in memory have no format and stay as they are.
    #[must_use]
    pub fn with_format(mut self, given: Format) -> Self {
        match &mut self {
            Self::Paths { format, .. } | Self::Objects { format, .. } => *format = Some(given),
            Self::Batches(_) => {}
        }
        self
    }
}

/// A file kept as an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFile {
    /// Its content.
    pub hash: Hash,
    /// Its name, such as `part-0.parquet`; the extension tells the format.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
}

/// How the files of a source are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Values separated by commas or another sign.
    Csv(CsvFormat),
    /// One JSON object per line.
    JsonLines,
    /// Arrow IPC files (Feather version 2), not streams.
    Arrow,
}

/// How a CSV file is read. Quotes are `"`, doubled inside a quoted value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFormat {
    /// Whether the first record holds the column names. Without it they are `column_1`, `column_2`, ...
    pub header: bool,
    /// The sign between values.
    pub delimiter: u8,
    /// Texts that stand for a missing value, beside the empty text.
    pub nulls: Vec<String>,
    /// Records read to find out the types of the columns.
    pub infer_rows: usize,
}

impl Default for CsvFormat {
    /// A header, commas, only the empty text is missing, types from the first 1000 records.
    fn default() -> Self {
        Self {
            header: true,
            delimiter: b',',
            nulls: Vec::new(),
            infer_rows: 1_000,
        }
    }
}

impl Format {
    /// The format that a file's extension stands for: `parquet`, `pq`; `csv`, `tsv`; `jsonl`, `ndjson`, `json` (one
    /// object per line); `arrow`, `feather`, `ipc`.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" => Some(Self::Csv(CsvFormat::default())),
            "tsv" => Some(Self::Csv(CsvFormat {
                delimiter: b'\t',
                ..CsvFormat::default()
            })),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            "arrow" | "feather" | "ipc" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// The format's name, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::Csv(_) => "CSV",
            Self::JsonLines => "JSON lines",
            Self::Arrow => "Arrow IPC",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_tell_the_format() {
        assert_eq!(Format::of_name("a/b.PARQUET"), Some(Format::Parquet));
        assert_eq!(Format::of_name("x.ndjson"), Some(Format::JsonLines));
        let Some(Format::Csv(tsv)) = Format::of_name("x.tsv") else {
            panic!("tsv is read as CSV")
        };
        assert_eq!(tsv.delimiter, b'\t');
        assert_eq!(Format::of_name("README"), None);
        assert_eq!(Format::of_name("x.csv.gz"), None);
    }
}
