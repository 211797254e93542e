//! Hears the wake-ups of other processes.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::AsyncMessage;

use super::commit::address;
use super::connect::{Connector, Link};
use super::errors;
use crate::wakes::Wakes;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The task that listens; it ends with this.
pub(crate) struct Listener(JoinHandle<()>);

impl Listener {
    pub(crate) fn start(runtime: &Handle, connector: Connector, instance: String, wakes: Arc<Wakes>) -> Self {
        Self(runtime.spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                match listen(&connector, &instance, &wakes).await {
                    Ok(()) => pause = FIRST_PAUSE,
                    Err(error) => {
                        tracing::warn!(
                            database = %connector.shown,
                            error = errors::chain(&error),
                            retry_ms = pause.as_millis() as u64,
                            "wake-ups of other processes can't be heard"
                        );
                    }
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens until the connection ends, having worked.
async fn listen(connector: &Connector, instance: &str, wakes: &Wakes) -> Result<(), tokio_postgres::Error> {
    let (client, link) = connector.connect().await?;
    let mut messages = Box::pin(messages(link));
    let register = format!("LISTEN {}", address(&connector.schema));
    let registered = client.batch_execute(&register);
    tokio::pin!(registered);
    let mut is_registered = false;
    loop {
        tokio::select! {
            done = &mut registered, if !is_registered => {
                done?;
                is_registered = true;
                // What was said while nobody listened can't be heard any more.
                wakes.wake_all();
            }
            message = messages.next() => match message {
                Some(Ok(AsyncMessage::Notification(note))) => hear(note.payload(), instance, wakes),
                Some(Ok(_)) => {}
                Some(Err(error)) if is_registered => {
                    tracing::info!(error = errors::chain(&error), "the listening connection ended");
                    return Ok(());
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
        }
    }
}

fn messages(mut link: Link) -> impl futures::Stream<Item = Result<AsyncMessage, tokio_postgres::Error>> {
    stream::poll_fn(move |context| link.poll_message(context))
}

/// Our own process was woken at its commit already.
fn hear(payload: &str, instance: &str, wakes: &Wakes) {
    match payload.split_once(' ') {
        Some((from, channel)) if from != instance => wakes.wake(channel),
        _ => {}
    }
}
