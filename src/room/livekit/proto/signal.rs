//! Signalling: what travels over the WebSocket at `/rtc` and `/rtc/v1` (`livekit_rtc.proto`).
#![expect(missing_docs, reason = "what the fields mean is the protocol's to say")]

use super::models::{DisconnectReason, ParticipantInfo, Room};

#[derive(Clone, PartialEq, prost::Message)]
pub struct SignalRequest {
    #[prost(oneof = "signal_request::Message", tags = "1, 2, 3, 8, 12, 16")]
    pub message: Option<signal_request::Message>,
}

pub mod signal_request {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Message {
        /// For the connection that we offer.
        #[prost(message, tag = "1")]
        Offer(super::SessionDescription),
        /// To the connection that the server offers.
        #[prost(message, tag = "2")]
        Answer(super::SessionDescription),
        #[prost(message, tag = "3")]
        Trickle(super::TrickleRequest),
        #[prost(message, tag = "8")]
        Leave(super::LeaveRequest),
        #[prost(message, tag = "12")]
        SyncState(super::SyncState),
        #[prost(message, tag = "16")]
        PingReq(super::Ping),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SignalResponse {
    #[prost(oneof = "signal_response::Message", tags = "1, 2, 3, 4, 5, 8, 11, 16, 19, 20, 24")]
    pub message: Option<signal_response::Message>,
}

pub mod signal_response {
    #[derive(Clone, PartialEq, prost::Oneof)]
    #[expect(clippy::large_enum_variant, reason = "none of these is kept")]
    pub enum Message {
        #[prost(message, tag = "1")]
        Join(super::JoinResponse),
        /// To the connection that we offered.
        #[prost(message, tag = "2")]
        Answer(super::SessionDescription),
        /// For the connection that the server offers.
        #[prost(message, tag = "3")]
        Offer(super::SessionDescription),
        #[prost(message, tag = "4")]
        Trickle(super::TrickleRequest),
        #[prost(message, tag = "5")]
        Update(super::ParticipantUpdate),
        #[prost(message, tag = "8")]
        Leave(super::LeaveRequest),
        #[prost(message, tag = "11")]
        RoomUpdate(super::RoomUpdate),
        #[prost(string, tag = "16")]
        RefreshToken(String),
        #[prost(message, tag = "19")]
        Reconnect(super::ReconnectResponse),
        #[prost(message, tag = "20")]
        PongResp(super::Pong),
        #[prost(message, tag = "24")]
        RoomMoved(super::RoomMovedResponse),
    }
}

/// Which of the two connections something is about: the one that we offer, or the one that the server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum SignalTarget {
    Publisher = 0,
    Subscriber = 1,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct JoinResponse {
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    #[prost(message, optional, tag = "2")]
    pub participant: Option<ParticipantInfo>,
    #[prost(message, repeated, tag = "3")]
    pub other_participants: Vec<ParticipantInfo>,
    /// Where to go instead: the other fields are empty then.
    #[prost(string, tag = "7")]
    pub alternative_url: String,
    /// In seconds.
    #[prost(int32, tag = "10")]
    pub ping_timeout: i32,
    /// In seconds.
    #[prost(int32, tag = "11")]
    pub ping_interval: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ReconnectResponse {
    /// The last of our messages on `_reliable` that the server has.
    #[prost(uint32, tag = "4")]
    pub last_message_seq: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RoomMovedResponse {
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
    #[prost(string, tag = "2")]
    pub token: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionDescription {
    /// `offer` or `answer`.
    #[prost(string, tag = "1")]
    pub r#type: String,
    #[prost(string, tag = "2")]
    pub sdp: String,
    /// An answer repeats the offer's.
    #[prost(uint32, tag = "3")]
    pub id: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TrickleRequest {
    /// A candidate as browsers write it: JSON with `candidate`.
    #[prost(string, tag = "1")]
    pub candidate_init: String,
    #[prost(enumeration = "SignalTarget", tag = "2")]
    pub target: i32,
    #[prost(bool, tag = "3")]
    pub r#final: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ParticipantUpdate {
    #[prost(message, repeated, tag = "1")]
    pub participants: Vec<ParticipantInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RoomUpdate {
    #[prost(message, optional, tag = "1")]
    pub room: Option<Room>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct LeaveRequest {
    #[prost(enumeration = "DisconnectReason", tag = "2")]
    pub reason: i32,
    #[prost(enumeration = "leave_request::Action", tag = "3")]
    pub action: i32,
}

pub mod leave_request {
    /// What to do when told to leave.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
    #[repr(i32)]
    pub enum Action {
        Disconnect = 0,
        /// Come back to the same session.
        Resume = 1,
        /// Join anew.
        Reconnect = 2,
    }
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Ping {
    /// In ms.
    #[prost(int64, tag = "1")]
    pub timestamp: i64,
    /// In ms.
    #[prost(int64, tag = "2")]
    pub rtt: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Pong {
    /// Of the ping that is answered.
    #[prost(int64, tag = "1")]
    pub last_ping_timestamp: i64,
}

/// What we have of a session that is resumed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SyncState {
    #[prost(message, optional, tag = "1")]
    pub answer: Option<SessionDescription>,
    #[prost(message, optional, tag = "2")]
    pub subscription: Option<UpdateSubscription>,
    #[prost(message, repeated, tag = "4")]
    pub data_channels: Vec<DataChannelInfo>,
    #[prost(message, optional, tag = "5")]
    pub offer: Option<SessionDescription>,
    #[prost(message, repeated, tag = "7")]
    pub datachannel_receive_states: Vec<DataChannelReceiveState>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateSubscription {
    #[prost(string, repeated, tag = "1")]
    pub track_sids: Vec<String>,
    #[prost(bool, tag = "2")]
    pub subscribe: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DataChannelInfo {
    #[prost(string, tag = "1")]
    pub label: String,
    #[prost(uint32, tag = "2")]
    pub id: u32,
    #[prost(enumeration = "SignalTarget", tag = "3")]
    pub target: i32,
}

/// Up to where the messages of a participant on `_reliable` have arrived: the server sends what comes after.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DataChannelReceiveState {
    #[prost(string, tag = "1")]
    pub publisher_sid: String,
    #[prost(uint32, tag = "2")]
    pub last_seq: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ClientInfo {
    #[prost(enumeration = "client_info::Sdk", tag = "1")]
    pub sdk: i32,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(int32, tag = "3")]
    pub protocol: i32,
    #[prost(int32, tag = "12")]
    pub client_protocol: i32,
    #[prost(enumeration = "client_info::Capability", repeated, tag = "13")]
    pub capabilities: Vec<i32>,
}

pub mod client_info {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
    #[repr(i32)]
    pub enum Sdk {
        Unknown = 0,
        Rust = 8,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
    #[repr(i32)]
    pub enum Capability {
        Unused = 0,
        /// Reads data streams that are compressed (RFC 1951).
        CompressionDeflateRaw = 2,
    }
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ConnectionSettings {
    #[prost(bool, tag = "1")]
    pub auto_subscribe: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct JoinRequest {
    #[prost(message, optional, tag = "1")]
    pub client_info: Option<ClientInfo>,
    #[prost(message, optional, tag = "2")]
    pub connection_settings: Option<ConnectionSettings>,
    #[prost(message, optional, tag = "6")]
    pub publisher_offer: Option<SessionDescription>,
    #[prost(bool, tag = "7")]
    pub reconnect: bool,
    /// Whose session is resumed.
    #[prost(string, tag = "9")]
    pub participant_sid: String,
    #[prost(message, optional, tag = "10")]
    pub sync_state: Option<SyncState>,
}

/// A [`JoinRequest`], not compressed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WrappedJoinRequest {
    #[prost(bytes = "vec", tag = "2")]
    pub join_request: Vec<u8>,
}
