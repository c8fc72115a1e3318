//! The client of the native dialect: one task that keeps the connection to a room, come what may, and a
//! [`RoomHandle`] for the runtime.
//!
//! The task never waits for the runtime and the runtime never for the task: both queues are bounded, and what happens
//! when they are full is written down at `room::queue`.
//!
//! `client` is that task, `pump` its way from the socket to the runtime, `frames` what it makes of frames; `shared` is
//! what it shares with the handle.

mod client;
mod frames;
mod pump;
mod shared;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use url::Url;

use self::client::Client;
use self::shared::Shared;
use super::error::RoomEvent;
use super::message::SidecarMessage;
use super::pace::Backoff;
use crate::config::secret::Secret;

/// Which room, and how patiently.
#[derive(Debug, Clone)]
pub struct RoomConfig {
    /// `ws://` or `wss://`.
    pub url: Url,
    /// The room to ask for.
    pub room_name: String,
    /// Bearer token.
    pub token: Option<Secret>,
    /// Certificate authorities to trust besides the platform's, in PEM form.
    pub ca_file: Option<PathBuf>,
    /// From TCP to the end of the WebSocket handshake (10 s).
    pub connect_timeout: Duration,
    /// From `hello` to `welcome` (10 s).
    pub welcome_timeout: Duration,
    /// Between pings (15 s).
    pub heartbeat: Duration,
    /// So many unanswered pings and the connection is dead (2).
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

impl RoomConfig {
    /// The defaults.
    #[must_use]
    pub fn new(url: Url, room_name: impl Into<String>) -> Self {
        Self {
            url,
            room_name: room_name.into(),
            token: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            welcome_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            missed_heartbeats: 2,
            give_up_after: Duration::from_secs(120),
            close_timeout: Duration::from_secs(2),
            inbox_limit: 256,
            backoff: Backoff::default(),
        }
    }
}

/// Starts to keep a connection to a room. Must be called inside a tokio runtime.
#[must_use]
pub fn connect(config: RoomConfig) -> RoomHandle {
    let shared = Arc::new(Shared::default());
    // One slot: what waits is in the inbox, where interims can still be dropped.
    let (events, incoming) = mpsc::channel(1);
    let close_timeout = config.close_timeout;
    let client = Client::new(config, Arc::clone(&shared), events);
    RoomHandle { shared, incoming, task: tokio::spawn(client.run()), close_timeout }
}

/// The runtime's end of a room connection. Dropping it cuts the connection; [`RoomHandle::close`] says goodbye.
#[derive(Debug)]
pub struct RoomHandle {
    shared: Arc<Shared>,
    incoming: mpsc::Receiver<RoomEvent>,
    task: JoinHandle<()>,
    close_timeout: Duration,
}

impl RoomHandle {
    /// The next event; cancel-safe. After the last one, [`RoomEvent::Over`] for ever.
    pub async fn next(&mut self) -> RoomEvent {
        self.incoming.recv().await.unwrap_or(RoomEvent::Over)
    }

    /// Says something to the room. Never blocks; while there is no connection, commands, tool results and the latest
    /// `sentiment` and `tone` wait for the next one, and the registered tools are registered again.
    pub fn send(&self, message: SidecarMessage) {
        self.shared.lock().outbox.push(Instant::now().into_std(), message);
        self.shared.changed.notify_one();
    }

    /// This message and all that [`RoomHandle::next`] returned before it have been dealt with durably: they may be
    /// acked, and the room may forget them.
    pub fn processed(&self, seq: u64) {
        self.shared.lock().ledger.processed(seq);
        self.shared.changed.notify_one();
    }

    /// Sends what is queued, acks what was processed, and closes with 1000, all within the configured time.
    pub async fn close(mut self) {
        // Tells the task that nobody takes events any more.
        self.incoming.close();
        self.shared.closing.cancel();
        if timeout(self.close_timeout, &mut self.task).await.is_err() {
            tracing::debug!("the connection to the room did not close in time");
        }
    }
}

impl Drop for RoomHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}
