//! Named sources, and SQL over them.

use crate::answer::{Answer, RowStream};
use crate::error::{Error, Result, from_datafusion};
use crate::listing;
use crate::ordered::InOrderExec;
use crate::profile::{Profile, ProfileOptions, profile_function};
use crate::query;
use crate::records::SessionPaths;
use crate::resolve::{self, Files};
use crate::source::{Format, Source};
use crate::tables::Tables;
use crate::writing::{self, Written};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::MemTable;
use datafusion::datasource::TableProvider;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use futures::future::BoxFuture;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Batches that wait for a slow reader of a stream.
const STREAM_BUFFER: usize = 2;

/// Named tables and the SQL that reads them. Cheap to clone; clones share the tables.
///
/// Names of tables and columns are case-sensitive and need no quotes, except those that are not plain words. Every
/// statement only reads: nothing can be created, changed, set, copied out, or read from a place that is no source.
#[derive(Clone)]
pub struct Session {
    tables: Tables,
    context: SessionContext,
    text_paths: Arc<SessionPaths>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("tables", &query::table_names(&self.context.state()))
            .field("engine", &self.tables.engine().name())
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) async fn open(tables: Tables) -> Result<Self> {
        let state = SessionStateBuilder::new()
            .with_config(tables.session_config())
            .with_runtime_env(tables.runtime_env())
            .with_default_features();
        let context = tables.engine().connect(state).await?;
        context.register_udaf(profile_function());
        query::forget_unbounded(&context);
        let text_paths = Arc::new(SessionPaths::new(tables.text_paths().clone()));
        Ok(Self {
            tables,
            context,
            text_paths,
        })
    }

    /// Gives the rows of `source` the name `name`. Files are found and their schema is read now; a file that appears
    /// later is not part of the table.
    ///
    /// # Errors
    /// When the name is taken, no file is found, or the schema cannot be read.
    pub fn add<'a>(&'a self, name: &'a str, source: Source) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.tables.engine().check_source(&source)?;
            if self.context.table_exist(name_of(name)).map_err(from_datafusion)? {
                return Err(Error::TableExists {
                    table: name.to_owned(),
                });
            }
            let session = self.clone();
            let table = self
                .tables
                .cpu()
                .run(async move { session.provider(source).await })
                .await?;
            self.context
                .register_table(name_of(name), table)
                .map_err(from_datafusion)?;
            Ok(())
        })
    }

    /// The names of the session's tables, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        query::table_names(&self.context.state())
    }

    /// Names and types of the columns of a table.
    ///
    /// # Errors
    /// When there is no such table.
    pub fn schema<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<SchemaRef>> {
        Box::pin(async move { Ok(self.table(name).await?.schema()) })
    }

    /// Number of rows of a table; for Parquet read from the files' footers.
    ///
    /// # Errors
    /// When there is no such table or it cannot be read.
    pub fn rows<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            self.table(name).await?;
            let answer = self
                .sql(&format!(
                    "SELECT count(*) AS n FROM \"{}\"",
                    name.replace('"', "\"\"")
                ))
                .await?;
            let frame = answer.to_frame()?;
            let rows = frame.get("n").map_or(0.0, |values| values.number(0));
            Ok(rows as u64)
        })
    }

    /// Runs one statement that reads and collects its answer, up to the answer limit.
    ///
    /// # Errors
    /// With the place in the statement and a hint where they are known.
    pub fn sql<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async move {
            let session = self.clone();
            let text = text.to_owned();
            self.tables
                .cpu()
                .run(async move {
                    let plan = session.physical(&text).await?;
                    session.collect(plan).await
                })
                .await
        })
    }

    /// Runs one statement that reads and streams its answer.
    ///
    /// # Errors
    /// When the statement cannot be planned; later errors come as the stream's last item.
    pub fn stream<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<RowStream>> {
        Box::pin(async move {
            let session = self.clone();
            let text = text.to_owned();
            let plan = self
                .tables
                .cpu()
                .run(async move { session.physical(&text).await })
                .await?;
            let schema = plan.schema();
            let (sender, receiver) = mpsc::channel(STREAM_BUFFER);
            let session = self.clone();
            let query = self.tables.cpu().spawn(async move {
                let panicked = sender.clone();
                let work = std::panic::AssertUnwindSafe(session.send(plan, sender));
                if let Err(panic) = futures::FutureExt::catch_unwind(work).await {
                    let what = crate::cpu::panic_text(panic.as_ref());
                    // The reader may be gone; then nobody needs to know.
                    let _ = panicked.send(Err(Error::Panicked { what })).await;
                }
            });
            Ok(RowStream::new(schema, receiver, query))
        })
    }

    /// Writes the answer of one statement to a Parquet file (zstd) at `path`. The same rows in the same order give
    /// the same bytes. The file appears when it is complete; an error leaves nothing behind.
    ///
    /// # Errors
    /// As [`sql`](Self::sql), and when the file cannot be written.
    pub fn write_parquet<'a>(&'a self, text: &'a str, path: &'a Path) -> BoxFuture<'a, Result<Written>> {
        Box::pin(async move {
            let session = self.clone();
            let text = text.to_owned();
            let path = path.to_owned();
            self.tables
                .cpu()
                .run(async move {
                    let plan = session.physical(&text).await?;
                    let stream = session.execute(plan)?;
                    writing::write_parquet(stream, &path).await
                })
                .await
        })
    }

    /// The profile of a table, in one pass.
    ///
    /// # Errors
    /// When there is no such table or it cannot be read.
    pub fn profile<'a>(&'a self, name: &'a str, options: ProfileOptions) -> BoxFuture<'a, Result<Profile>> {
        Box::pin(async move {
            let table = self.table(name).await?;
            let session = self.clone();
            self.tables
                .cpu()
                .run(async move { crate::profile::scan::profile(&session, table, options).await })
                .await
        })
    }

    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    async fn table(&self, name: &str) -> Result<Arc<dyn TableProvider>> {
        if !self.context.table_exist(name_of(name)).map_err(from_datafusion)? {
            return Err(Error::UnknownTable {
                table: name.to_owned(),
                known: self.names(),
                place: None,
            });
        }
        self.context
            .table_provider(name_of(name))
            .await
            .map_err(from_datafusion)
    }

    async fn physical(&self, text: &str) -> Result<Arc<dyn ExecutionPlan>> {
        let state = self.context.state();
        let plan: LogicalPlan = query::plan(&state, self.tables.engine().as_ref(), text).await?;
        state.create_physical_plan(&plan).await.map_err(from_datafusion)
    }

    fn execute(
        &self,
        plan: Arc<dyn ExecutionPlan>,
    ) -> Result<datafusion::physical_plan::SendableRecordBatchStream> {
        let plan = match plan.output_partitioning().partition_count() {
            0 | 1 => plan,
            _ => Arc::new(InOrderExec::new(plan, None)),
        };
        execute_stream(plan, self.context.task_ctx()).map_err(from_datafusion)
    }

    async fn collect(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Answer> {
        let limit = self.tables.options().answer_limit;
        let schema = plan.schema();
        let mut stream = self.execute(plan)?;
        let mut batches: Vec<RecordBatch> = Vec::new();
        let mut bytes = 0_u64;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(from_datafusion)?;
            bytes = bytes.saturating_add(batch.get_array_memory_size() as u64);
            if bytes > limit.0 {
                return Err(Error::AnswerTooLarge { limit });
            }
            if batch.num_rows() > 0 {
                batches.push(batch);
            }
        }
        Ok(Answer { schema, batches })
    }

    async fn send(&self, plan: Arc<dyn ExecutionPlan>, sender: mpsc::Sender<Result<RecordBatch>>) {
        let mut stream = match self.execute(plan) {
            Ok(stream) => stream,
            Err(error) => {
                let _ = sender.send(Err(error)).await;
                return;
            }
        };
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(from_datafusion);
            let failed = batch.is_err();
            if sender.send(batch).await.is_err() || failed {
                return;
            }
        }
    }

    async fn provider(&self, source: Source) -> Result<Arc<dyn TableProvider>> {
        match source {
            Source::Batches(batches) => self.memory(batches),
            Source::Paths { paths, format } => {
                let limit = self.tables.options().max_files;
                let files = resolve::files(&self.tables.runtime_env(), &paths, limit).await?;
                self.listing(files, format).await
            }
            Source::Objects { files, format } => {
                let files = resolve::objects(&self.tables.runtime_env(), &files)?;
                self.listing(files, format).await
            }
        }
    }

    fn memory(&self, batches: Vec<RecordBatch>) -> Result<Arc<dyn TableProvider>> {
        let schema = batches.first().ok_or(Error::EmptySource)?.schema();
        listing::check_columns(&schema, self.tables.options().max_columns)?;
        let table = MemTable::try_new(schema, vec![batches]).map_err(from_datafusion)?;
        Ok(Arc::new(table))
    }

    async fn listing(&self, files: Files, format: Option<Format>) -> Result<Arc<dyn TableProvider>> {
        let format = match format {
            Some(format) => format,
            None => listing::common_format(&files)?,
        };
        for file in &files.files {
            self.text_paths.add(file.location.as_ref(), &format);
        }
        let max_columns = self.tables.options().max_columns;
        listing::table(&self.context.state(), &files, &format, max_columns).await
    }
}

/// A table's name, taken as it is: dots and capitals have no meaning.
fn name_of(name: &str) -> datafusion::common::TableReference {
    datafusion::common::TableReference::bare(name)
}
