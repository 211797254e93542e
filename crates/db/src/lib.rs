//! The one thin layer over SQLite and Postgres.
