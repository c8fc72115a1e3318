//! A connection to a room, whatever it is made of: a WebSocket, a participant, or a tap where a call passes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::calls::{Answered, Calls};
use super::dialect::{Call, Received, Written};
use super::socket::{Frame, RoomSocket, cut_error};
use crate::room::error::RoomError;
use crate::room::livekit::participant::{Participant, Word};
use crate::room::livekit::seen::{Act, Seen};
use crate::room::twilio::tap::{Heard, Injection, Tap, Tapped};

/// A connection, before any message.
pub(super) enum Connection {
    /// With the API of the server that it was dialled at.
    Socket(Box<RoomSocket>, Option<Arc<Mutex<Calls>>>),
    Participant(Participant),
    Tap(Tap),
}

/// What comes over one.
#[derive(Debug)]
pub(super) enum Incoming {
    Frame(Frame),
    Seen(Box<Seen>),
    Tapped(Tapped),
    Answered(Answered),
}

impl Incoming {
    /// What a dialect reads of it; nothing of what is the connection's own business.
    pub(super) fn content(&self) -> Option<Received<'_>> {
        match self {
            Self::Frame(Frame::Text(text)) => Some(Received::Text(text)),
            Self::Frame(Frame::Binary(bytes)) => Some(Received::Binary(bytes)),
            Self::Frame(Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) | Frame::Frame(_)) => None,
            Self::Seen(seen) => Some(Received::Livekit(seen)),
            Self::Tapped(tapped) => Some(Received::Tapped(tapped)),
            Self::Answered(Answered { id, answer }) => Some(Received::Answered { id, answer }),
        }
    }
}

/// What goes out over one. A participant takes of frames those that are the connection's own business.
#[derive(Debug)]
pub(super) enum Outgoing {
    Frame(Frame),
    Act(Box<Act>),
    Injection(Injection),
    Call(Call),
}

impl From<Written> for Outgoing {
    fn from(written: Written) -> Self {
        match written {
            Written::Text(text) => Self::Frame(Frame::text(text)),
            Written::Binary(bytes) => Self::Frame(Frame::binary(bytes)),
            Written::Livekit(act) => Self::Act(act),
            Written::Tapped(injection) => Self::Injection(injection),
            Written::Call(call) => Self::Call(call),
        }
    }
}

/// How one broke.
#[derive(Debug)]
pub(super) enum Broken {
    Socket(WsError),
    Participant(RoomError),
}

impl From<WsError> for Broken {
    fn from(error: WsError) -> Self {
        Self::Socket(error)
    }
}

impl From<RoomError> for Broken {
    fn from(error: RoomError) -> Self {
        Self::Participant(error)
    }
}

impl Broken {
    pub(super) const CLOSED: Self = Self::Socket(WsError::ConnectionClosed);

    /// What it means.
    pub(super) fn error(&self) -> RoomError {
        match self {
            Self::Socket(error) => cut_error(error),
            Self::Participant(error) => error.clone(),
        }
    }
}

impl Connection {
    /// Says goodbye.
    pub(super) async fn close(&mut self, frame: CloseFrame) -> Result<(), Broken> {
        self.send(Outgoing::Frame(Frame::Close(Some(frame)))).await
    }
}

/// The calls of a server, which outlive its connections.
fn begun(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    // Nothing panics while it holds the lock.
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream for Connection {
    type Item = Result<Incoming, Broken>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match self.get_mut() {
            Self::Socket(socket, calls) => {
                if let Some(calls) = calls
                    && let Poll::Ready(answered) = begun(calls).poll_next(cx)
                {
                    return Poll::Ready(Some(Ok(Incoming::Answered(answered))));
                }
                ready!(socket.poll_next_unpin(cx)).map(|frame| frame.map(Incoming::Frame).map_err(Broken::Socket))
            }
            Self::Participant(participant) => ready!(participant.poll_next(cx)).map(|word| match word {
                Ok(Word::Seen(seen)) => Ok(Incoming::Seen(seen)),
                Ok(Word::Alive) => Ok(Incoming::Frame(Frame::Pong(Vec::new().into()))),
                Err(error) => Err(Broken::Participant(error)),
            }),
            Self::Tap(tap) => ready!(tap.poll_next(cx)).map(|heard| match heard {
                Ok(Heard::Tapped(tapped)) => Ok(Incoming::Tapped(tapped)),
                Ok(Heard::Alive) => Ok(Incoming::Frame(Frame::Pong(Vec::new().into()))),
                Err(error) => Err(Broken::Participant(error)),
            }),
        })
    }
}

impl Sink<Outgoing> for Connection {
    type Error = Broken;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self.get_mut() {
            Self::Socket(socket, _) => socket.poll_ready_unpin(cx).map_err(Broken::Socket),
            Self::Participant(participant) => participant.poll_ready(cx).map_err(Broken::Participant),
            // It takes whatever there is to say; commands are few.
            Self::Tap(_) => Poll::Ready(Ok(())),
        }
    }

    fn start_send(self: Pin<&mut Self>, out: Outgoing) -> Result<(), Broken> {
        match (self.get_mut(), out) {
            (Self::Socket(socket, _), Outgoing::Frame(frame)) => socket.start_send_unpin(frame)?,
            (Self::Socket(_, Some(calls)), Outgoing::Call(call)) => begun(calls).begin(call),
            (Self::Participant(participant), Outgoing::Act(act)) => participant.act(act)?,
            (Self::Participant(participant), Outgoing::Frame(Frame::Ping(_))) => participant.ping()?,
            (Self::Participant(participant), Outgoing::Frame(Frame::Close(_))) => participant.leave()?,
            (Self::Tap(tap), Outgoing::Injection(injection)) => tap.inject(injection)?,
            (Self::Tap(tap), Outgoing::Frame(Frame::Ping(_))) => tap.ping(),
            (Self::Tap(tap), Outgoing::Frame(Frame::Close(_))) => tap.leave(),
            (Self::Socket(..), Outgoing::Act(_) | Outgoing::Call(_) | Outgoing::Injection(_))
            | (Self::Participant(_), Outgoing::Frame(_) | Outgoing::Call(_) | Outgoing::Injection(_))
            | (Self::Tap(_), Outgoing::Frame(_) | Outgoing::Act(_) | Outgoing::Call(_)) => {
                tracing::error!("the dialect writes what its connection cannot carry");
            }
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self.get_mut() {
            Self::Socket(socket, _) => socket.poll_flush_unpin(cx).map_err(Broken::Socket),
            Self::Participant(_) | Self::Tap(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self.get_mut() {
            Self::Socket(socket, _) => socket.poll_close_unpin(cx).map_err(Broken::Socket),
            Self::Participant(_) | Self::Tap(_) => Poll::Ready(Ok(())),
        }
    }
}
