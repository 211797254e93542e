//! What queries may use of this machine.

use everloop_core::ByteSize;
use std::path::PathBuf;

/// Limits shared by all sessions and profiles of one [`Tables`](crate::Tables).
#[derive(Debug, Clone)]
pub struct TablesOptions {
    /// Memory that sorts, joins and aggregates may hold together before they spill to disk.
    pub memory_limit: ByteSize,
    /// Threads that compute. At least one is used.
    pub threads: usize,
    /// Parts that large tables are read in. Unlike the threads, it shows in answers: another number of parts may
    /// change the order of unordered rows and the last digits of float sums.
    pub partitions: usize,
    /// Folder that spill files are written below; the system's folder for temporary files when `None`.
    pub spill_dir: Option<PathBuf>,
    /// Disk that spill files may use together.
    pub spill_limit: ByteSize,
    /// The largest answer that [`Session::sql`](crate::Session::sql) collects into memory.
    pub answer_limit: ByteSize,
    /// The longest record (line, or quoted value with line breaks) of a CSV or JSON lines file.
    pub record_limit: ByteSize,
    /// The most columns a table may have.
    pub max_columns: usize,
    /// The most files one source may name.
    pub max_files: usize,
}

impl Default for TablesOptions {
    /// 1 GiB of memory, all cores, 16 GiB of spill space, answers up to 1 GiB, records up to 16 MiB.
    fn default() -> Self {
        Self {
            memory_limit: ByteSize(1 << 30),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            partitions: 8,
            spill_dir: None,
            spill_limit: ByteSize(16 << 30),
            answer_limit: ByteSize(1 << 30),
            record_limit: ByteSize(16 << 20),
            max_columns: 10_000,
            max_files: 100_000,
        }
    }
}
