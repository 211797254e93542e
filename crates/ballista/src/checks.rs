//! Plans that Ballista 55 would answer wrongly or never, without a word.
//!
//! - A window function's `IGNORE NULLS` is lost when the physical plan is written for the executors, so `last_value(x)
//!   IGNORE NULLS` answers as if nulls counted.
//! - A union with a branch that ends in one partition (`SELECT max(x) ...`, `SELECT 7`, `VALUES`, `... LIMIT 5`):
//!   executors run the branch in tasks that do not own it. Its rows come several times, or the reports of such a task
//!   do not fit the stage and the job never ends.
//!
//! Both were found by comparing answers with the local engine; the comparison stays as a test. Unions of branches that
//! read, filter, join and group tables come back right.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::NullTreatment;
use datafusion::logical_expr::{Expr, LogicalPlan, Union};
use everloop_tables::{Error, Result};

/// Refuses plans that would come back wrong or not at all.
pub(crate) fn check(plan: &LogicalPlan) -> Result<()> {
    let mut refused = None;
    plan.apply_with_subqueries(|node| {
        refused = refusal(node)?;
        Ok(match refused {
            Some(_) => TreeNodeRecursion::Stop,
            None => TreeNodeRecursion::Continue,
        })
    })
    .map_err(|error| Error::Internal {
        detail: error.to_string(),
    })?;
    refused.map_or(Ok(()), Err)
}

fn refusal(node: &LogicalPlan) -> datafusion::common::Result<Option<Error>> {
    if let LogicalPlan::Union(union) = node
        && !branches_stay_parallel(union)?
    {
        return Ok(Some(Error::Unsupported {
            what: "a UNION with a branch that is one row, a LIMIT or a list of values is not supported on Ballista"
                .to_owned(),
            hint: "ask for the branches one by one, group them by a column, or run the query on the local engine"
                .to_owned(),
        }));
    }
    Ok(ignoring_window(node)?.map(|function| Error::Unsupported {
        what: format!("\"{function}\" with IGNORE NULLS over a window is not supported on Ballista"),
        hint: "run the query on the local engine, or filter nulls out first, or use max(...) over the window"
            .to_owned(),
    }))
}

/// The first window function with `IGNORE NULLS` in the expressions of a node.
fn ignoring_window(node: &LogicalPlan) -> datafusion::common::Result<Option<String>> {
    let mut found = None;
    node.apply_expressions(|expression| {
        expression.apply(|part| {
            if let Expr::WindowFunction(window) = part
                && window.params.null_treatment == Some(NullTreatment::IgnoreNulls)
            {
                found = Some(window.fun.name().to_owned());
                return Ok(TreeNodeRecursion::Stop);
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

/// Whether no branch of a union, its subqueries included, holds a node that could gather rows in one partition.
fn branches_stay_parallel(union: &Union) -> datafusion::common::Result<bool> {
    let mut parallel = true;
    for input in &union.inputs {
        input.apply_with_subqueries(|node| {
            parallel &= match node {
                LogicalPlan::TableScan(_)
                | LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Subquery(_)
                | LogicalPlan::Join(_)
                | LogicalPlan::Distinct(_)
                | LogicalPlan::Union(_) => true,
                LogicalPlan::Aggregate(aggregate) => !aggregate.group_expr.is_empty(),
                _ => false,
            };
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(parallel)
}
