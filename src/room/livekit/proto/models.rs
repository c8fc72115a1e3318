//! Rooms, participants, and the packets of data channels (`livekit_models.proto`).

use std::collections::BTreeMap;

/// A room.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Room {
    /// The server's id of it, `RM_…`; another one when a room of that name is opened again.
    #[prost(string, tag = "1")]
    pub sid: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// When it was opened, in seconds since 1970.
    #[prost(int64, tag = "5")]
    pub creation_time: i64,
    /// What its users keep with it, in any form.
    #[prost(string, tag = "8")]
    pub metadata: String,
    /// When it was opened, in milliseconds since 1970; 0 from servers that tell seconds only.
    #[prost(int64, tag = "15")]
    pub creation_time_ms: i64,
}

/// Someone in a room.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ParticipantInfo {
    /// The server's id of this stay, `PA_…`.
    #[prost(string, tag = "1")]
    pub sid: String,
    /// Who it is; one participant of an identity is in a room at a time.
    #[prost(string, tag = "2")]
    pub identity: String,
    /// How far they have come.
    #[prost(enumeration = "ParticipantState", tag = "3")]
    pub state: i32,
    /// What they publish.
    #[prost(message, repeated, tag = "4")]
    pub tracks: Vec<TrackInfo>,
    /// What users keep with it, in any form.
    #[prost(string, tag = "5")]
    pub metadata: String,
    /// When they joined, in seconds since 1970.
    #[prost(int64, tag = "6")]
    pub joined_at: i64,
    /// What they are called.
    #[prost(string, tag = "9")]
    pub name: String,
    /// Grows with each change.
    #[prost(uint32, tag = "10")]
    pub version: u32,
    /// What they may do.
    #[prost(message, optional, tag = "11")]
    pub permission: Option<ParticipantPermission>,
    /// What they are.
    #[prost(enumeration = "ParticipantKind", tag = "14")]
    pub kind: i32,
    /// What users and services keep with it by name, e.g. `sip.callID`.
    #[prost(btree_map = "string, string", tag = "15")]
    pub attributes: BTreeMap<String, String>,
    /// Why they left.
    #[prost(enumeration = "DisconnectReason", tag = "16")]
    pub disconnect_reason: i32,
    /// When they joined, in milliseconds since 1970; 0 from servers that tell seconds only.
    #[prost(int64, tag = "17")]
    pub joined_at_ms: i64,
}

/// Something that a participant publishes.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TrackInfo {
    /// The server's id of it, `TR_…`.
    #[prost(string, tag = "1")]
    pub sid: String,
    /// What it is.
    #[prost(enumeration = "TrackType", tag = "2")]
    pub r#type: i32,
    /// It is published and silent.
    #[prost(bool, tag = "4")]
    pub muted: bool,
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum TrackType {
    /// Sound.
    Audio = 0,
    /// Pictures.
    Video = 1,
    /// Data.
    Data = 2,
}

/// What a participant may do.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ParticipantPermission {
    /// Subscribe to tracks.
    #[prost(bool, tag = "1")]
    pub can_subscribe: bool,
    /// Publish tracks.
    #[prost(bool, tag = "2")]
    pub can_publish: bool,
    /// Send data.
    #[prost(bool, tag = "3")]
    pub can_publish_data: bool,
    /// Nobody is told of it.
    #[prost(bool, tag = "7")]
    pub hidden: bool,
    /// Change its own metadata and attributes.
    #[prost(bool, tag = "10")]
    pub can_update_metadata: bool,
}

/// How far a participant has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum ParticipantState {
    /// On the signal connection.
    Joining = 0,
    /// The server has its offer.
    Joined = 1,
    /// Media and data flow.
    Active = 2,
    /// Gone.
    Disconnected = 3,
}

/// What a participant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum ParticipantKind {
    /// A person's browser or app.
    Standard = 0,
    /// A stream that is fed in.
    Ingress = 1,
    /// A recorder.
    Egress = 2,
    /// A phone.
    Sip = 3,
    /// An agent.
    Agent = 4,
    /// A call of another service, `WhatsApp` or Twilio.
    Connector = 7,
    /// A bridge to another system.
    Bridge = 8,
}

/// Why a participant is no longer in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum DisconnectReason {
    /// Not said.
    UnknownReason = 0,
    /// It left.
    ClientInitiated = 1,
    /// Another one of the same identity came.
    DuplicateIdentity = 2,
    /// The server goes down.
    ServerShutdown = 3,
    /// It was removed through the API.
    ParticipantRemoved = 4,
    /// The room was deleted through the API.
    RoomDeleted = 5,
    /// It wants to resume what the server does not know.
    StateMismatch = 6,
    /// It could not connect fully.
    JoinFailure = 7,
    /// It is to connect elsewhere.
    Migration = 8,
    /// The signal connection broke.
    SignalClose = 9,
    /// All people have left.
    RoomClosed = 10,
    /// A callee did not answer.
    UserUnavailable = 11,
    /// A callee declined.
    UserRejected = 12,
    /// SIP went wrong.
    SipTrunkFailure = 13,
    /// It was silent for too long.
    ConnectionTimeout = 14,
    /// Its media stopped.
    MediaFailure = 15,
    /// An agent broke.
    AgentError = 16,
}

/// What a data channel carries.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DataPacket {
    /// Who sent it; blank for hidden ones.
    #[prost(string, tag = "4")]
    pub participant_identity: String,
    /// For whom it is; empty: for everybody.
    #[prost(string, repeated, tag = "5")]
    pub destination_identities: Vec<String>,
    /// Its place among the reliable packets of its sender's stay; 0 for those that come through the server's API.
    #[prost(uint32, tag = "16")]
    pub sequence: u32,
    /// The sender's stay.
    #[prost(string, tag = "17")]
    pub participant_sid: String,
    /// What it says; nothing when it is of a kind that is not read here.
    #[prost(oneof = "Payload", tags = "2, 6, 7, 10, 11, 12, 13, 14, 15, 18")]
    pub value: Option<Payload>,
}

/// What a packet says.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum Payload {
    /// Bytes of an application.
    #[prost(message, tag = "2")]
    User(UserPacket),
    /// A key of a phone.
    #[prost(message, tag = "6")]
    SipDtmf(SipDtmf),
    /// Pieces of transcript, as agents sent them before streams were.
    #[prost(message, tag = "7")]
    Transcription(Transcription),
    /// A question to another participant.
    #[prost(message, tag = "10")]
    RpcRequest(RpcRequest),
    /// It has arrived.
    #[prost(message, tag = "11")]
    RpcAck(RpcAck),
    /// Its answer.
    #[prost(message, tag = "12")]
    RpcResponse(RpcResponse),
    /// A data stream begins.
    #[prost(message, tag = "13")]
    StreamHeader(StreamHeader),
    /// It goes on.
    #[prost(message, tag = "14")]
    StreamChunk(StreamChunk),
    /// It ends.
    #[prost(message, tag = "15")]
    StreamTrailer(StreamTrailer),
    /// Encrypted end to end: nobody without the room's key reads it.
    #[prost(message, tag = "18")]
    Encrypted(EncryptedPacket),
}

/// Bytes of an application.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct UserPacket {
    /// The bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub payload: Vec<u8>,
    /// What they are about.
    #[prost(string, optional, tag = "4")]
    pub topic: Option<String>,
    /// The message.
    #[prost(string, optional, tag = "8")]
    pub id: Option<String>,
}

/// A key of a phone.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SipDtmf {
    /// Its number in RFC 4733.
    #[prost(uint32, tag = "3")]
    pub code: u32,
    /// What stands on it.
    #[prost(string, tag = "4")]
    pub digit: String,
}

/// Pieces of transcript of one speaker.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Transcription {
    /// Who spoke.
    #[prost(string, tag = "2")]
    pub transcribed_participant_identity: String,
    /// On which track.
    #[prost(string, tag = "3")]
    pub track_id: String,
    /// The pieces.
    #[prost(message, repeated, tag = "4")]
    pub segments: Vec<TranscriptionSegment>,
}

/// A piece of transcript.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TranscriptionSegment {
    /// The segment; a revision comes under the same id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The words.
    #[prost(string, tag = "2")]
    pub text: String,
    /// Its start, in ms; agents leave it at 0.
    #[prost(uint64, tag = "3")]
    pub start_time: u64,
    /// Its end, in ms; agents leave it at 0.
    #[prost(uint64, tag = "4")]
    pub end_time: u64,
    /// Whether the recogniser is done with it.
    #[prost(bool, tag = "5")]
    pub r#final: bool,
    /// BCP 47 tag.
    #[prost(string, tag = "6")]
    pub language: String,
}

/// A question to another participant.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RpcRequest {
    /// It.
    #[prost(string, tag = "1")]
    pub id: String,
    /// What is asked for.
    #[prost(string, tag = "2")]
    pub method: String,
    /// With what.
    #[prost(string, tag = "3")]
    pub payload: String,
    /// How long the asker waits.
    #[prost(uint32, tag = "4")]
    pub response_timeout_ms: u32,
    /// Of the call's form.
    #[prost(uint32, tag = "5")]
    pub version: u32,
}

/// A question has arrived.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RpcAck {
    /// The question.
    #[prost(string, tag = "1")]
    pub request_id: String,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RpcResponse {
    /// The question.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// What it came to.
    #[prost(oneof = "RpcResult", tags = "2, 3")]
    pub value: Option<RpcResult>,
}

/// What a question came to.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum RpcResult {
    /// The answer.
    #[prost(string, tag = "2")]
    Payload(String),
    /// Why there is none.
    #[prost(message, tag = "3")]
    Error(RpcError),
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RpcError {
    /// For programs: LiveKit's from 1400 on.
    #[prost(uint32, tag = "1")]
    pub code: u32,
    /// For people.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// A packet that is encrypted end to end.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct EncryptedPacket {
    /// With which of the room's keys.
    #[prost(uint32, tag = "3")]
    pub key_index: u32,
}

/// A data stream begins.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct StreamHeader {
    /// The stream.
    #[prost(string, tag = "1")]
    pub stream_id: String,
    /// When, in ms since 1970.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
    /// What it is about.
    #[prost(string, tag = "3")]
    pub topic: String,
    /// What its content is.
    #[prost(string, tag = "4")]
    pub mime_type: String,
    /// How many bytes the content has, uncompressed; absent where the sender does not know yet.
    #[prost(uint64, optional, tag = "5")]
    pub total_length: Option<u64>,
    /// What is said of it.
    #[prost(btree_map = "string, string", tag = "8")]
    pub attributes: BTreeMap<String, String>,
    /// Text or bytes.
    #[prost(oneof = "ContentHeader", tags = "9, 10")]
    pub content_header: Option<ContentHeader>,
    /// The whole content, where it is short: neither chunk nor trailer follows.
    #[prost(bytes = "vec", optional, tag = "11")]
    pub inline_content: Option<Vec<u8>>,
    /// How the whole content is compressed.
    #[prost(enumeration = "Compression", tag = "12")]
    pub compression: i32,
}

/// What a stream consists of.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum ContentHeader {
    /// Text, UTF-8.
    #[prost(message, tag = "9")]
    Text(TextHeader),
    /// Bytes.
    #[prost(message, tag = "10")]
    Byte(ByteHeader),
}

/// What is said of a stream of text.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TextHeader {
    /// Whether it is new text or changes an older one.
    #[prost(enumeration = "Operation", tag = "1")]
    pub operation_type: i32,
    /// Of text that is changed.
    #[prost(int32, tag = "2")]
    pub version: i32,
    /// The text is what somebody said, as an agent heard it.
    #[prost(bool, tag = "5")]
    pub generated: bool,
}

/// What a stream of text does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Operation {
    /// It is new.
    Create = 0,
    /// It replaces an older one.
    Update = 1,
    /// It takes an older one back.
    Delete = 2,
    /// It reacts to another one.
    Reaction = 3,
}

/// What is said of a stream of bytes.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ByteHeader {
    /// A file's name.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// How a stream's content is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Compression {
    /// Not at all.
    None = 0,
    /// RFC 1951, with neither header nor checksum.
    DeflateRaw = 1,
}

/// A data stream goes on.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct StreamChunk {
    /// The stream.
    #[prost(string, tag = "1")]
    pub stream_id: String,
    /// The chunk's place in it, from 0.
    #[prost(uint64, tag = "2")]
    pub chunk_index: u64,
    /// The bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub content: Vec<u8>,
    /// Above 0: it replaces an older chunk of that place.
    #[prost(int32, tag = "4")]
    pub version: i32,
}

/// A data stream ends.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct StreamTrailer {
    /// The stream.
    #[prost(string, tag = "1")]
    pub stream_id: String,
    /// Why: empty when all has been said, else e.g. `interrupted`.
    #[prost(string, tag = "2")]
    pub reason: String,
    /// What was not known at its start.
    #[prost(btree_map = "string, string", tag = "3")]
    pub attributes: BTreeMap<String, String>,
}
