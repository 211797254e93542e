//! The same answer every time, from several threads.
//!
//! DataFusion joins parallel streams as their batches arrive, so the order of unordered rows, the last digits of float
//! sums and the choice of rows under a `LIMIT` change from run to run. A model trained on such rows differs each time,
//! and a cached stage is never hit. Here streams are joined in the order of their partitions instead: each partition
//! still computes on its own thread and a few batches ahead. What would shuffle rows between threads is switched off
//! in [`settings`]; final aggregations and windows run on one thread, their partial ones on all.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{EvaluationType, SchedulingType};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::{RecordBatchReceiverStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
    SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt};
use std::fmt;
use std::sync::Arc;

/// Batches that a partition computes before its turn comes.
const BATCHES_AHEAD: usize = 4;

/// Switches off what would make the order of rows depend on timing.
pub(crate) fn settings(options: &mut ConfigOptions) {
    options.execution.enable_file_stream_work_stealing = false;
    let optimizer = &mut options.optimizer;
    optimizer.enable_round_robin_repartition = false;
    optimizer.repartition_aggregations = false;
    optimizer.repartition_joins = false;
    optimizer.repartition_windows = false;
    optimizer.repartition_sorts = true;
    optimizer.enable_topk_repartition = false;
    // Partitions would tell each other the worst row worth keeping, and which of two equal rows stays would depend on
    // who was first.
    optimizer.enable_topk_dynamic_filter_pushdown = false;
}

/// Makes every join of streams one in order, and every choice among equal rows the same.
#[derive(Debug)]
pub(crate) struct KeepOrder;

impl PhysicalOptimizerRule for KeepOrder {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if let Some(join) = node.downcast_ref::<CoalescePartitionsExec>() {
                let ordered = InOrderExec::new(Arc::clone(join.input()), join.fetch());
                return Ok(Transformed::yes(Arc::new(ordered) as Arc<dyn ExecutionPlan>));
            }
            if let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>() {
                let stable = SortPreservingMergeExec::new(merge.expr().clone(), Arc::clone(merge.input()))
                    .with_fetch(merge.fetch())
                    .with_round_robin_repartition(false);
                return Ok(Transformed::yes(Arc::new(stable) as Arc<dyn ExecutionPlan>));
            }
            if let Some(top) = node.downcast_ref::<SortExec>()
                && let Some(apart) = apart(top)?
            {
                return Ok(Transformed::yes(apart));
            }
            Ok(Transformed::no(node))
        })
        .data()
    }

    fn name(&self) -> &str {
        "keep_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Gives each partition of a top-k sort a sort of its own. One sort over several partitions drops rows that equal the
/// worst row any of them has kept so far, and which of two equal rows that is depends on who was first.
fn apart(top: &SortExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let partitions = top.input().output_partitioning().partition_count();
    if top.fetch().is_none() || !top.preserve_partitioning() || partitions < 2 {
        return Ok(None);
    }
    let sorts = (0..partitions)
        .map(|index| {
            let one = Arc::new(OnePartitionExec::new(Arc::clone(top.input()), index));
            Arc::new(SortExec::new(top.expr().clone(), one).with_fetch(top.fetch())) as Arc<dyn ExecutionPlan>
        })
        .collect();
    UnionExec::try_new(sorts).map(Some)
}

/// One partition of its input.
#[derive(Debug)]
struct OnePartitionExec {
    input: Arc<dyn ExecutionPlan>,
    index: usize,
    properties: Arc<PlanProperties>,
}

impl OnePartitionExec {
    fn new(input: Arc<dyn ExecutionPlan>, index: usize) -> Self {
        let properties = PlanProperties::new(
            input.equivalence_properties().clone(),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self {
            input,
            index,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for OnePartitionExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnePartitionExec: {}", self.index)
    }
}

impl ExecutionPlan for OnePartitionExec {
    fn name(&self) -> &str {
        "OnePartitionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => Ok(Arc::new(Self::new(input, self.index))),
            _ => internal_err!("OnePartitionExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("OnePartitionExec has one partition");
        }
        self.input.execute(self.index, context)
    }
}

/// Joins the partitions of its input, one after the other.
#[derive(Debug)]
pub(crate) struct InOrderExec {
    input: Arc<dyn ExecutionPlan>,
    /// Rows after which it ends.
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl InOrderExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, fetch: Option<usize>) -> Self {
        let mut equivalences = input.equivalence_properties().clone();
        // Each partition may be sorted; one after the other they are not.
        equivalences.clear_orderings();
        equivalences.clear_per_partition_constants();
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        )
        .with_evaluation_type(EvaluationType::Eager)
        .with_scheduling_type(SchedulingType::Cooperative);
        Self {
            input,
            fetch,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for InOrderExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fetch {
            Some(fetch) => write!(f, "InOrderExec: fetch={fetch}"),
            None => write!(f, "InOrderExec"),
        }
    }
}

impl ExecutionPlan for InOrderExec {
    fn name(&self) -> &str {
        "InOrderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => Ok(Arc::new(Self::new(input, self.fetch))),
            _ => internal_err!("InOrderExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("InOrderExec has one partition");
        }
        let partitions = self.input.output_partitioning().partition_count();
        let streams = (0..partitions)
            .map(|index| self.ahead(index, partitions, &context))
            .collect::<Result<Vec<_>>>()?;
        let rows = futures::stream::iter(streams).flatten();
        Ok(limited(self.schema(), rows.boxed(), self.fetch))
    }
}

impl InOrderExec {
    /// A partition that computes while others are read.
    fn ahead(
        &self,
        index: usize,
        partitions: usize,
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let mut stream = self.input.execute(index, Arc::clone(context))?;
        if partitions == 1 {
            return Ok(stream);
        }
        let mut builder = RecordBatchReceiverStream::builder(self.schema(), BATCHES_AHEAD);
        let sender = builder.tx();
        builder.spawn(async move {
            while let Some(batch) = stream.next().await {
                let failed = batch.is_err();
                // The reader may be gone, because it has enough rows.
                if sender.send(batch).await.is_err() || failed {
                    break;
                }
            }
            Ok(())
        });
        Ok(builder.build())
    }
}

/// At most `fetch` rows of a stream.
fn limited(
    schema: SchemaRef,
    rows: futures::stream::BoxStream<'static, Result<RecordBatch>>,
    fetch: Option<usize>,
) -> SendableRecordBatchStream {
    let Some(fetch) = fetch else {
        return Box::pin(RecordBatchStreamAdapter::new(schema, rows));
    };
    let cut = futures::stream::try_unfold((rows, fetch), |(mut rows, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let Some(batch) = rows.try_next().await? else {
            return Ok(None);
        };
        let taken = batch.num_rows().min(left);
        Ok(Some((batch.slice(0, taken), (rows, left - taken))))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, cut))
}
