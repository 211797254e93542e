//! Runs the binary, away from the tester's own settings.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The same, when it went well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// What `--json` printed.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// The program in `folder`.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everloop"));
    command
        .env_clear()
        .env("USER", "ada")
        .env("COLUMNS", "100")
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// Runs `everloop args...` in `folder`.
pub fn everloop(folder: &Path, args: &[&str]) -> Ended {
    let output = command(folder).args(args).output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A project with one dataset and two stages of SQL.
pub fn small_project() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("shop");
    std::fs::create_dir_all(root.join("data")).unwrap();
    std::fs::write(
        root.join("data/orders.csv"),
        "id,price,country\n1,10.5,DE\n2,20.0,FR\n3,30.0,DE\n",
    )
    .unwrap();
    std::fs::write(root.join("everloop.yaml"), PROJECT).unwrap();
    (folder, root)
}

const PROJECT: &str = "\
project: shop
datasets:
  orders:
    path: data/*.csv
    checks:
      - row_count: { min: 3 }
      - range: { column: price, min: 0 }
stages:
  rows:
    desc: What the day brought.
    sql: SELECT id, price, country FROM orders WHERE price > 10
    from: [orders]
    outs: [build/rows.parquet]
  sums:
    sql: SELECT country, sum(price) AS total FROM rows GROUP BY country
    from: [build/rows.parquet]
    outs: [build/sums.parquet]
";
