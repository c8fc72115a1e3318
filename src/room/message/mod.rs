//! The messages of the native dialect (`sentiment-sidecar.room.v1`), which are also what the core understands and
//! what recordings hold. Other dialects translate into these.
//!
//! Unknown fields are ignored; a message of an unknown `type` is skipped by [`RoomMessage::parse`].
//!
//! - `call`: the call and who is in the room.
//! - `from_room`, `to_room`: the messages of either direction.
//! - [`tool`]: the tool that the agent is offered.
//! - `parse`: reading a frame, and what can be wrong with one.

mod call;
mod from_room;
mod mend;
mod parse;
mod to_room;
pub mod tool;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::call::{CallInfo, Participant, Role, SipDialog, TakenAlert, capability};
pub use self::from_room::{AgentActivity, CommandStatus, RoomMessage, Transcript, TurnEnded, Welcome};
pub use self::parse::FrameError;
pub use self::to_room::{About, CommandKind, Resume, SidecarMessage, Tool};

/// The WebSocket subprotocol of the native dialect.
pub const SUBPROTOCOL: &str = "sentiment-sidecar.room.v1";
/// The version that `hello` offers and `welcome` chooses.
pub const VERSION: u32 = 1;
/// Largest frame in bytes, either way.
pub const MAX_FRAME: usize = 64 * 1024;

/// Whether a transcript text, id or number was given; `serde` skips what was not.
fn none<T>(value: &Option<T>) -> bool {
    value.is_none()
}

/// What went wrong, either way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorMessage {
    /// For programs.
    pub code: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// What it is about: a command id, a `seq`.
    #[serde(default, rename = "ref", skip_serializing_if = "none")]
    pub reference: Option<String>,
    /// Whether trying again may help.
    #[serde(default)]
    pub retryable: bool,
}
