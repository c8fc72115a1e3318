//! Requests and answers of the server's HTTP API (`livekit_room.proto`, `livekit_sip.proto`), which is Twirp: `POST
//! /twirp/livekit.SERVICE/METHOD`.

use std::collections::BTreeMap;

/// `RoomService/UpdateParticipant`: what is not given stays as it is.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct UpdateParticipantRequest {
    /// The room's name.
    #[prost(string, tag = "1")]
    pub room: String,
    /// Whose.
    #[prost(string, tag = "2")]
    pub identity: String,
    /// Those that are given replace what was under their names.
    #[prost(btree_map = "string, string", tag = "6")]
    pub attributes: BTreeMap<String, String>,
}

/// `RoomService/UpdateRoomMetadata`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct UpdateRoomMetadataRequest {
    /// The room's name.
    #[prost(string, tag = "1")]
    pub room: String,
    /// Replaces all that was there.
    #[prost(string, tag = "2")]
    pub metadata: String,
}

/// `RoomService/PerformRpc`: the server asks a participant, and answers with what it says.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PerformRpcRequest {
    /// The room's name.
    #[prost(string, tag = "1")]
    pub room: String,
    /// Whom.
    #[prost(string, tag = "2")]
    pub destination_identity: String,
    /// What for.
    #[prost(string, tag = "3")]
    pub method: String,
    /// With what.
    #[prost(string, tag = "4")]
    pub payload: String,
    /// How long the server waits.
    #[prost(uint32, tag = "5")]
    pub response_timeout_ms: u32,
}

/// Its answer.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PerformRpcResponse {
    /// What the participant said.
    #[prost(string, tag = "1")]
    pub payload: String,
}

/// `SIP/TransferSIPParticipant`: a REFER to the caller's phone. It is answered when it is settled.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TransferSipParticipantRequest {
    /// Who is to be transferred: a participant of kind SIP.
    #[prost(string, tag = "1")]
    pub participant_identity: String,
    /// The room's name.
    #[prost(string, tag = "2")]
    pub room_name: String,
    /// To whom: a `tel:` or `sip:` URI.
    #[prost(string, tag = "3")]
    pub transfer_to: String,
    /// Whether the caller hears it ring.
    #[prost(bool, tag = "4")]
    pub play_dialtone: bool,
    /// How long it may ring.
    #[prost(message, optional, tag = "6")]
    pub ringing_timeout: Option<Duration>,
}

/// Its answer; without any field from servers that answer successes only.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TransferSipParticipantResponse {
    /// The transfer.
    #[prost(string, tag = "1")]
    pub transfer_id: String,
    /// What it came to.
    #[prost(enumeration = "SipTransferStatus", tag = "2")]
    pub status: i32,
    /// Why.
    #[prost(enumeration = "SipTransferReason", tag = "3")]
    pub reason: i32,
    /// What the phone said, where it said something.
    #[prost(message, optional, tag = "4")]
    pub sip_status: Option<SipStatus>,
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum SipTransferStatus {
    /// Under way.
    Ongoing = 0,
    /// It came to nothing.
    Failed = 1,
    /// The human has the caller.
    Successful = 2,
}

/// Why a transfer came to what it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum SipTransferReason {
    /// Not said.
    Unspecified = 0,
    /// The human answered.
    Completed = 1,
    /// The call ended before.
    CallEnded = 2,
    /// The human, or their provider, declined.
    Rejected = 3,
    /// Nobody answered in time.
    RingingTimeout = 4,
    /// The provider told nothing more.
    SubscriptionTerminated = 5,
    /// It was called off.
    Canceled = 6,
}

/// A status of SIP.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SipStatus {
    /// RFC 3261's.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// Its reason phrase.
    #[prost(string, tag = "2")]
    pub status: String,
}

/// A span of time.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Duration {
    /// Seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// And so many nanoseconds.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}
