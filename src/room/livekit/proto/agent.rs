//! How the server gives out jobs: what travels over the WebSocket at `/agent` (`livekit_agent.proto`), and requests and answers
//! of the API about rooms and dispatches (`livekit_room.proto`, `livekit_agent_dispatch.proto`).
#![expect(missing_docs, reason = "what the fields mean is the protocol's to say")]

use super::models::{ParticipantInfo, ParticipantPermission, Room};

/// From worker to server.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WorkerMessage {
    #[prost(oneof = "worker_message::Message", tags = "1, 2, 3, 4, 5")]
    pub message: Option<worker_message::Message>,
}

pub mod worker_message {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Message {
        #[prost(message, tag = "1")]
        Register(super::RegisterWorkerRequest),
        #[prost(message, tag = "2")]
        Availability(super::AvailabilityResponse),
        #[prost(message, tag = "3")]
        UpdateWorker(super::UpdateWorkerStatus),
        #[prost(message, tag = "4")]
        UpdateJob(super::UpdateJobStatus),
        #[prost(message, tag = "5")]
        Ping(super::WorkerPing),
    }
}

/// From server to worker.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ServerMessage {
    #[prost(oneof = "server_message::Message", tags = "1, 2, 3, 4, 5")]
    pub message: Option<server_message::Message>,
}

pub mod server_message {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Message {
        #[prost(message, tag = "1")]
        Register(super::RegisterWorkerResponse),
        #[prost(message, tag = "2")]
        Availability(super::AvailabilityRequest),
        #[prost(message, tag = "3")]
        Assignment(super::JobAssignment),
        #[prost(message, tag = "4")]
        Pong(super::WorkerPong),
        #[prost(message, tag = "5")]
        Termination(super::JobTermination),
    }
}

/// What jobs are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum JobType {
    Room = 0,
    Publisher = 1,
    Participant = 2,
}

/// Whether a worker may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum WorkerStatus {
    Available = 0,
    Full = 1,
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum JobStatus {
    Pending = 0,
    Running = 1,
    Success = 2,
    Failed = 3,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RegisterWorkerRequest {
    #[prost(enumeration = "JobType", tag = "1")]
    pub r#type: i32,
    #[prost(string, tag = "3")]
    pub version: String,
    /// In seconds.
    #[prost(uint32, tag = "5")]
    pub ping_interval: u32,
    #[prost(message, optional, tag = "7")]
    pub allowed_permissions: Option<ParticipantPermission>,
    #[prost(string, tag = "8")]
    pub agent_name: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RegisterWorkerResponse {
    #[prost(string, tag = "1")]
    pub worker_id: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AvailabilityRequest {
    #[prost(message, optional, tag = "1")]
    pub job: Option<Job>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AvailabilityResponse {
    #[prost(string, tag = "1")]
    pub job_id: String,
    #[prost(bool, tag = "2")]
    pub available: bool,
    #[prost(string, tag = "5")]
    pub participant_identity: String,
    /// The job is done without anybody's doing anything: it is not passed on.
    #[prost(bool, tag = "8")]
    pub terminate: bool,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct UpdateWorkerStatus {
    #[prost(enumeration = "WorkerStatus", optional, tag = "1")]
    pub status: Option<i32>,
    /// From 0 to 1.
    #[prost(float, tag = "3")]
    pub load: f32,
    #[prost(uint32, tag = "4")]
    pub job_count: u32,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct UpdateJobStatus {
    #[prost(string, tag = "1")]
    pub job_id: String,
    #[prost(enumeration = "JobStatus", tag = "2")]
    pub status: i32,
    #[prost(string, tag = "3")]
    pub error: String,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct WorkerPing {
    /// In milliseconds since 1970.
    #[prost(int64, tag = "1")]
    pub timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct WorkerPong {
    #[prost(int64, tag = "1")]
    pub last_timestamp: i64,
}

/// With it comes a token for the room, which we have no use for: we make our own.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct JobAssignment {
    #[prost(message, optional, tag = "1")]
    pub job: Option<Job>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct JobTermination {
    #[prost(string, tag = "1")]
    pub job_id: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Job {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(message, optional, tag = "3")]
    pub room: Option<Room>,
    #[prost(string, tag = "6")]
    pub metadata: String,
    #[prost(message, optional, tag = "8")]
    pub state: Option<JobState>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct JobState {
    #[prost(enumeration = "JobStatus", tag = "1")]
    pub status: i32,
}

/// `RoomService/ListRooms`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListRoomsRequest {
    /// Which; without any, all of them.
    #[prost(string, repeated, tag = "1")]
    pub names: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListRoomsResponse {
    #[prost(message, repeated, tag = "1")]
    pub rooms: Vec<Room>,
}

/// `RoomService/ListParticipants`: those whom nobody sees, too.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListParticipantsRequest {
    #[prost(string, tag = "1")]
    pub room: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListParticipantsResponse {
    #[prost(message, repeated, tag = "1")]
    pub participants: Vec<ParticipantInfo>,
}

/// `AgentDispatchService/CreateDispatch`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CreateAgentDispatchRequest {
    #[prost(string, tag = "1")]
    pub agent_name: String,
    #[prost(string, tag = "2")]
    pub room: String,
    #[prost(string, tag = "3")]
    pub metadata: String,
}

/// `AgentDispatchService/DeleteDispatch`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DeleteAgentDispatchRequest {
    #[prost(string, tag = "1")]
    pub dispatch_id: String,
    #[prost(string, tag = "2")]
    pub room: String,
}

/// `AgentDispatchService/ListDispatch`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListAgentDispatchRequest {
    #[prost(string, tag = "2")]
    pub room: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListAgentDispatchResponse {
    #[prost(message, repeated, tag = "1")]
    pub agent_dispatches: Vec<AgentDispatch>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AgentDispatch {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub agent_name: String,
    #[prost(string, tag = "4")]
    pub metadata: String,
    #[prost(message, optional, tag = "5")]
    pub state: Option<AgentDispatchState>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AgentDispatchState {
    #[prost(message, repeated, tag = "1")]
    pub jobs: Vec<Job>,
    /// In nanoseconds since 1970.
    #[prost(int64, tag = "2")]
    pub created_at: i64,
}
