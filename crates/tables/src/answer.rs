//! What a query answers: batches in memory, or a stream of them.

use crate::error::{Result, from_arrow};
use crate::frame::to_frame_with_schema;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::json::ArrayWriter;
use everloop_core::Frame;
use futures::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Rows in memory, with their schema even when there are none.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Names and types of the columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

impl Answer {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The rows as plain columns.
    ///
    /// # Errors
    /// When a column's type has no place in a frame (lists, structs, binary).
    pub fn to_frame(&self) -> Result<Frame> {
        to_frame_with_schema(&self.schema, &self.batches)
    }

    /// The first `limit` rows as JSON objects; a missing value is `null`, a NaN or infinity too.
    ///
    /// # Errors
    /// When a column's type has no JSON form.
    pub fn to_json(&self, limit: usize) -> Result<Vec<serde_json::Map<String, serde_json::Value>>> {
        let mut left = limit;
        let mut writer = datafusion::arrow::json::WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, datafusion::arrow::json::writer::JsonArray>(Vec::new());
        for batch in &self.batches {
            let rows = batch.num_rows().min(left);
            left -= rows;
            writer.write(&batch.slice(0, rows)).map_err(from_arrow)?;
        }
        writer.finish().map_err(from_arrow)?;
        let text = ArrayWriter::into_inner(writer);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_slice(&text).map_err(|error| crate::Error::Internal {
            detail: error.to_string(),
        })
    }
}

/// Rows as they are computed. Dropping it stops the query.
#[derive(Debug)]
pub struct RowStream {
    schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch>>,
    /// Computes; ends with this stream.
    _query: AbortOnDropHandle<()>,
}

impl RowStream {
    pub(crate) fn new(
        schema: SchemaRef,
        batches: mpsc::Receiver<Result<RecordBatch>>,
        query: AbortOnDropHandle<()>,
    ) -> Self {
        Self {
            schema,
            batches,
            _query: query,
        }
    }

    /// Names and types of the columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Stream for RowStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_recv(context)
    }
}
