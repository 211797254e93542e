//! What is refused before it is sent.

use everloop_ballista::BallistaEngine;
use everloop_core::{Code, Coded};
use everloop_tables::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use everloop_tables::{Engine, Error, Source, Tables, TablesOptions};
use std::net::TcpListener;
use std::sync::Arc;

fn rows() -> RecordBatch {
    let id: Int64Array = (0..10).map(|i| (i % 3 != 0).then_some(i)).collect();
    RecordBatch::try_from_iter([("id", Arc::new(id) as ArrayRef)]).unwrap()
}

/// An engine that plans here and refuses as Ballista's does: no cluster is needed to see what would not be sent.
#[derive(Debug)]
struct Checked(BallistaEngine);

#[async_trait::async_trait]
impl Engine for Checked {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn is_remote(&self) -> bool {
        false
    }

    async fn connect(
        &self,
        state: datafusion::execution::session_state::SessionStateBuilder,
    ) -> everloop_tables::Result<datafusion::prelude::SessionContext> {
        Ok(datafusion::prelude::SessionContext::new_with_state(state.build()))
    }

    fn check_source(&self, _source: &Source) -> everloop_tables::Result<()> {
        Ok(())
    }

    fn check(&self, plan: &datafusion::logical_expr::LogicalPlan) -> everloop_tables::Result<()> {
        self.0.check(plan)
    }
}

#[tokio::test]
async fn windows_that_ignore_nulls_are_never_sent() {
    let engine = Checked(BallistaEngine::new("ballista://127.0.0.1:1").unwrap());
    let tables = Tables::new(TablesOptions::default())
        .unwrap()
        .with_engine(Arc::new(engine));
    let session = tables.session().await.unwrap();
    session.add("t", Source::batches(vec![rows()])).await.unwrap();
    for query in [
        "SELECT LAST_VALUE(id) IGNORE NULLS OVER (ORDER BY id) AS x FROM t",
        "SELECT LAG(id, 1) IGNORE NULLS OVER (ORDER BY id) AS x FROM t",
        "SELECT id FROM t WHERE id IN (SELECT FIRST_VALUE(id) IGNORE NULLS OVER (ORDER BY id) FROM t)",
        "WITH w AS (SELECT 1 + LEAD(id) IGNORE NULLS OVER (ORDER BY id) AS x FROM t) SELECT SUM(x) AS s FROM w",
    ] {
        let error = session.sql(query).await.unwrap_err();
        assert_eq!(error.code(), Code::Unsupported, "{query}: {error}");
        assert!(error.to_string().contains("IGNORE NULLS"), "{error}");
        assert!(error.hint().unwrap().contains("local engine"));
    }
    let kept = "SELECT LAST_VALUE(id) RESPECT NULLS OVER (ORDER BY id) AS x FROM t";
    assert_eq!(session.sql(kept).await.unwrap().rows(), 10);
}

#[tokio::test]
async fn unions_with_a_branch_in_one_partition_are_never_sent() {
    let engine = Checked(BallistaEngine::new("ballista://127.0.0.1:1").unwrap());
    let tables = Tables::new(TablesOptions::default())
        .unwrap()
        .with_engine(Arc::new(engine));
    let session = tables.session().await.unwrap();
    session.add("t", Source::batches(vec![rows()])).await.unwrap();
    for query in [
        "SELECT id FROM t UNION ALL SELECT 7",
        "SELECT id FROM t UNION ALL SELECT * FROM (VALUES (7)) AS v(id)",
        "SELECT MAX(id) AS id FROM t UNION ALL SELECT id FROM t",
        "SELECT * FROM (SELECT id FROM t ORDER BY id LIMIT 2) UNION ALL SELECT id FROM t",
        "SELECT id FROM t WHERE id > (SELECT MIN(id) FROM t) UNION ALL SELECT id FROM t",
    ] {
        let error = session.sql(query).await.unwrap_err();
        assert_eq!(error.code(), Code::Unsupported, "{query}: {error}");
        assert!(error.to_string().contains("UNION"), "{error}");
    }
    for kept in [
        "SELECT id FROM t UNION ALL SELECT id FROM t WHERE id > 3",
        "SELECT id FROM t GROUP BY id UNION SELECT id FROM t",
        "SELECT MAX(id) AS top FROM (SELECT id FROM t UNION ALL SELECT id FROM t) LIMIT 1",
    ] {
        assert!(session.sql(kept).await.is_ok(), "{kept}");
    }
}

#[tokio::test]
async fn rows_in_memory_are_refused_with_a_way_out() {
    let engine = BallistaEngine::new("ballista://127.0.0.1:1").unwrap();
    let error = engine.check_source(&Source::batches(vec![rows()])).unwrap_err();
    assert_eq!(error.code(), Code::Unsupported);
    assert!(error.hint().unwrap().contains("Parquet"));
}

#[tokio::test]
async fn a_scheduler_that_is_not_there_is_named() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let engine = BallistaEngine::new(&format!("ballista://127.0.0.1:{port}")).unwrap();
    let tables = Tables::new(TablesOptions::default())
        .unwrap()
        .with_engine(Arc::new(engine));
    let error = tables.session().await.unwrap_err();
    assert!(
        matches!(&error, Error::Engine { engine, .. } if engine.contains(&port.to_string())),
        "{error:?}"
    );
    assert_eq!(error.code(), Code::Unavailable);
}
