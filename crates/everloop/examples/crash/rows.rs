//! Reading the database behind the server's back.

use everloop_core::Clock;
use everloop_db::{Db, Row};

/// The server's database.
pub struct Rows {
    db: Db,
}

impl Rows {
    /// # Errors
    /// When it can't be opened.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        let db = Db::open(&url.parse()?, &everloop_server::migrations(), &Clock::system()).await?;
        Ok(Self { db })
    }

    /// All rows of a query without parameters.
    ///
    /// # Errors
    /// When the database says no.
    pub async fn all(&self, sql: &'static str) -> anyhow::Result<Vec<Row>> {
        Ok(self.db.read(move |tx| tx.query(sql, &[])).await?)
    }

    /// Rows of one column of text.
    ///
    /// # Errors
    /// When the database says no.
    pub async fn texts(&self, sql: &'static str) -> anyhow::Result<Vec<String>> {
        let rows = self.all(sql).await?;
        rows.iter().map(|row| Ok(row.get("text")?)).collect()
    }

    /// One number.
    ///
    /// # Errors
    /// When the database says no.
    pub async fn number(&self, sql: &'static str) -> anyhow::Result<i64> {
        let rows = self.all(sql).await?;
        Ok(rows
            .first()
            .map(|row| row.get("number"))
            .transpose()?
            .unwrap_or_default())
    }

    pub async fn close(self) {
        self.db.close().await;
    }
}
