//! Scale-out of tables on a Ballista cluster.
