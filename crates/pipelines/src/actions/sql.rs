//! `sql`: a query over datasets and files, to one Parquet file. Equal rows give equal bytes.

use everloop_project::Sql;

use super::{Told, Work, say};
use crate::Failure;
use crate::logs::LogFile;
use crate::metrics::Point;

pub(super) async fn run(work: &Work<'_>, sql: &Sql, log: &mut LogFile) -> Result<Told, Failure> {
    let session = work.attempt.pipelines.tables.session().await?;
    for (table, source) in &sql.from.0 {
        session.add(table, work.source(source).await?).await?;
    }
    let out = work.out(0).expect("a stage of kind sql has one out");
    let written = session.write_parquet(&sql.query, &out).await?;
    say(log, &format!("{} rows, {} bytes", written.rows, written.bytes))?;
    Ok(Told {
        metrics: vec![Point::new("rows", written.rows as f64, 0)],
        documents: Vec::new(),
    })
}
