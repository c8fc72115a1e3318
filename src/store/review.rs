//! What people ask of a store, and what they tell it: alerts by what they look for, verdicts, and what is to be forgotten.

use serde::{Deserialize, Serialize};

use super::course::Course;
use crate::alert::notice::NoticeEvent;
use crate::alert::outcome::Outcome;
use crate::alert::verdict::Verdict;
use crate::alert::{Alert, AlertId, Rule, Severity};
use crate::config::settings::ActionKind;

/// Which alerts. What is none of them leaves out nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Decided then or later, Unix time in ms.
    pub since_ms: Option<u64>,
    /// Decided before then, Unix time in ms.
    pub until_ms: Option<u64>,
    /// Of this room.
    pub room: Option<String>,
    /// With this action.
    pub action: Option<ActionKind>,
    /// By this rule.
    pub rule: Option<Rule>,
    /// At least as bad.
    pub severity: Option<Severity>,
    /// Whose transfer came to this, by its name.
    pub outcome: Option<String>,
    /// Of which somebody said this; `Some(None)`: of which nobody said anything.
    pub verdict: Option<Option<Verdict>>,
    /// Not everywhere delivered.
    pub undelivered: bool,
    /// Of this caller, in any form of the number.
    pub caller: Option<String>,
    /// Decided before this one.
    pub before: Option<(u64, AlertId)>,
}

/// An alert as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedAlert {
    /// When it was decided, Unix time in ms.
    pub created_ms: u64,
    /// The alert, with its outcome where there is one.
    pub alert: Alert,
    /// What somebody said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Where it stands with the places that it goes to.
    pub delivery: DeliveryState,
}

/// Where an alert stands with the places that it goes to, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It goes nowhere, or was not needed.
    None,
    /// All have it.
    Delivered,
    /// One has yet to get it.
    Pending,
    /// One was given up.
    GaveUp,
}

impl DeliveryState {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Delivered => "delivered",
            Self::Pending => "pending",
            Self::GaveUp => "gave_up",
        }
    }

    /// What a row's state makes of the whole.
    pub(super) fn of_row(state: &str) -> Self {
        match state {
            "delivered" => Self::Delivered,
            "held" | "pending" => Self::Pending,
            "gave_up" => Self::GaveUp,
            _ => Self::None,
        }
    }
}

/// What somebody said of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SaidVerdict {
    /// What.
    pub verdict: Verdict,
    /// And why.
    pub note: String,
    /// Who.
    pub said_by: String,
    /// When, Unix time in ms.
    pub said_ms: u64,
}

/// What came of saying something of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It is kept.
    Kept,
    /// Somebody said something else meanwhile, which stays.
    Meanwhile,
    /// There is no such alert.
    NoAlert,
}

/// An attempt to tell a place of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// What the place is called; nothing for the webhook's.
    pub target: String,
    /// What it was of.
    pub event: NoticeEvent,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When it was over, Unix time in ms.
    pub at_ms: u64,
    /// The answer's HTTP status, where there was one.
    pub status: Option<u16>,
    /// Why it did not work, if it did not.
    pub error: Option<String>,
}

/// What is kept of what was said in a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// A recording, as JSON Lines.
    pub recording: String,
    /// How it went; none where a version before kept it.
    pub course: Option<Course>,
}

/// A call with what was said of its alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledCall {
    /// The room.
    pub room_name: String,
    /// The session.
    pub session_id: String,
    /// What was kept of it; none where nothing was, or where its session has had another call since.
    pub kept: Option<Kept>,
    /// Its alerts that somebody said something of, first one first.
    pub alerts: Vec<(Alert, Verdict)>,
}

/// Who looks after an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claimed {
    /// Who.
    pub by: String,
    /// Since when, Unix time in ms.
    pub since_ms: u64,
}

/// What something that somebody did was done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern<'a> {
    /// Nothing by itself: a list, say.
    Many,
    /// An alert.
    Alert(&'a AlertId),
    /// A call in progress.
    Call {
        /// The room.
        room_name: &'a str,
        /// The session.
        session_id: &'a str,
    },
}

/// Something that somebody did: read callers' words, or changed something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audited {
    /// When, Unix time in ms.
    pub at_ms: u64,
    /// Who.
    pub who: String,
    /// What: `read`, `verdict right`, `claim`, …
    pub what: String,
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditLine {
    /// What was done, when and by whom.
    #[serde(flatten)]
    pub done: Audited,
    /// To which alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_id: Option<AlertId>,
    /// To which call in progress: its room and its session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_name: Option<String>,
    /// See there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

/// How often calls of a period escalated, and how right that was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rates {
    /// Calls that began in the period.
    pub calls: u64,
    /// Those of them that escalated.
    pub escalated: u64,
    /// Alerts of the period that somebody called right.
    pub right: u64,
    /// Wrong.
    pub wrong: u64,
    /// Late.
    pub late: u64,
    /// Alerts of the period that are not everywhere delivered.
    pub undelivered: u64,
}

/// How much of an alert is sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resent {
    /// So much is due now.
    pub due: u64,
    /// So much waits for the outcome of a transfer, and goes out with it.
    pub held: u64,
}

/// How much was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Alerts, with all that was sent and said of them.
    pub alerts: u64,
    /// Sessions, with what was kept of them.
    pub sessions: u64,
}

/// The name of a transfer's outcome, as filters have it.
#[must_use]
pub fn outcome_names() -> [&'static str; 9] {
    [
        Outcome::Transferred.name(),
        Outcome::Busy.name(),
        Outcome::Declined.name(),
        Outcome::NoAnswer.name(),
        "rejected",
        "unreachable",
        Outcome::Cancelled.name(),
        Outcome::CallerGone.name(),
        Outcome::Unknown.name(),
    ]
}
