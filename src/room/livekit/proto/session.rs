//! What an agent of LiveKit's framework tells of its session (`livekit_agent_session.proto`): a stream of bytes on the topic
//! `lk.agent.session` holds one [`AgentSessionMessage`].

/// A message of either side.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AgentSessionMessage {
    /// What it says.
    #[prost(oneof = "SessionContent", tags = "3, 4, 5")]
    pub message: Option<SessionContent>,
}

/// What a session's message says.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum SessionContent {
    /// Something happened.
    #[prost(message, tag = "3")]
    Event(SessionEvent),
    /// Something is asked of the agent.
    #[prost(message, tag = "4")]
    Request(SessionRequest),
    /// Its answer.
    #[prost(message, tag = "5")]
    Response(SessionResponse),
}

/// Something happened in the session.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionEvent {
    /// When.
    #[prost(message, optional, tag = "1")]
    pub created_at: Option<Timestamp>,
    /// What; nothing when it is of a kind that is not read here.
    #[prost(oneof = "SessionEventKind", tags = "10, 12, 22")]
    pub event: Option<SessionEventKind>,
}

/// What happened.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum SessionEventKind {
    /// The agent listens, thinks, speaks.
    #[prost(message, tag = "10")]
    AgentStateChanged(AgentStateChanged),
    /// A turn is in the conversation.
    #[prost(message, tag = "12")]
    ConversationItemAdded(ConversationItemAdded),
    /// A tool call goes on.
    #[prost(message, tag = "22")]
    ToolExecutionUpdated(ToolExecutionUpdated),
}

/// The agent does something else.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct AgentStateChanged {
    /// From what.
    #[prost(enumeration = "AgentState", tag = "1")]
    pub old_state: i32,
    /// To what.
    #[prost(enumeration = "AgentState", tag = "2")]
    pub new_state: i32,
}

/// What an agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum AgentState {
    /// It starts.
    Initializing = 0,
    /// Nothing.
    Idle = 1,
    /// It listens.
    Listening = 2,
    /// It works on an answer.
    Thinking = 3,
    /// It speaks.
    Speaking = 4,
}

/// A turn is in the conversation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ConversationItemAdded {
    /// It.
    #[prost(message, optional, tag = "1")]
    pub item: Option<ChatItem>,
}

/// A tool call goes on.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ToolExecutionUpdated {
    /// How; nothing when it is of a kind that is not read here.
    #[prost(oneof = "ToolUpdate", tags = "1")]
    pub update: Option<ToolUpdate>,
}

/// How a tool call goes on.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum ToolUpdate {
    /// It begins.
    #[prost(message, tag = "1")]
    Started(ToolStarted),
}

/// A tool call begins.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ToolStarted {
    /// The call.
    #[prost(message, optional, tag = "1")]
    pub function_call: Option<FunctionCall>,
}

/// Something in the conversation's history.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChatItem {
    /// What; nothing when it is of a kind that is not read here.
    #[prost(oneof = "ChatItemKind", tags = "1, 2, 4")]
    pub item: Option<ChatItemKind>,
}

/// What stands in a conversation's history.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ChatItemKind {
    /// Somebody said something.
    #[prost(message, tag = "1")]
    Message(ChatMessage),
    /// The agent used a tool.
    #[prost(message, tag = "2")]
    FunctionCall(FunctionCall),
    /// Another agent took over.
    #[prost(message, tag = "4")]
    AgentHandoff(AgentHandoff),
}

/// What somebody said: one turn.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChatMessage {
    /// The turn, `item_…`.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Who.
    #[prost(enumeration = "ChatRole", tag = "2")]
    pub role: i32,
    /// The words, in pieces.
    #[prost(message, repeated, tag = "3")]
    pub content: Vec<ChatContent>,
    /// Whether they were cut short.
    #[prost(bool, tag = "4")]
    pub interrupted: bool,
    /// The recogniser's confidence, 0 to 1.
    #[prost(double, optional, tag = "5")]
    pub transcript_confidence: Option<f64>,
    /// When they spoke.
    #[prost(message, optional, tag = "7")]
    pub metrics: Option<MetricsReport>,
    /// When it came into the conversation.
    #[prost(message, optional, tag = "8")]
    pub created_at: Option<Timestamp>,
}

/// A piece of what was said.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ChatContent {
    /// Text; nothing when it is no text.
    #[prost(oneof = "ChatPayload", tags = "1")]
    pub payload: Option<ChatPayload>,
}

/// What a piece consists of.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum ChatPayload {
    /// Text.
    #[prost(string, tag = "1")]
    Text(String),
}

/// When somebody spoke.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct MetricsReport {
    /// Began.
    #[prost(message, optional, tag = "1")]
    pub started_speaking_at: Option<Timestamp>,
    /// Ended.
    #[prost(message, optional, tag = "2")]
    pub stopped_speaking_at: Option<Timestamp>,
}

/// Who speaks in a conversation's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum ChatRole {
    /// Instructions.
    Developer = 0,
    /// Instructions.
    System = 1,
    /// The caller.
    User = 2,
    /// The agent.
    Assistant = 3,
}

/// The agent used a tool.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FunctionCall {
    /// The item.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The call.
    #[prost(string, tag = "2")]
    pub call_id: String,
    /// What it was called with: JSON.
    #[prost(string, tag = "3")]
    pub arguments: String,
    /// The tool.
    #[prost(string, tag = "4")]
    pub name: String,
}

/// Another agent took over.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AgentHandoff {
    /// The item.
    #[prost(string, tag = "1")]
    pub id: String,
    /// From whom.
    #[prost(string, optional, tag = "2")]
    pub old_agent_id: Option<String>,
    /// To whom.
    #[prost(string, tag = "3")]
    pub new_agent_id: String,
}

/// A moment: seconds and nanoseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Timestamp {
    /// Seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// And so many nanoseconds.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// Something is asked of the agent.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SessionRequest {
    /// The answer comes under it.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// What.
    #[prost(oneof = "SessionQuestion", tags = "2, 4")]
    pub request: Option<SessionQuestion>,
}

/// What is asked of an agent.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum SessionQuestion {
    /// Whether it is there.
    #[prost(message, tag = "2")]
    Ping(Nothing),
    /// What was said so far.
    #[prost(message, tag = "4")]
    GetChatHistory(Nothing),
}

/// A message without fields.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Nothing {}

/// An agent's answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionResponse {
    /// What was asked.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// Why there is no answer.
    #[prost(string, optional, tag = "2")]
    pub error: Option<String>,
    /// The answer; nothing when it is of a kind that is not read here.
    #[prost(oneof = "SessionAnswer", tags = "3, 5")]
    pub response: Option<SessionAnswer>,
}

/// What an agent answers.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum SessionAnswer {
    /// It is there.
    #[prost(message, tag = "3")]
    Pong(Nothing),
    /// What was said so far.
    #[prost(message, tag = "5")]
    ChatHistory(ChatHistory),
}

/// What was said so far.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChatHistory {
    /// All of it, from the first.
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<ChatItem>,
}
