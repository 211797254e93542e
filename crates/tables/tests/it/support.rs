//! A folder with files, and tables to read them.

use everloop_tables::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use everloop_tables::{Source, Tables, TablesOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file and answers its path as text.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    pub fn glob(&self, glob: &str) -> String {
        format!("{}/{glob}", self.path().display())
    }
}

pub fn tables() -> Tables {
    tables_with(TablesOptions::default())
}

pub fn tables_with(options: TablesOptions) -> Tables {
    Tables::new(TablesOptions {
        threads: 2,
        ..options
    })
    .unwrap()
}

/// `n` rows: `id` from `start`, `delay` (some null), `dest` of three texts.
pub fn flights(start: i64, n: i64) -> RecordBatch {
    let id: Int64Array = (start..start + n).collect();
    let delay: Float64Array = (start..start + n)
        .map(|i| (i % 10 != 3).then_some((i * 37 % 101) as f64 / 4.0))
        .collect();
    let dest: StringArray = (start..start + n)
        .map(|i| Some(["EWR", "JFK", "LGA"][(i % 3) as usize]))
        .collect();
    RecordBatch::try_from_iter([
        ("id", Arc::new(id) as ArrayRef),
        ("delay", Arc::new(delay) as ArrayRef),
        ("dest", Arc::new(dest) as ArrayRef),
    ])
    .unwrap()
}

/// Writes rows of [`flights`] to a Parquet file.
pub async fn write_flights(tables: &Tables, path: &Path, start: i64, n: i64) {
    let session = tables.session().await.unwrap();
    session
        .add("rows", Source::batches(vec![flights(start, n)]))
        .await
        .unwrap();
    session.write_parquet("SELECT * FROM rows", path).await.unwrap();
}
