//! What a participant sees of its room ([`Seen`]) and does in it ([`Act`]): what the connection and the translator say to each
//! other.

use std::time::Duration;

use super::proto::models::{DataPacket, DisconnectReason, ParticipantInfo, Room};

/// What a participant sees.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// We are in the room, with this in it.
    Joined(Box<Joined>),
    /// Someone came, changed or left.
    Participants(Vec<ParticipantInfo>),
    /// The room changed.
    Room(Room),
    /// A packet came on a data channel: each once, and those of one sender in their order.
    Packet(DataPacket),
    /// What an [`Act::Call`] came to.
    Answered {
        /// The id of the call.
        id: String,
        /// The answer's body, a message of protocol buffers.
        result: Result<Vec<u8>, ApiError>,
    },
    /// The server ended our stay, or the room.
    Left(DisconnectReason),
}

/// A full join, with nothing carried over from an earlier stay.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The room.
    pub room: Room,
    /// Us.
    pub me: ParticipantInfo,
    /// Who else is there.
    pub others: Vec<ParticipantInfo>,
    /// Whether this connection had been in the room before: what was said in between was missed.
    pub again: bool,
    /// Whether calls of the server's API can be made: there is a key to sign tokens for them, or the room token allows them.
    pub api: Api,
}

/// What of the server's API is open to us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Api {
    /// `RoomService`, for this room (`roomAdmin`).
    pub room: bool,
    /// `SIP`, where the room is open as well (`sip.call`).
    pub sip: bool,
}

/// What a participant does.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Sends a packet to the others, reliably.
    Send(DataPacket),
    /// Calls the server's API; [`Seen::Answered`] says what came of it.
    Call(ApiCall),
    /// Asks nobody: [`Seen::Answered`] follows at once, with this error. So a command is declined that cannot be carried out.
    Decline {
        /// As of a call.
        id: String,
        /// Why.
        error: ApiError,
    },
}

/// A call of the server's API: `POST /twirp/livekit.SERVICE/METHOD`, in protocol buffers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCall {
    /// Unique among the calls of a connection; the answer comes under it.
    pub id: String,
    /// What is called.
    pub method: ApiMethod,
    /// The request, a message of protocol buffers.
    pub body: Vec<u8>,
    /// When it is given up.
    pub timeout: Duration,
}

/// What of the server's API is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiMethod {
    /// Sets attributes of a participant.
    UpdateParticipant,
    /// Sets the room's metadata.
    UpdateRoomMetadata,
    /// Asks a participant.
    PerformRpc,
    /// Transfers a caller.
    TransferSipParticipant,
    /// Which rooms there are.
    ListRooms,
    /// Who is in a room.
    ListParticipants,
    /// Whom a room has asked for.
    ListDispatch,
    /// Asks for an agent.
    CreateDispatch,
    /// Takes it back.
    DeleteDispatch,
}

impl ApiMethod {
    /// Where it is called, after `/twirp/`.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::UpdateParticipant => "livekit.RoomService/UpdateParticipant",
            Self::UpdateRoomMetadata => "livekit.RoomService/UpdateRoomMetadata",
            Self::PerformRpc => "livekit.RoomService/PerformRpc",
            Self::TransferSipParticipant => "livekit.SIP/TransferSIPParticipant",
            Self::ListRooms => "livekit.RoomService/ListRooms",
            Self::ListParticipants => "livekit.RoomService/ListParticipants",
            Self::ListDispatch => "livekit.AgentDispatchService/ListDispatch",
            Self::CreateDispatch => "livekit.AgentDispatchService/CreateDispatch",
            Self::DeleteDispatch => "livekit.AgentDispatchService/DeleteDispatch",
        }
    }
}

/// Why a call of the server's API came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No answer.
    #[error("the server's API cannot be reached: {problem}")]
    Unreachable {
        /// What the network said.
        problem: String,
    },
    /// No answer in time: what was asked for may have been done.
    #[error("the server's API did not answer within {after_ms} ms")]
    Timeout {
        /// How long we waited.
        after_ms: u64,
    },
    /// The connection broke before the answer: what was asked for may have been done.
    #[error("the server's API broke off: {problem}")]
    Cut {
        /// What the network said.
        problem: String,
    },
    /// There is nobody for whom, or with whom, it could be done.
    #[error("{0}")]
    Nobody(&'static str),
    /// The token does not allow it. The server's words are left out, for they can repeat the token.
    #[error("the server's API refuses the token (HTTP {status})")]
    Unauthorized {
        /// 401 or 403.
        status: u16,
    },
    /// The server said why not.
    #[error("the server's API answered HTTP {status}: {code}{}", sip.map(|sip| format!(", SIP {sip}")).unwrap_or_default())]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// Twirp's error code, e.g. `not_found`.
        code: String,
        /// The SIP status behind it, where there is one.
        sip: Option<u16>,
        /// `LiveKit`'s own reason why a transfer failed, e.g. `STR_REJECTED`.
        reason: Option<String>,
    },
    /// The answer is none.
    #[error("the server's API answered what cannot be read: {problem}")]
    Unreadable {
        /// What does not fit.
        problem: String,
    },
}
