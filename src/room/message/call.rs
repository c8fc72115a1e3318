//! The call behind a room, who is in it, and what the room offers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::none;

/// What a participant is in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person who called; only their turns are rated. Platforms call them so, too.
    #[serde(alias = "user", alias = "customer")]
    Caller,
    /// The voice agent.
    #[serde(alias = "assistant")]
    Agent,
    /// A human who took over or listens in to help.
    Supervisor,
    /// Anyone else, recorders and this program included.
    Observer,
    /// A role that this version does not know: treated like an observer, and told in a warning.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
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

impl SipDialog {
    /// Whether a request of ours may go inside it: the room reserved a CSeq, and said all that such a request is made of.
    #[must_use]
    pub fn takes_requests(&self) -> bool {
        self.cseq.is_some() && self.remote_target.is_some() && self.local_uri.is_some() && self.remote_uri.is_some()
    }
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
    pub sip: Option<Box<SipDialog>>,
}

/// An alert that was taken up: whoever has the call later does not act on it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TakenAlert {
    /// The alert.
    pub alert_id: String,
    /// The outcome of its transfer, by name; absent as long as there is none, and where nobody is transferred.
    #[serde(default, skip_serializing_if = "none")]
    pub outcome: Option<String>,
    /// Whether a webhook of it was delivered.
    #[serde(default)]
    pub told: bool,
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
    /// The room keeps which alerts were taken up, and names them to whoever takes the call over.
    pub const ALERTS: &str = "alerts";
}
