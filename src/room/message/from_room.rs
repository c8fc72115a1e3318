//! What a room says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::{CallInfo, Participant, TakenAlert};
use super::{ErrorMessage, none};

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
    /// What the room offers: `turn_events`, `say`, `transfer`, `set_flag`, `tools`, `alerts`; unknown ones are ignored.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Whether the session goes on after `last_seq`; otherwise all of its messages follow, from the first.
    #[serde(default)]
    pub resumed: bool,
    /// The alerts of this session that were taken up before, on whatever machine; of a room that offers `alerts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<TakenAlert>,
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
    /// What had to be mended of the message: fields that were null, fractional, negative or no text. No room says this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub mended: Vec<String>,
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
    /// Whether others are known to have spoken before and after it, so that it is no part of a longer one. What was said before
    /// we came is told turn by turn, and neighbours for a moment are none in the end. No room says this; a dialect may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(skip)]
    pub whole: bool,
    /// What had to be mended of the message: fields that were null, fractional, negative or no text. No room says this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub mended: Vec<String>,
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

impl RoomMessage {
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
