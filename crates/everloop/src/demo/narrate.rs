//! One line per thing that happens, read from the server's own event stream.

use everloop_server::api::ledger::LedgerEvent;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

use super::world::World;
use crate::output::Output;

/// The running narration.
pub struct Narration {
    bar: ProgressBar,
    events: Arc<Mutex<Vec<LedgerEvent>>>,
    reader: JoinHandle<()>,
}

/// Starts to tell what happens.
pub fn start(world: &World, output: Output) -> Narration {
    let bar = ProgressBar::new(0);
    if !output.is_interactive() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) =
        ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} flights, {elapsed} gone, {eta} to go")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    let events = Arc::new(Mutex::new(Vec::new()));
    let (client, told, shown) = (world.client().clone(), Arc::clone(&events), bar.clone());
    #[expect(clippy::disallowed_methods, reason = "the handle is kept and ended in `stop`")]
    let reader = tokio::spawn(async move {
        let Ok(mut stream) = client.stream("/api/v1/events?after=0").await else {
            return;
        };
        let mut rest = Vec::new();
        while let Some(Ok(part)) = stream.next().await {
            rest.extend_from_slice(&part);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let Some(event) = parse(&line) else { continue };
                if let Some(words) = words(&event) {
                    shown.suspend(|| output.note(&words));
                }
                told.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }
        }
    });
    Narration { bar, events, reader }
}

impl Narration {
    /// So many more flights will be played.
    pub fn expect_more(&self, flights: u64) {
        self.bar.inc_length(flights);
    }

    /// Some more flights were played.
    pub fn played(&self, month: &str, flights: u64) {
        self.bar.set_message(month.to_owned());
        self.bar.inc(flights);
    }

    /// Ends the narration; answers everything that happened.
    pub async fn stop(self) -> Vec<LedgerEvent> {
        self.bar.finish_and_clear();
        // What was committed last is on its way: the stream has it within a moment.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        self.reader.abort();
        let _ = self.reader.await;
        std::mem::take(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn parse(line: &[u8]) -> Option<LedgerEvent> {
    serde_json::from_slice(line.strip_prefix(b"data: ")?).ok()
}

/// The line that an event is worth; none for the small print.
fn words(event: &LedgerEvent) -> Option<String> {
    let text = |key: &str| event.payload.get(key).and_then(Value::as_str).unwrap_or_default();
    let said = match event.kind.as_str() {
        "decision" if text("outcome") == "held_back" => return None,
        "decision" => format!("{:<10} {}", text("kind"), text("words")),
        "dataset.version" => {
            format!(
                "{:<10} {} is new: {} rows",
                "data",
                event.subject.trim_start_matches("dataset:"),
                event.payload["rows"]
            )
        }
        "monitor.drift" | "monitor.performance" | "monitor.quality" => {
            format!(
                "{:<10} {}",
                event.kind.trim_start_matches("monitor."),
                text("words")
            )
        }
        "retraining.finished" => format!("{:<10} ended: {}", "loop", text("outcome")),
        _ => return None,
    };
    let at = event.at.0.to_rfc3339();
    let cut: String = said.chars().take(220).collect();
    Some(format!(
        "{}  {cut}",
        at.get(..16).unwrap_or(&at).replace('T', " ")
    ))
}
