//! The connections to a room, one after another ([`Connections`]).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Way;
use super::calls::Calls;
use super::connection::Connection;
use super::dialect::Handshake;
use super::socket::{Dialer, RoomSocket, no_connection};
use crate::room::error::RoomError;
use crate::room::livekit::participant::Joiner;
use crate::room::twilio::tap::Tap;
use crate::tls::Authorities;

/// Where connections come from.
pub(super) enum Connections {
    /// Dialled.
    Dialled(Box<Dialer>, Arc<Mutex<Calls>>),
    /// Handed over by whoever listens.
    Accepted(mpsc::Receiver<RoomSocket>),
    /// Joined.
    Joined(Box<Joiner>),
    /// Handed over by whoever carries the call.
    Tapped(mpsc::Receiver<Tap>),
}

impl Connections {
    /// # Errors
    /// As for [`Dialer::new`] and [`Joiner::new`].
    pub(super) fn new(
        way: Way,
        room_name: &str,
        handshake: Handshake,
        max_frame: usize,
        authorities: &Authorities,
    ) -> Result<Self, RoomError> {
        match way {
            Way::Dial { url, token } => {
                let dialer = Dialer::new(&url, token.as_ref(), handshake, max_frame, authorities)?;
                let calls = Calls::new(&url, dialer.token().cloned(), authorities);
                Ok(Self::Dialled(Box::new(dialer), Arc::new(Mutex::new(calls))))
            }
            Way::Accept(connections) => Ok(Self::Accepted(connections)),
            Way::Tap(taps) => Ok(Self::Tapped(taps)),
            Way::Join { url, key } => Ok(Self::Joined(Box::new(Joiner::new(&url, key, room_name, authorities)?))),
        }
    }

    /// The next connection, within `limit`. One that only whoever carries the call can make is waited for as long as anybody does.
    pub(super) async fn next(&mut self, limit: Duration, longest: Duration) -> Result<Connection, RoomError> {
        let (socket, calls) = match self {
            Self::Dialled(dialer, calls) => (dialer.dial(limit).await?, Some(Arc::clone(calls))),
            Self::Accepted(connections) => (handed(connections, limit).await?, None),
            Self::Tapped(taps) => return handed(taps, longest).await.map(Connection::Tap),
            Self::Joined(joiner) => return joiner.next(limit).await.map(Connection::Participant),
        };
        Ok(Connection::Socket(Box::new(socket), calls))
    }
}

/// The next of those that somebody hands over, within `limit`.
async fn handed<T>(queue: &mut mpsc::Receiver<T>, limit: Duration) -> Result<T, RoomError> {
    match timeout(limit, queue.recv()).await {
        Ok(Some(one)) => Ok(one),
        Ok(None) => Err(RoomError::Unreachable { problem: "nobody listens for it any more".to_owned() }),
        Err(_) => Err(no_connection(limit)),
    }
}
