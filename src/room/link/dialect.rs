//! What a dialect is: a pure translator between a room's frames and our messages ([`Dialect`]).

use std::time::Duration;

use serde_json::Value;

use crate::room::error::RoomError;
use crate::room::livekit::seen::{Act, Seen};
use crate::room::message::{FrameError, Resume, RoomMessage, SidecarMessage, Welcome};
use crate::room::twilio::tap::{Injection, Tapped};

/// A frame as it came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Received<'a> {
    /// Text, UTF-8.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
    /// What a participant of a LiveKit room sees.
    Livekit(&'a Seen),
    /// What passes between a platform and its app.
    Tapped(&'a Tapped),
    /// What came of a [`Call`].
    Answered {
        /// The call's id.
        id: &'a str,
        /// The answer.
        answer: &'a Answer,
    },
}

/// A frame to send.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// What a participant of a LiveKit room is to do.
    Livekit(Box<Act>),
    /// What is said to a platform, between what its app says.
    Tapped(Injection),
    /// A call of the HTTP API beside a WebSocket that we dialled; [`Received::Answered`] says what came of it, and it is made
    /// whatever becomes of the WebSocket.
    Call(Call),
}

impl Written {
    /// As it is sent so long after it was wanted: what waits for its place at this end has what is left of its time, as whoever wanted
    /// it has counted on.
    pub(super) fn after(self, waited: Duration) -> Self {
        match self {
            Self::Tapped(injection) => {
                let within = injection.within.saturating_sub(waited);
                Self::Tapped(Injection { within, ..injection })
            }
            other => other,
        }
    }
}

/// `POST` to the server whose WebSocket we dialled, with the same credentials.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The answer comes under it.
    pub id: String,
    /// The path below that of the WebSocket, segment by segment, not yet percent-encoded.
    pub path: Vec<String>,
    /// JSON.
    pub body: Value,
    /// When it is given up.
    pub timeout: Duration,
}

/// What came of a [`Call`]. Bodies are not read: those of refusals can repeat the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The HTTP status.
    Status(u16),
    /// None: whether it was done is not known.
    None {
        /// What the network said.
        problem: String,
    },
}

/// What a frame said.
#[derive(Debug)]
pub enum Heard {
    /// The room let us in. Once a connection; a second one is ignored.
    Welcome(Welcome),
    /// The room let us in on terms that cannot be met: the connection is closed with `code`, and [`RoomError::is_final`]
    /// says whether it is tried again.
    Unacceptable {
        /// Why.
        error: RoomError,
        /// The close code (RFC 6455 section 7.4).
        code: u16,
        /// The close reason, for people.
        reason: String,
    },
    /// A message, or, with `None`, something that nobody needs but that takes its number in the sequence.
    Message {
        /// Its number in the session, where the dialect numbers; the same as [`RoomMessage::seq`] of the message.
        seq: Option<u64>,
        /// The message.
        message: Option<RoomMessage>,
    },
    /// Something that cannot be used. The room is told so, and the connection goes on.
    Bad {
        /// Its number, where it has one.
        seq: Option<u64>,
        /// What does not fit, without the caller's words.
        error: FrameError,
    },
    /// Something that is to be written at once: an answer that is the dialect's own business.
    Reply(Written),
}

/// Where a greeting leads.
#[derive(Debug, Clone, Copy)]
pub struct Greeting<'a> {
    /// The room that is asked for.
    pub room_name: &'a str,
    /// Where the session left off, after a cut.
    pub resume: Option<&'a Resume>,
}

/// How the WebSocket handshake introduces us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// The subprotocol that the room has to choose (RFC 6455 section 1.9), if any.
    pub subprotocol: Option<&'static str>,
    /// Where the room token travels.
    pub credentials: Credentials,
}

/// Where a room token travels in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// A header of that name, lower case, with the bare token.
    Header(&'static str),
}

/// What a connection of the dialect may carry, and how it is kept alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame and message, in bytes, either way.
    pub max_frame: usize,
    /// The close code for a frame that breaks the WebSocket protocol.
    pub violation: u16,
    /// Between WebSocket pings, where the caller of [`crate::room::open`] does not say otherwise.
    pub heartbeat: Duration,
    /// So many unanswered pings and the connection is dead.
    pub missed_heartbeats: u32,
}

/// Why a message cannot be said in a dialect; it is dropped, and logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsayable {
    /// It is larger than the dialect's frames.
    #[error("it takes {size} bytes, and a frame holds at most {max}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The most.
        max: usize,
    },
    /// It cannot be written.
    #[error("it cannot be written: {detail}")]
    Unwritable {
        /// What the writer said.
        detail: String,
    },
}

/// A room's wire protocol: translates, and does nothing else. No clock, no I/O; what it keeps between frames is the
/// protocol's own state, of which [`Dialect::hello`] begins anew what a connection has to itself.
pub trait Dialect: Send + 'static {
    /// How the WebSocket handshake introduces us.
    fn handshake(&self) -> Handshake;

    /// What a connection may carry.
    fn limits(&self) -> Limits;

    /// The first frames of a connection. What the room answers is read until [`Heard::Welcome`].
    fn hello(&mut self, greeting: Greeting<'_>) -> Vec<Written>;

    /// What a frame says: nothing, one thing, or several.
    fn read(&mut self, frame: Received<'_>) -> Vec<Heard>;

    /// How a message is said: in no frame where the dialect has no words for it, in one, or in several.
    ///
    /// # Errors
    /// [`Unsayable`] when it does not fit.
    fn write(&mut self, message: &SidecarMessage) -> Result<Vec<Written>, Unsayable>;

    /// Whether trying again after this is pointless; a dialect with close codes of its own says so here.
    fn is_final(&self, error: &RoomError) -> bool {
        error.is_final()
    }

    /// Whether a connection that ends so, or cannot be had again, means that the call is over, where rooms do not say
    /// so themselves.
    fn is_over(&self, _: &RoomError) -> bool {
        false
    }

    /// Whether a call is over, and not lost, when no connection to it comes within [`super::Patience::give_up_after`].
    fn is_over_unless_back(&self) -> bool {
        false
    }

    /// The call is over: what was held back until then.
    fn ended(&mut self) -> Vec<Heard> {
        Vec::new()
    }
}
