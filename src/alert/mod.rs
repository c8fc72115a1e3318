//! The nouns of an escalation: [`Alert`], its [`Severity`], the [`Rule`] that decided.
//!
//! [`about`] is whom it is about, [`outcome`] what its action came to, [`record`] what is written of it, [`payload`] what
//! is told of it, [`outgoing`] where that goes, [`notice`] what goes to one of these places, and [`verdict`] what people
//! say of it.

pub mod about;
pub mod notice;
pub mod outcome;
pub mod outgoing;
pub mod payload;
pub mod record;
pub mod verdict;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::about::About;
use self::outcome::{Outcome, Progress};
use crate::config::settings::ActionKind;
use crate::sentiment::likeness::likeness;
use crate::sentiment::{Sentiment, Speaker};

/// An alert's id, which is also its webhook's `webhook-id`.
///
/// It follows from the call (room, session, and the platform's and SIP's ids of it) and the turn or tool call that
/// escalated, so that a process that takes over a call after a crash comes to the same id and nothing is told twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct AlertId(String);

impl AlertId {
    /// The id of the escalation that `key` (a turn id or tool call id) set off in the call that `call` names.
    #[must_use]
    pub fn derive(call: &[&str], key: &str) -> Self {
        let mut hash = Sha256::new();
        for part in call.iter().copied().chain([key]) {
            // The length keeps ("ab","c") apart from ("a","bc").
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let hex: String = hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        Self(format!("alert_{hex}"))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for AlertId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How bad it is, from the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Frustration above its threshold, or a full streak.
    Medium,
    /// Negative and declining, or extremely negative.
    High,
    /// Extremely frustrated.
    Critical,
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The severity's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// `sentimentWindowTurns` consecutive turns below `sentimentThreshold`.
    Streak,
    /// The running mean of the ratings below `sentimentSustainedLevel`.
    Sustained,
    /// `sentimentHumanRequests` turns that ask for a human.
    HumanRequest,
    /// The seed's trajectory rules.
    Trajectory,
    /// The agent's own `escalate_sentiment`.
    Tool,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Streak, Self::Sustained, Self::HumanRequest, Self::Trajectory, Self::Tool];

    /// The rule's name, as in alerts and events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Streak => "streak",
            Self::Sustained => "sustained",
            Self::HumanRequest => "human_request",
            Self::Trajectory => "trajectory",
            Self::Tool => "tool",
        }
    }

    /// Whether somebody wants a human, whatever the mood: that the caller is calm settles nothing then.
    #[must_use]
    pub fn wants_a_human(self) -> bool {
        matches!(self, Self::HumanRequest | Self::Tool)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A turn as the alert tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertTurn {
    /// Who spoke.
    pub speaker: Speaker,
    /// What was said, with card numbers and other long numbers masked.
    pub text: String,
    /// How a caller turn was rated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<Sentiment>,
}

impl Alert {
    /// An alert that no call is behind: a test of where alerts go.
    #[must_use]
    pub fn test(action: ActionKind, now_ms: u64) -> Self {
        let id = AlertId::derive(&["test"], &now_ms.to_string()).0.replacen("alert_", "test_", 1);
        Self {
            id: AlertId(id),
            room_name: "test".to_owned(),
            session_id: "test".to_owned(),
            turn: 0,
            rule: Rule::Tool,
            severity: Severity::Low,
            reason: "Somebody tests where alerts go".to_owned(),
            description: "This is a test alert: there is no call, and nobody to help".to_owned(),
            sentiment: Sentiment::clamped(1.0),
            mean: None,
            human_requests: None,
            action,
            history: Vec::new(),
            last_turns: Vec::new(),
            outcome: None,
            steps: Vec::new(),
            shadow: false,
            streak: 0,
            participant: None,
            about: Some(Box::new(About { decided_ms: Some(now_ms), ..About::default() })),
        }
    }
}

/// The record of an escalation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its id, the same on every retry.
    pub id: AlertId,
    /// The room.
    pub room_name: String,
    /// The session.
    pub session_id: String,
    /// The caller turn that it follows, from 1; 0 before the first.
    pub turn: u32,
    /// What decided.
    pub rule: Rule,
    /// How bad it is.
    pub severity: Severity,
    /// Why, in one sentence for people.
    pub reason: String,
    /// What upset the caller, at most 200 characters.
    pub description: String,
    /// The sentiment that it escalated at.
    pub sentiment: Sentiment,
    /// The running mean of the ratings at the turn, with two decimals, where the sustained rule is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// How many turns had asked for a human, where so many of them escalate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub human_requests: Option<u32>,
    /// What is done.
    pub action: ActionKind,
    /// All ratings of the call so far, oldest first.
    pub history: Vec<Sentiment>,
    /// The last turns.
    pub last_turns: Vec<AlertTurn>,
    /// What a transfer came to, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The steps of the transfer, as far as it got: at most the first 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Progress>,
    /// Whether it was decided in shadow mode: recorded, nothing done.
    #[serde(default)]
    pub shadow: bool,
    /// How many low turns in a row there were, up to the turn.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub streak: u32,
    /// Who said the turn, by their id in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// Whom it is about and when it was, once it is written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Box<About>>,
}

impl Alert {
    /// Whether another alert tells of the same words: the two are of one call. Revisions of a transcript may differ a little.
    #[must_use]
    pub fn tells_the_words_of(&self, other: &Self) -> bool {
        const ALIKE: f64 = 0.5;
        let words = |alert: &Self| alert.last_turns.iter().map(|turn| turn.text.as_str()).collect::<Vec<_>>().join(" ");
        likeness(&words(self), &words(other)) >= ALIKE
    }
}
