//! The contract suite: each law holds on SQLite and on Postgres (when `EVERLOOP_TEST_POSTGRES` names one).

mod transactions;
mod values;
