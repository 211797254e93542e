//! Stages, the DAG of them, their cache and durable execution.
