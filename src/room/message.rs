//! The messages of the native dialect (`sentiment-sidecar.room.v1`), which are also what the core understands and
//! what recordings hold. Other dialects translate into these.
//!
//! Unknown fields are ignored; a message of an unknown `type` is skipped by [`RoomMessage::parse`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// What a participant is in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person who called; only their turns are rated.
    Caller,
    /// The voice agent.
    Agent,
    /// A human who took over or listens in to help.
    Supervisor,
    /// Anyone else, recorders and this program included.
    #[serde(other)]
    Observer,
}

/// Someone in the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Participant {
    /// Unique in the room.
    pub id: String,
    /// What they are.
    pub role: Role,
    /// What they are called.
    #[serde(default, skip_serializing_if = "none")]
    pub name: Option<String>,
}

/// The SIP dialog of the caller's leg, as the room hands it over (RFC 3261 section 12).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SipDialog {
    /// Call-ID.
    pub call_id: String,
    /// The room's own tag.
    #[serde(default)]
    pub local_tag: String,
    /// The caller's side's tag.
    #[serde(default)]
    pub remote_tag: String,
    /// The room's own address of record.
    #[serde(default, skip_serializing_if = "none")]
    pub local_uri: Option<String>,
    /// The caller's address of record.
    #[serde(default, skip_serializing_if = "none")]
    pub remote_uri: Option<String>,
    /// Where requests in the dialog go: the remote Contact.
    #[serde(default, skip_serializing_if = "none")]
    pub remote_target: Option<String>,
    /// The dialog's route set, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub route_set: Vec<String>,
    /// A CSeq reserved for us: its presence is the explicit handover that allows a request in the dialog.
    #[serde(default, skip_serializing_if = "none")]
    pub cseq: Option<u32>,
}

/// The phone call behind the room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallInfo {
    /// The platform's id of the call.
    #[serde(default)]
    pub id: String,
    /// Who called.
    #[serde(default, skip_serializing_if = "none")]
    pub from: Option<String>,
    /// Who was called.
    #[serde(default, skip_serializing_if = "none")]
    pub to: Option<String>,
    /// The caller's SIP leg, where the room has one.
    #[serde(default, skip_serializing_if = "none")]
    pub sip: Option<SipDialog>,
}

/// What a room offers beyond transcripts. Named in `welcome.capabilities`.
pub mod capability {
    /// The room sends `turn.ended` for every turn: turns are never closed by silence.
    pub const TURN_EVENTS: &str = "turn_events";
    /// The room carries out the command `transfer`.
    pub const TRANSFER: &str = "transfer";
    /// The room carries out the command `say`.
    pub const SAY: &str = "say";
    /// The room carries out the command `set_flag`.
    pub const SET_FLAG: &str = "set_flag";
    /// The room registers tools for its agent.
    pub const TOOLS: &str = "tools";
}

/// The room's answer to `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// The version that both sides speak from here on.
    pub version: u32,
    /// The room's id of this session; the same again when it was resumed.
    pub session_id: String,
    /// The room's name.
    pub room_name: String,
    /// The phone call.
    #[serde(default)]
    pub call: CallInfo,
    /// Who is there.
    #[serde(default)]
    pub participants: Vec<Participant>,
    /// What the room offers: names from [`capability`]; unknown ones are ignored.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Whether the session goes on after `last_seq`; otherwise all that the room still holds follows.
    #[serde(default)]
    pub resumed: bool,
}

/// One piece of transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Transcript {
    /// Position in the session's stream.
    #[serde(default, skip_serializing_if = "none")]
    pub seq: Option<u64>,
    /// The segment; a revision comes under the same id.
    pub segment_id: String,
    /// Revision; the highest wins.
    #[serde(default)]
    pub rev: u32,
    /// Who spoke.
    pub participant_id: String,
    /// The words.
    pub text: String,
    /// Whether the recogniser is done with the segment.
    #[serde(default, rename = "final")]
    pub is_final: bool,
    /// Start in ms since the call began.
    #[serde(default, skip_serializing_if = "none")]
    pub start_ms: Option<u64>,
    /// End in ms since the call began.
    #[serde(default, skip_serializing_if = "none")]
    pub end_ms: Option<u64>,
    /// The recogniser's confidence, 0 to 1.
    #[serde(default, skip_serializing_if = "none")]
    pub confidence: Option<f64>,
    /// BCP 47 language tag.
    #[serde(default, skip_serializing_if = "none")]
    pub lang: Option<String>,
}

/// A participant's turn is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnEnded {
    /// Position in the session's stream.
    #[serde(default, skip_serializing_if = "none")]
    pub seq: Option<u64>,
    /// The turn; said again under the same id, it is revised.
    pub turn_id: String,
    /// The turn's place in the call.
    #[serde(default, skip_serializing_if = "none")]
    pub index: Option<u64>,
    /// Who spoke.
    pub participant_id: String,
    /// The whole turn; absent when the segments say it.
    #[serde(default, skip_serializing_if = "none")]
    pub text: Option<String>,
    /// The segments that it consists of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segment_ids: Vec<String>,
    /// Start in ms since the call began.
    #[serde(default, skip_serializing_if = "none")]
    pub start_ms: Option<u64>,
    /// End in ms since the call began.
    #[serde(default, skip_serializing_if = "none")]
    pub end_ms: Option<u64>,
}

/// What the agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentActivity {
    /// It listens.
    Listening,
    /// It works on an answer.
    Thinking,
    /// It speaks: the caller's turn is over.
    Speaking,
    /// Something that this version does not know.
    #[serde(other)]
    Other,
}

/// How far a command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandStatus {
    /// Under way.
    Accepted,
    /// Carried out.
    Done,
    /// Not carried out; `code` says why.
    Failed,
}

/// A message from the room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum RoomMessage {
    /// The answer to `hello`.
    #[serde(rename = "welcome")]
    Welcome(Welcome),
    /// Someone came.
    #[serde(rename = "participant.joined")]
    ParticipantJoined {
        /// Position in the session's stream.
        #[serde(default, skip_serializing_if = "none")]
        seq: Option<u64>,
        /// Who.
        participant: Participant,
    },
    /// Someone left.
    #[serde(rename = "participant.left")]
    ParticipantLeft {
        /// Position in the session's stream.
        #[serde(default, skip_serializing_if = "none")]
        seq: Option<u64>,
        /// Who.
        participant: Participant,
    },
    /// A piece of transcript.
    #[serde(rename = "transcript")]
    Transcript(Transcript),
    /// A turn is over.
    #[serde(rename = "turn.ended")]
    TurnEnded(TurnEnded),
    /// The agent changed what it does.
    #[serde(rename = "agent.state")]
    AgentState {
        /// Position in the session's stream.
        #[serde(default, skip_serializing_if = "none")]
        seq: Option<u64>,
        /// What it does now.
        state: AgentActivity,
    },
    /// The agent calls a tool.
    #[serde(rename = "tool.call")]
    ToolCall {
        /// Position in the session's stream.
        #[serde(default, skip_serializing_if = "none")]
        seq: Option<u64>,
        /// The call, answered under this id.
        call_id: String,
        /// The tool.
        name: String,
        /// What it is called with.
        #[serde(default)]
        arguments: Value,
    },
    /// How a command fared.
    #[serde(rename = "command.result")]
    CommandResult {
        /// Position in the session's stream.
        #[serde(default, skip_serializing_if = "none")]
        seq: Option<u64>,
        /// The command.
        command_id: String,
        /// How far it has come.
        status: CommandStatus,
        /// Why it failed: an outcome's name (`busy`, `declined`, …) or a SIP status for `transfer`.
        #[serde(default, skip_serializing_if = "none")]
        code: Option<String>,
        /// For people.
        #[serde(default, skip_serializing_if = "none")]
        detail: Option<String>,
    },
    /// The call is over.
    #[serde(rename = "session.ended")]
    SessionEnded {
        /// Position in the session's stream.
        #[serde(default, skip_serializing_if = "none")]
        seq: Option<u64>,
        /// Why, in the room's words.
        #[serde(default)]
        reason: String,
    },
    /// Everything up to `seq` has arrived.
    #[serde(rename = "ack")]
    Ack {
        /// The last message that arrived without a gap.
        seq: u64,
    },
    /// The room could not do something that we asked.
    #[serde(rename = "error")]
    Error(ErrorMessage),
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

/// Where a session left off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resume {
    /// The session.
    pub session_id: String,
    /// The last message that arrived without a gap.
    pub last_seq: u64,
}

/// Who dials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct About {
    /// The program.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A tool that the room offers to its agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// What the agent calls it by.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// What the room is asked to do. Idempotent by `command_id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "name", content = "args")]
pub enum CommandKind {
    /// Say a sentence to the caller.
    Say {
        /// The sentence.
        text: String,
    },
    /// Transfer the caller to a phone number.
    Transfer {
        /// E.164.
        target: String,
        /// How long the phone may ring, in ms.
        ringing_timeout_ms: u64,
    },
    /// Mark the session for review.
    SetFlag {
        /// The alert behind it.
        alert_id: String,
        /// Its severity.
        severity: String,
        /// What upset the caller.
        description: String,
    },
    /// End the call. Reserved: this version never sends it.
    Hangup {},
}

/// A message to the room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum SidecarMessage {
    /// The first message.
    #[serde(rename = "hello")]
    Hello {
        /// The versions that we speak.
        versions: Vec<u32>,
        /// Who we are.
        about: About,
        /// The room that we want.
        room_name: String,
        /// Where we left off, after a cut.
        #[serde(default, skip_serializing_if = "none")]
        resume: Option<Resume>,
    },
    /// The tools for the agent.
    #[serde(rename = "tools.register")]
    ToolsRegister {
        /// All of ours.
        tools: Vec<Tool>,
    },
    /// A turn was rated.
    #[serde(rename = "sentiment")]
    Sentiment {
        /// The turn.
        turn_id: String,
        /// 1 to 10.
        sentiment: f64,
        /// -1 to 1.
        valence: f64,
        /// 0 to 1.
        frustration: f64,
        /// 0 to 1.
        urgency: f64,
        /// negative, neutral, positive.
        label: String,
        /// Consecutive low turns so far.
        streak: u32,
        /// How many escalate.
        window: u32,
        /// declining, stable, improving.
        trend: String,
    },
    /// How the agent should sound from here on.
    #[serde(rename = "tone")]
    Tone {
        /// negative, neutral, positive.
        label: String,
        /// For the agent's prompt.
        instruction: String,
    },
    /// Something to do.
    #[serde(rename = "command")]
    Command {
        /// Results come back under it.
        command_id: String,
        /// What to do: `name` and `args`.
        #[serde(flatten)]
        command: CommandKind,
        /// How long we wait, in ms.
        deadline_ms: u64,
    },
    /// The answer to a tool call.
    #[serde(rename = "tool.result")]
    ToolResult {
        /// The call.
        call_id: String,
        /// Whether it did what was asked.
        ok: bool,
        /// For the agent.
        output: Value,
    },
    /// Everything up to `seq` has arrived.
    #[serde(rename = "ack")]
    Ack {
        /// The last message that arrived without a gap.
        seq: u64,
    },
    /// Something that the room sent could not be used.
    #[serde(rename = "error")]
    Error(ErrorMessage),
}

/// Why a frame could not be used. The connection goes on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Larger than [`MAX_FRAME`].
    #[error("frame of {size} bytes; at most {MAX_FRAME} are allowed")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
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
            return Err(FrameError::TooLarge { size: frame.len() });
        }
        let value: Value = serde_json::from_str(frame).map_err(|e| FrameError::NotAMessage { detail: position(&e) })?;
        Self::from_value(value)
    }

    /// Like [`RoomMessage::parse`], from a parsed frame.
    ///
    /// # Errors
    /// As for [`RoomMessage::parse`].
    pub fn from_value(value: Value) -> Result<Option<Self>, FrameError> {
        let Some(kind) = value.get("type").and_then(Value::as_str).map(str::to_owned) else {
            return Err(FrameError::NotAMessage { detail: "no string \"type\"".to_owned() });
        };
        if !Self::TYPES.contains(&kind.as_str()) {
            return Ok(None);
        }
        serde_json::from_value(value).map(Some).map_err(|e| FrameError::BadFields { kind, detail: shape_only(&e) })
    }

    /// The message's position in the session's stream, where it has one.
    #[must_use]
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::Transcript(t) => t.seq,
            Self::TurnEnded(t) => t.seq,
            Self::ParticipantJoined { seq, .. }
            | Self::ParticipantLeft { seq, .. }
            | Self::AgentState { seq, .. }
            | Self::ToolCall { seq, .. }
            | Self::CommandResult { seq, .. }
            | Self::SessionEnded { seq, .. } => *seq,
            Self::Welcome(_) | Self::Ack { .. } | Self::Error(_) => None,
        }
    }

    /// Whether the message may be dropped under pressure: only interim transcripts may.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        matches!(self, Self::Transcript(t) if !t.is_final)
    }
}

fn position(error: &serde_json::Error) -> String {
    format!("not JSON at line {}, column {}", error.line(), error.column())
}

/// serde's messages quote values; the part before the quote says enough, and no caller's words get into logs.
fn shape_only(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: ")) {
        Some(rest) => {
            let kind = rest.split_whitespace().next().unwrap_or("value");
            let expected = rest.rsplit_once("expected ").map_or("something else", |(_, e)| e);
            format!("found {kind}, expected {expected}")
        }
        None => text,
    }
}
