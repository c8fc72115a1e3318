//! A room that plays a script: the other side of the native dialect, for `room`, `demo` and tests.
//!
//! [`RoomServer::start`] listens and waits for a sidecar. The first `hello` starts the clock; from then on every
//! message of the [`Script`] goes out at its time. One thing is held back: a `command.result`, until the sidecar has
//! sent the command that it answers. Messages are numbered as they go out, and all are kept, so that a sidecar may
//! come back with `resume` or without.
//!
//! `stage` is what all connections share: what was said, and what waits to be said. `link` is one connection.

mod link;
mod stage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use self::stage::Room;
use super::message::{About, RoomMessage, SidecarMessage};
use super::script::{Script, Speed};
use crate::config::secret::Secret;

/// What a room saw.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerEvent {
    /// Somebody dialled and was turned away.
    TurnedAway {
        /// The HTTP status, or the close code.
        code: u16,
        /// Why.
        reason: String,
    },
    /// A sidecar joined.
    Joined {
        /// Who.
        about: About,
        /// Where it goes on from, when it does.
        resumed_after: Option<u64>,
    },
    /// The room said something, for the first time.
    Said(RoomMessage),
    /// The sidecar said something other than `hello`.
    Heard(SidecarMessage),
    /// The sidecar sent something unusable.
    BadFrame {
        /// What does not fit.
        detail: String,
    },
    /// A sidecar's connection ended.
    Left {
        /// The close code, where one was given.
        code: Option<u16>,
    },
    /// `session.ended` went out and the sidecar has acked everything, or left, or kept silent for
    /// [`RoomServer::FAREWELL`].
    Over,
}

/// A listening room. Dropping it cuts every connection.
#[derive(Debug)]
pub struct RoomServer {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl RoomServer {
    /// How long the room waits for the last ack before it closes.
    pub const FAREWELL: Duration = Duration::from_secs(5);

    /// Listens on `address` (port 0 picks a free one) and plays `script` for whoever presents `token`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(
        address: SocketAddr,
        script: Script,
        speed: Speed,
        token: Option<Secret>,
    ) -> std::io::Result<(Self, mpsc::UnboundedReceiver<ServerEvent>)> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (events, seen) = mpsc::unbounded_channel();
        let room = Arc::new(Room::new(&script, token, events));
        let task = tokio::spawn(run(listener, room, script.messages, speed));
        Ok((Self { address, _task: AbortOnDropHandle::new(task) }, seen))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to attach to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/room", self.address)
    }
}

async fn run(listener: TcpListener, room: Arc<Room>, messages: Vec<(u64, RoomMessage)>, speed: Speed) {
    // Dropped, and with it every task, when the server is.
    let mut tasks = JoinSet::new();
    tasks.spawn(play(Arc::clone(&room), messages, speed));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { tasks.spawn(link::serve(Arc::clone(&room), stream)); }
                // Too many open files, or a peer that left at once: neither is helped by spinning.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

/// Says what is due, from the first `hello` on.
async fn play(room: Arc<Room>, messages: Vec<(u64, RoomMessage)>, speed: Speed) {
    let mut version = room.version.subscribe();
    while room.lock().youngest == 0 {
        if version.changed().await.is_err() {
            return;
        }
    }
    let start = Instant::now();
    for (at_ms, message) in messages {
        if let Some(due) = start.checked_add(speed.scale(at_ms)) {
            sleep_until(due).await;
        }
        room.due(message);
    }
}
