//! What we say to a room.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::TakenAlert;
use super::{ErrorMessage, none};

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
        /// The running mean of the sentiments, where the sustained rule is on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mean: Option<f64>,
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
    /// An alert is about to be acted on, its transfer has an outcome, or it was told to somebody. All that is said so of one
    /// alert, together, is for the `welcome` of whoever takes the call over.
    #[serde(rename = "alert")]
    Alert(TakenAlert),
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
    /// Everything up to `seq` has arrived, and what followed from it is on disk. It paces the room, which keeps all messages of
    /// a session until it ends: a `hello` without `resume` gets them from the first.
    #[serde(rename = "ack")]
    Ack {
        /// The last message that arrived without a gap.
        seq: u64,
    },
    /// Something that the room sent could not be used.
    #[serde(rename = "error")]
    Error(ErrorMessage),
}
