//! What the core tells the platform and QA: the JSON lines of `attach` and `replay`.

use serde::{Deserialize, Serialize};

use super::tracker::Standing;
use super::trend::Trend;
use crate::alert::outcome::{Outcome, Progress};
use crate::alert::{AlertId, Rule, Severity};
use crate::config::settings::ActionKind;
use crate::sentiment::{Cue, Label, RateError, Rating, RatingSource, Sentiment, Unit, Valence};

/// One event of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Report {
    /// The room let us in.
    Attached {
        /// The room.
        room_name: String,
        /// The session.
        session_id: String,
        /// Whether it goes on after a cut.
        resumed: bool,
    },
    /// A caller turn was rated; said again when the rating changes.
    Turn(TurnReport),
    /// A caller turn could not be rated.
    Unrated {
        /// Which caller turn, from 1.
        turn: u32,
        /// The room's id of it.
        turn_id: String,
        /// Why.
        error: RateError,
    },
    /// The decision to act.
    Escalation {
        /// The caller turn that it follows, from 1; 0 before the first.
        turn: u32,
        /// What decided.
        rule: Rule,
        /// The running mean of the ratings, where the sustained rule is on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mean: Option<f64>,
        /// How many turns had asked for a human, where so many of them escalate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        human_requests: Option<u32>,
        /// How bad it is.
        severity: Severity,
        /// What is done.
        action: ActionKind,
        /// What upset the caller.
        description: String,
        /// The alert.
        alert_id: AlertId,
        /// Whether this is shadow mode: nothing is done.
        shadow: bool,
    },
    /// A transfer goes on.
    Transfer {
        /// The alert behind it.
        alert_id: AlertId,
        /// The step.
        progress: Progress,
    },
    /// What an escalation's action came to.
    Outcome {
        /// The alert.
        alert_id: AlertId,
        /// The action.
        action: ActionKind,
        /// A transfer's outcome; none for `notify` and `flag`, which are done once stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transfer: Option<Outcome>,
        /// Whether the webhook falls in for a failed transfer.
        fallback: bool,
    },
    /// A webhook was delivered, will be retried, or was given up.
    Delivery {
        /// The alert.
        alert_id: AlertId,
        /// What came of the attempt.
        result: crate::alert::record::DeliveryResult,
        /// The place that it went to, where it is not the webhook's.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        target: String,
    },
    /// The agent's own tool call was answered.
    Tool {
        /// The call.
        call_id: String,
        /// Whether it escalated.
        escalated: bool,
        /// Why not, otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// Something went wrong and the call goes on.
    Warning {
        /// What.
        detail: String,
    },
    /// The call is over.
    Ended {
        /// Why.
        reason: String,
        /// How many caller turns there were.
        turns: u32,
        /// How many of them could not be rated.
        #[serde(default, skip_serializing_if = "is_none")]
        unrated: u32,
        /// Why a call without an escalation may not have been a calm one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        doubt: Option<Doubt>,
        /// Whether it escalated.
        escalated: bool,
        /// The caller turn of the first escalation.
        at_turn: Option<u32>,
    },
}

/// Why little can be said of how a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// No caller turn was heard: nobody spoke, or the room says that nobody is the caller.
    NobodyHeard,
    /// More than half of the caller turns could not be rated.
    MostlyUnrated,
}

impl Doubt {
    /// What a call of so many caller turns, so many of them unrated, leaves open.
    #[must_use]
    pub fn of(turns: u32, unrated: u32) -> Option<Self> {
        match turns {
            0 => Some(Self::NobodyHeard),
            _ if unrated > turns / 2 => Some(Self::MostlyUnrated),
            _ => None,
        }
    }

    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NobodyHeard => "no caller was heard",
            Self::MostlyUnrated => "most caller turns could not be rated",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_none(count: &u32) -> bool {
    *count == 0
}

/// A rated caller turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnReport {
    /// Which caller turn, from 1.
    pub turn: u32,
    /// The room's id of it, or one made from its first segment.
    pub turn_id: String,
    /// What the caller said.
    pub text: String,
    /// 1 to 10.
    pub sentiment: Sentiment,
    /// -1 to 1.
    pub valence: Valence,
    /// 0 to 1.
    pub frustration: Unit,
    /// 0 to 1.
    pub urgency: Unit,
    /// negative, neutral, positive.
    pub label: Label,
    /// 0 to 1.
    pub confidence: Unit,
    /// Whether it carries no feeling.
    pub filler: bool,
    /// Whether it asks for a human.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks_human: bool,
    /// Consecutive low turns up to and including this one.
    pub streak: u32,
    /// The running mean of the ratings (1 to 10, two decimals), where the sustained rule is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Whether the turn is below the threshold and counts.
    pub low: bool,
    /// Over the last three ratings.
    pub trend: Trend,
    /// The words that moved the rating.
    pub cues: Vec<Cue>,
    /// Who made the rating, where it is not the embedded rater alone.
    #[serde(default, skip_serializing_if = "RatingSource::is_embedded")]
    pub source: RatingSource,
}

impl TurnReport {
    /// The report of one rated turn.
    #[must_use]
    pub fn new(turn_id: &str, text: &str, rating: &Rating, standing: &Standing, low: bool, mean: Option<f64>) -> Self {
        Self {
            turn: standing.ordinal,
            turn_id: turn_id.to_owned(),
            text: text.to_owned(),
            sentiment: rating.sentiment,
            valence: rating.valence,
            frustration: rating.frustration,
            urgency: rating.urgency,
            label: rating.label,
            confidence: rating.confidence,
            filler: rating.filler,
            asks_human: rating.asks_human,
            streak: standing.counts.streak,
            mean,
            low,
            trend: standing.trend,
            cues: rating.cues.clone(),
            source: rating.source,
        }
    }
}
