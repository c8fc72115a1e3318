//! What every dialect shares on its way to the core: one task that keeps the connection to a room, come what may, and a
//! [`RoomHandle`] for the runtime.
//!
//! The task never waits for the runtime and the runtime never for the task: both queues are bounded, and what happens
//! when they are full is written down at `queue`.
//!
//! [`dialect`] is what a dialect has to say for itself. `client` is the task, `pump` its way from the socket to the runtime,
//! `frames` its way from the runtime to the socket; `shared` is what it shares with the handle. `connections` is where its
//! connections come from, `connection` what they have in common, `calls` the HTTP API beside a WebSocket. [`sequence`] has order, duplicates and acks, [`pace`]
//! heartbeat and back-off, [`socket`] the dialling.

mod calls;
mod client;
mod connection;
mod connections;
pub mod dialect;
mod frames;
pub mod pace;
mod pump;
mod queue;
pub mod sequence;
mod shared;
pub mod socket;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use url::Url;

use self::client::Client;
use self::dialect::{Dialect, Limits};
use self::pace::Backoff;
use self::shared::Shared;
use self::socket::RoomSocket;
use super::error::RoomEvent;
use super::message::SidecarMessage;
use crate::config::secret::Secret;
use crate::room::livekit::token::Key;
use crate::room::twilio::tap::Tap;
use crate::tls::Authorities;

/// How connections to a room come about.
pub enum Way {
    /// We dial.
    Dial {
        /// `ws://` or `wss://`.
        url: Url,
        /// The room's token.
        token: Option<Secret>,
    },
    /// The room dials us: whoever listens hands each accepted connection over, the first one and those after a cut.
    Accept(mpsc::Receiver<RoomSocket>),
    /// The call passes through this process: whoever carries it hands each tap over, the first one and those after a cut.
    Tap(mpsc::Receiver<Tap>),
    /// We join a LiveKit room as a participant.
    Join {
        /// `ws://` or `wss://`.
        url: Url,
        /// What lets us in.
        key: Key,
    },
}

/// How long what may take.
#[derive(Debug, Clone)]
pub struct Patience {
    /// From TCP to the end of the WebSocket handshake; where the room dials, until it does (10 s).
    pub connect_timeout: Duration,
    /// From `hello` to `welcome` (10 s).
    pub welcome_timeout: Duration,
    /// Between pings (the dialect's).
    pub heartbeat: Duration,
    /// So many unanswered pings and the connection is dead (the dialect's).
    pub missed_heartbeats: u32,
    /// The first failure after so long without a connection is the last (120 s).
    pub give_up_after: Duration,
    /// How long [`RoomHandle::close`] may take (2 s).
    pub close_timeout: Duration,
    /// Messages that wait for the runtime before the socket is no longer read (256).
    pub inbox_limit: usize,
    /// Delays between attempts (0.25 s to 15 s).
    pub backoff: Backoff,
}

impl Patience {
    /// The defaults for a dialect of these limits.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            welcome_timeout: Duration::from_secs(10),
            heartbeat: limits.heartbeat,
            missed_heartbeats: limits.missed_heartbeats,
            give_up_after: Duration::from_secs(120),
            close_timeout: Duration::from_secs(2),
            inbox_limit: 256,
            backoff: Backoff::default(),
        }
    }
}

/// Starts the task that keeps a connection.
pub(super) fn keep(
    dialect: Box<dyn Dialect>,
    way: Way,
    room_name: String,
    patience: Patience,
    authorities: Authorities,
) -> RoomHandle {
    let shared = Arc::new(Shared::default());
    // One slot: what waits is in the inbox, where interims can still be dropped.
    let (events, incoming) = mpsc::channel(1);
    let close_timeout = patience.close_timeout;
    let client = Client::new(dialect.limits(), room_name, patience, Arc::clone(&shared), events);
    let task = Some(tokio::spawn(client.run(dialect, way, authorities)));
    RoomHandle { shared, incoming, task, close_timeout }
}

/// The runtime's end of a room connection. Dropping it cuts the connection; [`RoomHandle::close`] says goodbye.
#[derive(Debug)]
pub struct RoomHandle {
    shared: Arc<Shared>,
    incoming: mpsc::Receiver<RoomEvent>,
    /// None once it has ended, and was heard of.
    task: Option<JoinHandle<()>>,
    close_timeout: Duration,
}

impl RoomHandle {
    /// The next event; cancel-safe. After the last one, [`RoomEvent::Over`] for ever.
    pub async fn next(&mut self) -> RoomEvent {
        if let Some(event) = self.incoming.recv().await {
            return event;
        }
        // Who drops its end of the channel is about to end, one way or another.
        let Some(task) = &mut self.task else { return RoomEvent::Over };
        let ended = task.await;
        self.task = None;
        if ended.is_err_and(|error| error.is_panic()) { RoomEvent::Broke } else { RoomEvent::Over }
    }

    /// Says something to the room. Never blocks; while there is no connection, commands, tool results and the latest
    /// `sentiment` and `tone` wait for the next one, and the registered tools are registered again.
    pub fn send(&self, message: SidecarMessage) {
        self.shared.lock().outbox.push(Instant::now().into_std(), message);
        self.shared.changed.notify_one();
    }

    /// This message and all that [`RoomHandle::next`] returned before it have been dealt with durably: they may be
    /// acked.
    pub fn processed(&self, seq: u64) {
        self.shared.lock().ledger.processed(seq);
        self.shared.changed.notify_one();
    }

    /// Sends what is queued, acks what was processed, and closes with 1000, all within the configured time.
    pub async fn close(mut self) {
        // Tells the task that nobody takes events any more.
        self.incoming.close();
        self.shared.closing.cancel();
        let Some(task) = &mut self.task else { return };
        if timeout(self.close_timeout, task).await.is_err() {
            tracing::debug!("the connection to the room did not close in time");
        }
    }
}

impl Drop for RoomHandle {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(task: impl FnOnce(mpsc::Sender<RoomEvent>) + Send + 'static) -> RoomHandle {
        let (events, incoming) = mpsc::channel(1);
        let task = Some(tokio::spawn(async move { task(events) }));
        RoomHandle { shared: Arc::default(), incoming, task, close_timeout: Duration::from_secs(2) }
    }

    #[tokio::test]
    async fn a_connection_that_breaks_off_by_a_bug_is_not_over() {
        let mut broken = handle(|_events| panic!("on purpose"));
        assert!(matches!(broken.next().await, RoomEvent::Broke));
        assert!(matches!(broken.next().await, RoomEvent::Over), "nothing follows");
        broken.close().await;
        let mut over = handle(drop);
        assert!(matches!(over.next().await, RoomEvent::Over));
        over.close().await;
    }
}
