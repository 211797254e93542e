//! A reader thread: each request sees one snapshot of the database.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::Receiver;
use rusqlite::Connection;

use super::queue::Message;
use super::{Shared, statements, writer};
use crate::job::Job;
use crate::tx::{Access, Engine};
use crate::{Result, Tx};

pub(crate) fn start(
    number: usize,
    connection: Connection,
    jobs: Receiver<Message>,
    shared: Arc<Shared>,
) -> Result<JoinHandle<()>> {
    writer::spawn(&format!("db-reader-{number}"), move || {
        for message in &jobs {
            if let Message::Run(job) = message
                && !job.is_abandoned()
            {
                serve(&connection, job, &shared);
            }
        }
    })
}

fn serve(connection: &Connection, mut job: Box<dyn Job>, shared: &Shared) {
    match statements::control(connection, Access::Read, "BEGIN") {
        Err(error) => job.fail(error),
        Ok(()) => {
            let mut tx = Tx::new(Engine::Sqlite(connection), Access::Read);
            job.run(&mut tx);
            shared.counters.statements(tx.statements());
            if !connection.is_autocommit()
                && let Err(error) = statements::control(connection, Access::Read, "ROLLBACK")
            {
                tracing::error!(error = %error, "a reading transaction can't be ended");
            }
        }
    }
    shared.counters.read();
    job.answer();
}
