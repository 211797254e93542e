//! Looks an Arrow file over before its reader does.
//!
//! The reader takes the lengths in a file at their word: it sets aside a buffer of the declared length before it looks
//! whether there are so many bytes, and a length of 2^50 ends the process instead of the query. So the lengths of the
//! footer, the blocks, the buffers and the compressed buffers are held against the file first. Streams (files without
//! a footer) cannot be looked over without reading them and are refused.

use crate::error::{Error, Result, from_store};
use bytes::Bytes;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::ipc::convert::fb_to_schema;
use datafusion::arrow::ipc::{Block, Footer, MessageHeader, RecordBatch, root_as_footer, root_as_message};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::sync::Arc;

/// Starts and ends an Arrow file.
const MAGIC: &[u8] = b"ARROW1";
/// Footer length and magic.
const TAIL: u64 = 10;
/// The mark and the length before a message.
const PREFIX: usize = 8;
/// The length before a compressed buffer.
const COMPRESSED_PREFIX: u64 = 8;
/// A batch may hold this many bytes when decompressed.
const MAX_BATCH: u64 = 2 << 30;

/// The schema of a file, after it was looked over.
pub(crate) async fn schema(store: &Arc<dyn ObjectStore>, file: &ObjectMeta) -> Result<SchemaRef> {
    Ok(Arc::new(Reader { store, file }.check().await?))
}

struct Reader<'a> {
    store: &'a Arc<dyn ObjectStore>,
    file: &'a ObjectMeta,
}

impl Reader<'_> {
    async fn check(&self) -> Result<Schema> {
        let size = self.file.size;
        if size < MAGIC.len() as u64 + TAIL {
            return Err(self.damaged("it is too short"));
        }
        let head = self.bytes(0, MAGIC.len() as u64).await?;
        if head.as_ref() != MAGIC {
            return Err(Error::Unsupported {
                what: format!(
                    "\"{}\" is no Arrow file (it may be an Arrow stream)",
                    self.file.location
                ),
                hint: "write the rows as an Arrow file (Feather version 2) or as Parquet".to_owned(),
            });
        }
        let tail = self.bytes(size - TAIL, TAIL).await?;
        let (length, magic) = tail.split_at(4);
        let length = i32::from_le_bytes(length.try_into().map_err(|_| self.damaged("it is too short"))?);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        if magic != MAGIC || length > size - TAIL {
            return Err(self.damaged("its footer is not there"));
        }
        let footer = self.bytes(size - TAIL - length, length).await?;
        let footer = root_as_footer(&footer).map_err(|_| self.damaged("its footer cannot be read"))?;
        self.check_blocks(&footer).await?;
        let schema = footer
            .schema()
            .ok_or_else(|| self.damaged("its footer has no schema"))?;
        if schema.fields().is_none() {
            return Err(self.damaged("its schema has no fields"));
        }
        Ok(fb_to_schema(schema))
    }

    async fn check_blocks(&self, footer: &Footer<'_>) -> Result<()> {
        let blocks: Vec<Block> = footer
            .dictionaries()
            .iter()
            .flatten()
            .chain(footer.recordBatches().iter().flatten())
            .copied()
            .collect();
        for block in blocks {
            self.check_block(&block).await?;
        }
        Ok(())
    }

    async fn check_block(&self, block: &Block) -> Result<()> {
        let outside = || self.damaged("a block lies outside the file");
        let offset = u64::try_from(block.offset()).map_err(|_| outside())?;
        let head = u64::try_from(block.metaDataLength()).map_err(|_| outside())?;
        let body = u64::try_from(block.bodyLength()).map_err(|_| outside())?;
        let end = offset.checked_add(head).and_then(|start| start.checked_add(body));
        if end.is_none_or(|end| end > self.file.size) || head < PREFIX as u64 {
            return Err(outside());
        }
        let message = self.bytes(offset, head).await?;
        let message =
            root_as_message(&message[PREFIX..]).map_err(|_| self.damaged("a block has no message"))?;
        let batch = match message.header_type() {
            MessageHeader::RecordBatch => message.header_as_record_batch(),
            MessageHeader::DictionaryBatch => message
                .header_as_dictionary_batch()
                .and_then(|batch| batch.data()),
            _ => None,
        };
        let batch = batch.ok_or_else(|| self.damaged("a block holds no rows"))?;
        self.check_buffers(&batch, offset + head, body).await
    }

    /// Holds the buffers of a batch, whose body of `length` bytes starts at `start`, against that body.
    async fn check_buffers(&self, batch: &RecordBatch<'_>, start: u64, length: u64) -> Result<()> {
        let wrong = || self.damaged("a buffer lies outside its block");
        let mut total = 0_u64;
        let mut compressed = Vec::new();
        for buffer in batch.buffers().iter().flatten() {
            let offset = u64::try_from(buffer.offset()).map_err(|_| wrong())?;
            let size = u64::try_from(buffer.length()).map_err(|_| wrong())?;
            if offset.checked_add(size).is_none_or(|end| end > length) {
                return Err(wrong());
            }
            total += size;
            if batch.compression().is_some() && size >= COMPRESSED_PREFIX {
                compressed.push(start + offset..start + offset + COMPRESSED_PREFIX);
            }
        }
        let lengths = self
            .store
            .get_ranges(&self.file.location, &compressed)
            .await
            .map_err(|error| from_store(&error))?;
        for prefix in lengths {
            let declared: [u8; 8] = prefix.as_ref().try_into().map_err(|_| wrong())?;
            // -1 marks a buffer that was not compressed after all.
            let declared = i64::from_le_bytes(declared).max(0);
            total = total.saturating_add(declared as u64);
        }
        if total > MAX_BATCH {
            return Err(self.damaged("a batch declares more bytes than it may hold"));
        }
        Ok(())
    }

    async fn bytes(&self, start: u64, length: u64) -> Result<Bytes> {
        self.store
            .get_range(&self.file.location, start..start + length)
            .await
            .map_err(|error| from_store(&error))
    }

    fn damaged(&self, detail: &str) -> Error {
        Error::Damaged {
            format: "Arrow IPC",
            detail: detail.to_owned(),
            place: Some(format!("\"{}\"", self.file.location)),
        }
    }
}
