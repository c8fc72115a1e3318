//! Reading a frame from the room. What is said about a frame that cannot be used holds no word of the caller's.

use serde_json::Value;

use super::mend::mend;
use super::{MAX_FRAME, RoomMessage};
use crate::config::plain;

/// Why a frame could not be used. The connection goes on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Larger than the dialect's frames.
    #[error("frame of {size} bytes; at most {max} are allowed")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The most.
        max: usize,
    },
    /// Not JSON, or not an object with a string `type`.
    #[error("frame is not a JSON object with a \"type\": {detail}")]
    NotAMessage {
        /// What the parser said, without the caller's words.
        detail: String,
    },
    /// A known type with fields that do not fit.
    #[error("message \"{kind}\" does not fit: {detail}")]
    BadFields {
        /// Its type.
        kind: String,
        /// What the parser said, without the caller's words.
        detail: String,
    },
}

impl FrameError {
    /// Whether it is a message of this type whose fields do not fit.
    #[must_use]
    pub fn is_of(&self, wanted: &str) -> bool {
        matches!(self, Self::BadFields { kind, .. } if kind == wanted)
    }
}

impl RoomMessage {
    /// The types that [`RoomMessage::parse`] knows.
    pub const TYPES: [&'static str; 11] = [
        "welcome",
        "participant.joined",
        "participant.left",
        "transcript",
        "turn.ended",
        "agent.state",
        "tool.call",
        "command.result",
        "session.ended",
        "ack",
        "error",
    ];

    /// Reads one frame. `Ok(None)` is a message of a type that this version does not know, to be ignored.
    ///
    /// # Errors
    /// [`FrameError`] says what does not fit; nothing of the caller's words is in it.
    pub fn parse(frame: &str) -> Result<Option<Self>, FrameError> {
        if frame.len() > MAX_FRAME {
            return Err(FrameError::TooLarge { size: frame.len(), max: MAX_FRAME });
        }
        let value: Value = serde_json::from_str(frame).map_err(|e| FrameError::NotAMessage { detail: position(&e) })?;
        Self::from_value(value)
    }

    /// Like [`RoomMessage::parse`], from a parsed frame. What is wrong with a field beside a turn's words costs nobody the
    /// words: it is put right or dropped, and `mended` of the message names it.
    ///
    /// # Errors
    /// As for [`RoomMessage::parse`].
    pub fn from_value(mut value: Value) -> Result<Option<Self>, FrameError> {
        let Some(kind) = value.get("type").and_then(Value::as_str).map(str::to_owned) else {
            return Err(FrameError::NotAMessage { detail: "no string \"type\"".to_owned() });
        };
        if !Self::TYPES.contains(&kind.as_str()) {
            return Ok(None);
        }
        if let Some(message) = value.as_object_mut() {
            mend(&kind, message);
        }
        serde_json::from_value(value).map(Some).map_err(|e| FrameError::BadFields { kind, detail: shape_only(&e) })
    }
}

fn position(error: &serde_json::Error) -> String {
    format!("not JSON at line {}, column {}", error.line(), error.column())
}

/// serde's messages quote values; the part before the quote says enough, and no caller's words get into logs.
fn shape_only(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // A word that should be one of a few is told, but not at any length.
    if let Some((found, expected)) =
        text.strip_prefix("unknown variant `").and_then(|rest| rest.rsplit_once("`, expected "))
    {
        return format!("unknown variant `{}`, expected {expected}", plain(found));
    }
    match text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: ")) {
        Some(rest) => {
            let kind = rest.split_whitespace().next().unwrap_or("value");
            let expected = rest.rsplit_once("expected ").map_or("something else", |(_, e)| e);
            format!("found {kind}, expected {expected}")
        }
        None => text,
    }
}
