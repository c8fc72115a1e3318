//! Frames: reading one, writing the next, and what is wrong with those that cannot be read.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink as _, SinkExt};
use serde_json::Value;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError};

use super::shared::Shared;
use crate::room::error::close_code;
use crate::room::message::{FrameError, MAX_FRAME, RoomMessage};
use crate::room::socket::{Frame, RoomSocket};

pub(super) type Sink = SplitSink<RoomSocket, Frame>;
pub(super) type Stream = SplitStream<RoomSocket>;

/// Reads a frame, and its `seq` even if nothing else in it can be used: its place in the sequence is taken.
pub(super) fn read_frame(text: &str) -> (Option<u64>, Result<Option<RoomMessage>, FrameError>) {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => {
            let seq = value.get("seq").and_then(Value::as_u64);
            (seq, RoomMessage::from_value(value))
        }
        Err(_) => (None, RoomMessage::parse(text)),
    }
}

/// The close code for a frame that no room may send, and what the runtime is told.
pub(super) fn fault(error: &WsError) -> Option<(u16, FrameError)> {
    match error {
        WsError::Capacity(CapacityError::MessageTooLong { size, .. }) => {
            Some((close_code::TOO_LARGE, FrameError::TooLarge { size: *size }))
        }
        WsError::Utf8(_) => Some((close_code::NOT_UTF8, FrameError::NotAMessage { detail: "not UTF-8".to_owned() })),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        WsError::Protocol(violation) => {
            Some((close_code::PROTOCOL, FrameError::NotAMessage { detail: violation.to_string() }))
        }
        _ => None,
    }
}

/// Ready to take a message, or done with sending those that it took.
pub(super) fn poll_write(sink: &mut Sink, cx: &mut Context<'_>, more: bool) -> Poll<Result<(), WsError>> {
    let sink = Pin::new(sink);
    if more { sink.poll_ready(cx) } else { sink.poll_flush(cx) }
}

pub(super) fn write_next(sink: &mut Sink, shared: &Shared, ping: &mut bool) -> Result<(), WsError> {
    let frame = if std::mem::take(ping) { Some(Frame::Ping(Bytes::new())) } else { next_frame(shared) };
    frame.map_or(Ok(()), |frame| sink.start_send_unpin(frame))
}

/// The next of our messages as a frame. One that is larger than the dialect allows would cost us the connection.
fn next_frame(shared: &Shared) -> Option<Frame> {
    let message = shared.lock().next_output()?;
    match serde_json::to_string(&message) {
        Ok(text) if text.len() <= MAX_FRAME => Some(Frame::text(text)),
        Ok(text) => {
            tracing::error!(
                size = text.len(),
                "a message to the room is larger than {MAX_FRAME} bytes and was not sent"
            );
            None
        }
        Err(error) => {
            tracing::error!(%error, "a message to the room cannot be written as JSON and was not sent");
            None
        }
    }
}
