//! Profiles a table in one pass over its partitions.
//!
//! The partitions are cut by the table's size alone, not by the number of threads, each gives a profile, and those
//! are merged in order. So the same files give the same profile on every machine, bit for bit.

use super::builder::ProfileBuilder;
use super::{Profile, ProfileOptions};
use crate::cpu::failure;
use crate::error::{Error, Result, from_datafusion};
use crate::session::Session;
use datafusion::arrow::array::AsArray;
use datafusion::common::Column;
use datafusion::common::stats::Precision;
use datafusion::datasource::TableProvider;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Parts of a table with few columns.
const PARTITIONS: usize = 32;

/// Parts times columns: bounds the memory of wide tables.
const PARTITION_COLUMNS: usize = 8_192;

/// The profile of `table`.
pub(crate) async fn profile(
    session: &Session,
    table: Arc<dyn TableProvider>,
    options: ProfileOptions,
) -> Result<Profile> {
    if session.tables().engine().is_remote() {
        return profile_remotely(session, table, options).await;
    }
    let schema = table.schema();
    let empty = ProfileBuilder::new(&schema, &options)?;
    let projection = empty.indices().to_vec();
    let partitions = (PARTITION_COLUMNS / projection.len().max(1)).clamp(4, PARTITIONS);
    let context = deterministic(session.context(), partitions);
    let state = context.state();
    let scan = table
        .scan(&state, Some(&projection), &[], None)
        .await
        .map_err(from_datafusion)?;
    let scan = scan
        .repartitioned(partitions, state.config_options())
        .map_err(from_datafusion)?
        .unwrap_or(scan);
    let declared = declared_rows(scan.as_ref());
    let expected = declared.get_value().map_or(0, |&rows| rows as u64);
    let builder = ProfileBuilder::new(&scan.schema(), &ProfileOptions::default())?.expecting(expected);
    let threads = session.tables().options().threads.max(1);
    let profile = merge_in_order(scan, context.task_ctx(), builder, threads).await?;
    check_rows(declared, profile.rows())?;
    Ok(profile)
}

/// A footer may declare more rows than there are, and nothing else notices.
fn check_rows(declared: Precision<usize>, read: u64) -> Result<()> {
    match declared {
        Precision::Exact(declared) if declared as u64 != read => Err(Error::Damaged {
            format: "table",
            detail: format!("{declared} rows are declared and {read} are there"),
            place: None,
        }),
        _ => Ok(()),
    }
}

/// Runs [`profile_function`](super::profile_function) where the engine keeps the rows.
async fn profile_remotely(
    session: &Session,
    table: Arc<dyn TableProvider>,
    options: ProfileOptions,
) -> Result<Profile> {
    let schema = table.schema();
    let empty = ProfileBuilder::new(&schema, &options)?;
    let fields: Vec<_> = empty.indices().iter().map(|&index| schema.field(index)).collect();
    if fields.is_empty() {
        return Ok(empty.finish());
    }
    let columns = fields
        .iter()
        .map(|field| Expr::Column(Column::from_name(field.name())))
        .collect();
    let profile = session
        .context()
        .read_table(table)
        .and_then(|rows| {
            rows.aggregate(
                vec![],
                vec![super::profile_function().call(columns).alias("profile")],
            )
        })
        .map_err(from_datafusion)?;
    session.tables().engine().check(profile.logical_plan())?;
    let batches = profile.collect().await.map_err(from_datafusion)?;
    let text = batches
        .iter()
        .find(|batch| batch.num_rows() == 1)
        .map(|batch| batch.column(0).as_string::<i32>().value(0).to_owned())
        .ok_or_else(|| Error::Internal {
            detail: "an aggregate without groups answered no row".to_owned(),
        })?;
    let names = fields
        .iter()
        .map(|field| (field.name().clone(), field.data_type().to_string()));
    Ok(Profile::from_json(&text)?.renamed(names))
}

/// A context in which the same files always fall into the same partitions in the same order.
fn deterministic(context: &SessionContext, partitions: usize) -> SessionContext {
    let state = context.state();
    let mut config = state.config().clone().with_target_partitions(partitions);
    config.options_mut().execution.enable_file_stream_work_stealing = false;
    SessionContext::new_with_config_rt(config, context.runtime_env())
}

/// Rows of the table as its files declare them.
fn declared_rows(scan: &dyn ExecutionPlan) -> Precision<usize> {
    StatisticsContext::new()
        .compute(scan, &StatisticsArgs::new())
        .map_or(Precision::Absent, |statistics| statistics.num_rows)
}

async fn merge_in_order(
    scan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    empty: ProfileBuilder,
    threads: usize,
) -> Result<Profile> {
    let count = scan.output_partitioning().partition_count();
    let start = |parts: &mut JoinSet<Result<(usize, Profile)>>, index: usize| {
        if index < count {
            let part = one_partition(Arc::clone(&scan), Arc::clone(&task), empty.fresh(), index);
            parts.spawn(async move { Ok((index, part.await?)) });
        }
    };
    let mut parts = JoinSet::new();
    (0..threads).for_each(|index| start(&mut parts, index));
    let mut started = threads;
    let mut merged = empty.fresh().finish();
    let mut waiting: BTreeMap<usize, Profile> = BTreeMap::new();
    let mut next = 0;
    while let Some(part) = parts.join_next().await {
        let (index, profile) = part.map_err(failure)??;
        start(&mut parts, started);
        started += 1;
        waiting.insert(index, profile);
        while let Some(profile) = waiting.remove(&next) {
            merged.merge(&profile)?;
            next += 1;
        }
    }
    Ok(merged)
}

async fn one_partition(
    scan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    mut builder: ProfileBuilder,
    index: usize,
) -> Result<Profile> {
    let mut batches = scan.execute(index, task).map_err(from_datafusion)?;
    while let Some(batch) = batches.next().await {
        builder.push(&batch.map_err(from_datafusion)?)?;
    }
    Ok(builder.finish())
}
