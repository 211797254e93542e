//! Writes Parquet files whose bytes depend on nothing but the rows and their order.

use crate::error::{Error, Result, from_datafusion};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_plan::SendableRecordBatchStream;
use everloop_core::Code;
use futures::StreamExt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows of a row group: small enough that a file of a million rows is read by several threads.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// Batches are re-cut to this many rows, so that how they happened to arrive does not show in the bytes.
const WRITE_ROWS: usize = 8_192;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// A file that is removed unless it is published under its final name.
struct Draft {
    path: PathBuf,
    published: bool,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: a draft that stays is never taken for the file itself.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

pub(crate) async fn write_parquet(mut stream: SendableRecordBatchStream, path: &Path) -> Result<Written> {
    let mut draft = Draft {
        path: draft_path(path),
        published: false,
    };
    let file = File::create_new(&draft.path).map_err(|error| write_error(path, error))?;
    let schema = stream.schema();
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties()?))
        .map_err(|error| parquet_error(path, error))?;
    let mut rows = 0_u64;
    let mut held: Vec<RecordBatch> = Vec::new();
    let mut held_rows = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(from_datafusion)?;
        rows += batch.num_rows() as u64;
        held_rows += batch.num_rows();
        held.push(batch);
        if held_rows >= WRITE_ROWS {
            held_rows = write_full(&mut writer, &schema, &mut held, path)?;
        }
    }
    let rest = concat(&schema, &held)?;
    writer.write(&rest).map_err(|error| parquet_error(path, error))?;
    // Not `into_inner`: it tells of a full disk in words alone.
    writer.finish().map_err(|error| parquet_error(path, error))?;
    let file = writer.inner();
    file.sync_all().map_err(|error| write_error(path, error))?;
    let bytes = file.metadata().map_err(|error| write_error(path, error))?.len();
    std::fs::rename(&draft.path, path).map_err(|error| write_error(path, error))?;
    draft.published = true;
    sync_folder(path).map_err(|error| write_error(path, error))?;
    Ok(Written { rows, bytes })
}

/// Writes all full cuts of what is held and keeps the rest; answers the rows kept.
fn write_full(
    writer: &mut ArrowWriter<File>,
    schema: &datafusion::arrow::datatypes::SchemaRef,
    held: &mut Vec<RecordBatch>,
    path: &Path,
) -> Result<usize> {
    let all = concat(schema, held)?;
    let mut start = 0;
    while all.num_rows() - start >= WRITE_ROWS {
        writer
            .write(&all.slice(start, WRITE_ROWS))
            .map_err(|error| parquet_error(path, error))?;
        start += WRITE_ROWS;
    }
    let rest = all.slice(start, all.num_rows() - start);
    let kept = rest.num_rows();
    *held = vec![rest];
    Ok(kept)
}

fn concat(schema: &datafusion::arrow::datatypes::SchemaRef, held: &[RecordBatch]) -> Result<RecordBatch> {
    datafusion::arrow::compute::concat_batches(schema, held).map_err(crate::error::from_arrow)
}

fn properties() -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(3).map_err(|error| Error::Internal {
        detail: error.to_string(),
    })?;
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        // Not the library's version: bytes must survive an upgrade that changes nothing else.
        .set_created_by("everloop".to_owned())
        .build())
}

/// A name of its own for each writer, hidden from folders that are read as tables.
fn draft_path(path: &Path) -> PathBuf {
    static DRAFTS: AtomicU64 = AtomicU64::new(0);
    let draft = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}-{draft}.draft", std::process::id()))
}

/// Makes the new name itself durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn write_error(path: &Path, source: io::Error) -> Error {
    let path = path.display().to_string();
    if Code::of_io(&source) == Code::StorageFull {
        return Error::DiskFull { path };
    }
    Error::Write { path, source }
}

fn parquet_error(path: &Path, error: ParquetError) -> Error {
    if let ParquetError::External(inner) = error {
        return match inner.downcast::<io::Error>() {
            Ok(io) => write_error(path, *io),
            Err(other) => Error::Internal {
                detail: other.to_string(),
            },
        };
    }
    Error::Internal {
        detail: error.to_string(),
    }
}
