//! The native dialect, `sentiment-sidecar.room.v1`: JSON text frames whose messages are the vocabulary itself
//! ([`crate::room::message`]), numbered, acknowledged and resumable. `DIALECT.md` beside `room` describes it for people who
//! build a platform side.

use std::time::Duration;

use serde_json::Value;

use crate::room::error::{RoomError, close_code};
use crate::room::link::dialect::{
    Credentials, Dialect, Greeting, Handshake, Heard, Limits, Received, Unsayable, Written,
};
use crate::room::message::{About, FrameError, MAX_FRAME, RoomMessage, SUBPROTOCOL, SidecarMessage, VERSION};

/// The translator.
#[derive(Debug, Clone, Copy, Default)]
pub struct Native;

impl Dialect for Native {
    fn handshake(&self) -> Handshake {
        Handshake { subprotocol: Some(SUBPROTOCOL), credentials: Credentials::Bearer }
    }

    fn limits(&self) -> Limits {
        Limits {
            max_frame: MAX_FRAME,
            violation: close_code::PROTOCOL,
            heartbeat: Duration::from_secs(15),
            missed_heartbeats: 2,
        }
    }

    fn hello(&mut self, greeting: Greeting<'_>) -> Vec<Written> {
        let hello = SidecarMessage::Hello {
            versions: vec![VERSION],
            about: About { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            room_name: greeting.room_name.to_owned(),
            resume: greeting.resume.cloned(),
        };
        self.write(&hello).unwrap_or_else(|error| {
            tracing::error!(%error, "hello could not be said");
            Vec::new()
        })
    }

    fn read(&mut self, frame: Received<'_>) -> Vec<Heard> {
        let text = match frame {
            Received::Text(text) => text,
            Received::Binary(bytes) => {
                let detail = format!("a binary frame of {} bytes, where only text frames are spoken", bytes.len());
                return vec![Heard::Bad { seq: None, error: FrameError::NotAMessage { detail } }];
            }
            Received::Livekit(_) | Received::Tapped(_) | Received::Answered { .. } => return Vec::new(),
        };
        let (seq, outcome) = read_text(text);
        vec![match outcome {
            Ok(Some(RoomMessage::Welcome(welcome))) if welcome.version != VERSION => {
                let chosen = welcome.version;
                let reason = format!("version {chosen} was not offered");
                Heard::Unacceptable { error: RoomError::Version { chosen }, code: close_code::PROTOCOL, reason }
            }
            Ok(Some(RoomMessage::Welcome(welcome))) => Heard::Welcome(welcome),
            Ok(message) => Heard::Message { seq, message },
            Err(error) => Heard::Bad { seq, error },
        }]
    }

    fn write(&mut self, message: &SidecarMessage) -> Result<Vec<Written>, Unsayable> {
        let text =
            serde_json::to_string(message).map_err(|error| Unsayable::Unwritable { detail: error.to_string() })?;
        // A frame that is larger than the dialect allows would cost us the connection.
        if text.len() > MAX_FRAME {
            return Err(Unsayable::TooLarge { size: text.len(), max: MAX_FRAME });
        }
        Ok(vec![Written::Text(text)])
    }
}

/// Reads a frame, and its `seq` even if nothing else in it can be used: its place in the sequence is taken.
fn read_text(text: &str) -> (Option<u64>, Result<Option<RoomMessage>, FrameError>) {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => {
            let seq = value.get("seq").and_then(Value::as_u64);
            (seq, RoomMessage::from_value(value))
        }
        Err(_) => (None, RoomMessage::parse(text)),
    }
}
