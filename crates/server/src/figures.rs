//! Figures that live in the capabilities, read when somebody asks for `/metrics`.

use everloop_db::Db;
use everloop_ledger::Lag;
use everloop_serving::Serving;
use everloop_webhooks::{Counts, Outbox};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How far each consumer of the ledger is behind, and what messages to webhooks wait, as of the last scrape: reading it
/// needs the database, and a collector can't wait.
pub(crate) type Waiting = Arc<Mutex<(Vec<Lag>, Counts)>>;

/// The figures of the database, the prediction log, the ledger's consumers and the webhooks.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) db: Db,
    pub(crate) serving: Serving,
    pub(crate) outbox: Outbox,
    pub(crate) waiting: Waiting,
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.encode_db(&mut encoder)?;
        self.encode_log(&mut encoder)?;
        let (lags, messages) = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        encode_lags(&lags, &mut encoder)?;
        self.encode_webhooks(messages, &mut encoder)
    }
}

impl Figures {
    fn encode_db(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.db.stats();
        for (name, help, value) in [
            ("db_writes", "Writing transactions finished", stats.writes),
            (
                "db_commits",
                "Durable commits; fewer than writes where writes shared one",
                stats.commits,
            ),
            (
                "db_rollbacks",
                "Writing transactions that were rolled back",
                stats.rollbacks,
            ),
            (
                "db_retries",
                "Writing transactions that were run again",
                stats.retries,
            ),
            ("db_reads", "Reading transactions finished", stats.reads),
            ("db_statements", "Statements run", stats.statements),
        ] {
            counter(encoder, name, help, value)?;
        }
        for (name, help, value) in [
            (
                "db_largest_batch",
                "Writes that rode in the largest commit",
                stats.largest_batch,
            ),
            (
                "db_write_queue",
                "Writing transactions that wait or run now",
                stats.write_queue,
            ),
            (
                "db_read_queue",
                "Reading transactions that wait or run now",
                stats.read_queue,
            ),
        ] {
            gauge(encoder, name, help, value)?;
        }
        Ok(())
    }

    fn encode_log(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.serving.log_stats();
        for (name, help, value) in [
            ("predictions_logged", "Rows answered and logged", stats.logged),
            ("predictions_sealed", "Rows stored as Parquet", stats.sealed),
            (
                "predictions_shadow_dropped",
                "Copies for shadow versions that were dropped because too many were under way",
                stats.shadows_dropped,
            ),
        ] {
            counter(encoder, name, help, value)?;
        }
        gauge(
            encoder,
            "predictions_open_rows",
            "Rows in the open segment of the log",
            stats.open_rows,
        )?;
        gauge(
            encoder,
            "predictions_open_bytes",
            "Bytes in the open segment of the log",
            stats.open_bytes,
        )
    }

    fn encode_webhooks(
        &self,
        messages: Counts,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> Result<(), fmt::Error> {
        let attempts = self.outbox.attempts();
        let help = "Messages to webhooks that were tried, by how that ended";
        let metric = ConstCounter::new(0_u64).metric_type();
        let mut family = encoder.encode_descriptor("webhook_attempts", help, None, metric)?;
        for (outcome, value) in [("delivered", attempts.delivered), ("failed", attempts.failed)] {
            ConstCounter::new(value).encode(family.encode_family(&[("outcome", outcome)])?)?;
        }
        let help = "Messages to webhooks, by where they stand";
        let mut family = encoder.encode_descriptor("webhook_messages", help, None, MetricType::Gauge)?;
        for (state, value) in [("pending", messages.pending), ("dead", messages.dead)] {
            ConstGauge::new(signed(value)).encode(family.encode_family(&[("state", state)])?)?;
        }
        Ok(())
    }
}

fn encode_lags(lags: &[Lag], encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let help = "Events that wait for a consumer of the ledger";
    let mut family = encoder.encode_descriptor("ledger_lag_events", help, None, MetricType::Gauge)?;
    for lag in lags {
        let labels = [("consumer", lag.consumer.as_str())];
        ConstGauge::new(signed(lag.behind)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    let metric = ConstCounter::new(value);
    let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
    metric.encode(encoder)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
    let metric = ConstGauge::new(signed(value));
    let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
    metric.encode(encoder)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
