//! One transaction from begin to commit, and again when that can help.
//!
//! A collision with others (serialization failure, deadlock) or a connection lost before the commit leaves nothing
//! behind, so the closure is run again, a bounded number of times with growing pauses. A connection lost *during* the
//! commit leaves a doubt, which [`commit`](super::commit) settles by asking the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{Client, Object, PoolError, TimeoutType};
use everloop_core::Hash;
use tokio_postgres::SimpleQueryMessage;

use super::Store;
use super::commit::{self, Fate, Ticket};
use super::errors::{self, Cure};
use super::session::Session;
use crate::tx::{Access, Engine};
use crate::{Error, Result, Tx, job};

/// How often a transaction is tried before its last failure is the answer. The pauses add up to about four seconds,
/// which outlasts a server's restart.
const ATTEMPTS: u32 = 9;
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// After this long no further attempt begins, however few there were.
const LONGEST: Duration = Duration::from_secs(30);

/// How one attempt ended.
enum End<T, E> {
    /// With the closure's answer, kept if it is `Ok`, or an error that no repetition cures.
    Done(Result<T, E>),
    /// With nothing kept; trying again may help.
    Again(Error),
    /// In doubt: the connection broke during the commit.
    Doubt {
        value: T,
        ticket: Ticket,
        problem: String,
    },
}

/// What an attempt leaves to its caller beside the end.
struct Left<T, E> {
    end: End<T, E>,
    wakes: Vec<&'static str>,
    statements: u64,
}

pub(crate) async fn run<T, E, F>(store: &Store, access: Access, mut f: F) -> Result<T, E>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let begun = Instant::now();
    let mut attempt = 1;
    loop {
        let is_last = attempt == ATTEMPTS || begun.elapsed() > LONGEST;
        let (end, doubtful) = match connection(store).await {
            Err((error, Cure::None)) => return Err(E::from(error)),
            Err((error, _)) => (End::Again(error), Vec::new()),
            Ok(client) => {
                let (back, left) = attempt_on(store, client, access, f).await?;
                f = back;
                store.counters.statements(left.statements);
                (left.end, left.wakes)
            }
        };
        let kept = match end {
            End::Done(done) => Some(done),
            End::Again(error) if is_last => Some(Err(E::from(error))),
            End::Again(_) => None,
            End::Doubt {
                value,
                ticket,
                problem,
            } => match commit::settle(store, &ticket).await {
                Fate::Kept => {
                    doubtful.iter().for_each(|channel| store.wakes.wake(channel));
                    Some(Ok(value))
                }
                Fate::Lost if !is_last => None,
                Fate::Lost => Some(Err(E::from(Error::Unavailable { problem }))),
                Fate::Unknown => Some(Err(E::from(Error::CommitUnknown { problem }))),
            },
        };
        if let Some(done) = kept {
            if done.is_ok() && access == Access::Write {
                store.counters.commit(1);
            }
            return done;
        }
        store.counters.retry();
        pause(&store.instance, attempt).await;
        attempt += 1;
    }
}

/// A connection of the pool, or why there is none and whether waiting helps.
pub(crate) async fn connection(store: &Store) -> Result<Client, (Error, Cure)> {
    store.pool.get().await.map_err(|error| match error {
        PoolError::Timeout(TimeoutType::Wait) => {
            let waiting = store.pool.status().waiting;
            (Error::QueueFull { waiting }, Cure::None)
        }
        PoolError::Closed => (Error::Closed, Cure::None),
        PoolError::Backend(error)
        | PoolError::PostCreateHook(deadpool_postgres::HookError::Backend(error)) => {
            let failure = errors::translate(&error, Access::Write, "connect");
            let cure = match &failure.error {
                // Wrong password, no such database: the server said no, and will again.
                Error::Statement { .. } => Cure::None,
                _ => Cure::Reconnect,
            };
            let problem = errors::chain(&error);
            (Error::Unavailable { problem }, cure)
        }
        error => {
            let problem = errors::chain(&error);
            (Error::Unavailable { problem }, Cure::Reconnect)
        }
    })
}

/// Runs one attempt on a blocking thread; gives the closure back for the next.
async fn attempt_on<T, E, F>(
    store: &Store,
    client: Client,
    access: Access,
    mut f: F,
) -> Result<(F, Left<T, E>), E>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let mut session = Session::new(
        client,
        store.runtime.clone(),
        access,
        store.connector.schema.clone(),
    );
    let notify = commit::Notify {
        schema: store.connector.schema.clone(),
        instance: store.instance.clone(),
    };
    let timeline = store.timeline.lock().clone();
    let wakes = Arc::clone(&store.wakes);
    let joined = tokio::task::spawn_blocking(move || {
        let left = attempt_once(&mut session, &notify, timeline, &mut f);
        put_back(session);
        // Here, for the caller may have gone, and those who wait must hear of it all the same.
        if matches!(left.end, End::Done(Ok(_)) | End::Doubt { .. }) {
            left.wakes.iter().for_each(|channel| wakes.wake(channel));
        }
        (f, left)
    })
    .await;
    joined.map_err(|error| {
        E::from(Error::Panicked {
            message: error.to_string(),
        })
    })
}

fn attempt_once<T, E, F>(
    session: &mut Session,
    notify: &commit::Notify,
    timeline: Option<String>,
    f: &mut F,
) -> Left<T, E>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E>,
    E: From<Error>,
{
    let ticket = match begin(session, timeline) {
        Ok(ticket) => ticket,
        Err(error) => {
            let end = match session.cure {
                Cure::None => End::Done(Err(E::from(error))),
                Cure::Retry | Cure::Reprepare | Cure::Reconnect => End::Again(error),
            };
            return Left {
                end,
                wakes: Vec::new(),
                statements: 0,
            };
        }
    };
    let access = session.access;
    let mut tx = Tx::new(Engine::Postgres(session), access);
    let outcome = job::run(f, &mut tx);
    let (wakes, statements, failure) = (tx.take_wakes(), tx.statements(), tx.failure().cloned());
    let end = match (outcome, failure) {
        // What the closure made of a lost connection or a collision does not matter.
        (_, Some(error)) if session.cure != Cure::None => {
            roll_back(session);
            End::Again(error)
        }
        (Err(error), _) => {
            roll_back(session);
            End::Done(Err(error))
        }
        (Ok(value), _) => finish(session, notify, &wakes, ticket, value),
    };
    Left {
        end,
        wakes,
        statements,
    }
}

/// Begins, and in the same trip asks what to settle a doubtful commit by.
fn begin(session: &mut Session, timeline: Option<String>) -> Result<Ticket> {
    if session.access == Access::Read {
        session.begin_with_first("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        return Ok(Ticket { xid: None, timeline });
    }
    let sql = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_current_xact_id()::text AS xid";
    let answer = session.runtime.block_on(session.client.simple_query(sql));
    let messages = answer.map_err(|error| session.failed(&error, sql))?;
    let xid = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get("xid").map(str::to_owned),
        _ => None,
    });
    Ok(Ticket { xid, timeline })
}

fn finish<T, E: From<Error>>(
    session: &mut Session,
    notify: &commit::Notify,
    wakes: &[&'static str],
    ticket: Ticket,
    value: T,
) -> End<T, E> {
    if session.access == Access::Read {
        roll_back(session);
        return End::Done(Ok(value));
    }
    let sql = notify.and_commit(wakes);
    let answer = session.runtime.block_on(session.client.batch_execute(&sql));
    let Err(error) = answer else {
        return End::Done(Ok(value));
    };
    let said_no = error.as_db_error().is_some();
    let failure = session.failed(&error, "COMMIT");
    match session.cure {
        // The server's own words came back, so it did not commit.
        Cure::None if said_no => {
            roll_back(session);
            End::Done(Err(E::from(failure)))
        }
        Cure::Retry => {
            roll_back(session);
            End::Again(failure)
        }
        _ => End::Doubt {
            value,
            ticket,
            problem: failure.to_string(),
        },
    }
}

fn roll_back(session: &mut Session) {
    if session.access == Access::Read {
        return session.send_end("ROLLBACK");
    }
    let cure = session.cure;
    if session.control("ROLLBACK").is_err() {
        session.cure = Cure::Reconnect;
    } else {
        session.cure = cure;
    }
}

/// Gives the connection back to the pool, unless it is of no more use.
fn put_back(session: Session) {
    match session.cure {
        Cure::Reconnect => drop(Object::take(session.client)),
        Cure::Reprepare => {
            // The other connections have prepared it before the change, too.
            if let Some(pool) = Object::pool(&session.client) {
                pool.manager().statement_caches.clear();
            }
        }
        Cure::None | Cure::Retry => session.tidy(),
    }
}

/// Waits before the next attempt: twice as long each time, and not as long as others who collided with us.
async fn pause(instance: &str, attempt: u32) {
    let longest = FIRST_PAUSE * 2_u32.pow(attempt);
    let spread = Hash::of(format!("{instance} {attempt} {:?}", std::thread::current().id()).as_bytes());
    let share = 0.5 + f64::from(spread.as_bytes()[0]) / 512.0;
    tokio::time::sleep(longest.mul_f64(share)).await;
}
