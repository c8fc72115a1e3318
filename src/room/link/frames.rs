//! Frames on a connection: writing the next, and what is wrong with those that cannot be read.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink as _, SinkExt};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError};

use super::connection::{Broken, Connection, Outgoing};
use super::dialect::{Dialect, Written};
use super::shared::Shared;
use super::socket::Frame;
use crate::room::error::close_code;
use crate::room::message::FrameError;

pub(super) type Sink = SplitSink<Connection, Outgoing>;
pub(super) type Stream = SplitStream<Connection>;

/// The close code for a frame that no room may send, and what the runtime is told. `violation` is the dialect's code for
/// what breaks the WebSocket protocol, `max` its largest frame.
pub(super) fn fault(error: &Broken, violation: u16, max: usize) -> Option<(u16, FrameError)> {
    let Broken::Socket(error) = error else { return None };
    match error {
        WsError::Capacity(CapacityError::MessageTooLong { size, .. }) => {
            Some((close_code::TOO_LARGE, FrameError::TooLarge { size: *size, max }))
        }
        WsError::Utf8(_) => Some((close_code::NOT_UTF8, FrameError::NotAMessage { detail: "not UTF-8".to_owned() })),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        WsError::Protocol(breach) => Some((violation, FrameError::NotAMessage { detail: breach.to_string() })),
        _ => None,
    }
}

/// Ready to take a message, or done with sending those that it took.
pub(super) fn poll_write(sink: &mut Sink, cx: &mut Context<'_>, more: bool) -> Poll<Result<(), Broken>> {
    let sink = Pin::new(sink);
    if more { sink.poll_ready(cx) } else { sink.poll_flush(cx) }
}

/// What waits to be written: a ping, then the rest of a message that takes several frames, then the next message.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) ping: bool,
    rest: VecDeque<Written>,
}

impl Writer {
    /// What is to be said before anything else: answers of the dialect itself.
    pub(super) fn reply(&mut self, written: Written) {
        self.rest.push_back(written);
    }

    pub(super) fn has_output(&self, shared: &Shared) -> bool {
        self.ping || !self.rest.is_empty() || shared.lock().has_output()
    }

    /// Hands the next frame to a sink that is ready.
    pub(super) fn write_next(
        &mut self,
        sink: &mut Sink,
        shared: &Shared,
        dialect: &mut dyn Dialect,
    ) -> Result<(), Broken> {
        if std::mem::take(&mut self.ping) {
            return sink.start_send_unpin(Outgoing::Frame(Frame::Ping(Bytes::new())));
        }
        if self.rest.is_empty() {
            let Some((message, waited)) = shared.lock().next_output() else { return Ok(()) };
            match dialect.write(&message) {
                Ok(frames) => self.rest.extend(frames.into_iter().map(|frame| frame.after(waited))),
                Err(error) => tracing::error!(%error, "a message to the room was not sent"),
            }
        }
        self.rest.pop_front().map_or(Ok(()), |frame| sink.start_send_unpin(frame.into()))
    }
}
