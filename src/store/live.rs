//! Calls in progress: what the processes that attend them tell of them turn by turn ([`LiveCall`]), and who needs help first
//! ([`Need`]).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::review::{Claimed, DeliveryState};
use crate::alert::outcome::Outcome;
use crate::alert::payload::Caller;
use crate::alert::{AlertId, Severity};
use crate::config::settings::ActionKind;
use crate::sentiment::Sentiment;

/// How often a process that attends calls gives a sign of life, in ms.
pub const BEAT_MS: u64 = 30_000;
/// Whose process has been silent for so long is no longer watched, in ms.
pub const SILENT_MS: u64 = 3 * BEAT_MS;
/// Whose process has been silent for so long is shown no longer, in ms.
pub const FORGOTTEN_MS: u64 = 15 * 60_000;
/// So many of a call's last ratings are told.
pub const MOST_RATINGS: usize = 40;
/// Longest last words, in characters.
pub const MOST_WORDS: usize = 160;
/// So many of the caller's last turns are told.
pub const MOST_TURNS: usize = 6;

/// A call in progress. `Debug` shows nobody's number, name or words.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveCall {
    /// The room.
    pub room_name: String,
    /// The session.
    pub session_id: String,
    /// When the sidecar attached to it, Unix time in ms.
    pub started_ms: u64,
    /// Who calls, as far as the room says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Caller>,
    /// How many caller turns there were.
    pub turns: u32,
    /// The last ratings, at most [`MOST_RATINGS`], oldest first.
    pub ratings: Vec<Sentiment>,
    /// Ratings below this are low.
    pub threshold: u8,
    /// So many low turns in a row escalate.
    pub window: u32,
    /// So many there are.
    pub streak: u32,
    /// The running mean of the ratings, where the sustained rule is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Whether the last turn that counts is low.
    pub low: bool,
    /// Whether a human has the caller.
    pub with_human: bool,
    /// The caller's last words, numbers masked; none where words are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_words: Option<String>,
    /// Its last escalation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<LiveAlert>,
    /// The caller's last turns, at most [`MOST_TURNS`], oldest first; none where words are not kept. The board leaves them
    /// out: they are asked for one call at a time.
    #[serde(skip)]
    pub last_turns: Vec<LiveTurn>,
}

/// A turn of the caller in a call in progress. `Debug` shows no words.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveTurn {
    /// Which caller turn, from 1.
    pub turn: u32,
    /// How it is rated.
    pub sentiment: Sentiment,
    /// Whether it is low and counts.
    pub low: bool,
    /// What was said, numbers masked; the end of it, where it is long.
    pub words: String,
}

impl fmt::Debug for LiveTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTurn").field("turn", &self.turn).field("low", &self.low).finish_non_exhaustive()
    }
}

/// The last escalation of a call in progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveAlert {
    /// The alert.
    pub id: AlertId,
    /// How bad it is.
    pub severity: Severity,
    /// What is done.
    pub action: ActionKind,
    /// Whether nothing is done: shadow mode.
    pub shadow: bool,
    /// How far that is.
    pub state: ActionState,
    /// Where it stands with the places that it goes to.
    pub delivery: DeliveryState,
    /// Whether the caller has calmed down since: a later turn that counts is not low, and what escalated is the mood. Nobody
    /// knows of what a process of the version before tells.
    #[serde(default)]
    pub calmed: bool,
}

/// How far an action is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ActionState {
    /// It is under way.
    UnderWay {
        /// The last step of a transfer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<String>,
    },
    /// It is done.
    Done,
    /// It failed.
    Failed {
        /// What a transfer came to instead.
        outcome: Outcome,
    },
}

/// Something to be told of calls in progress.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveChange {
    /// A call stands so.
    Stands(Box<LiveCall>),
    /// A call is over.
    Over {
        /// The session.
        session_id: String,
        /// The room.
        room_name: String,
    },
}

impl LiveChange {
    /// Which call it is of: room and session.
    #[must_use]
    pub fn of(&self) -> (&str, &str) {
        match self {
            Self::Stands(call) => (&call.room_name, &call.session_id),
            Self::Over { session_id, room_name } => (room_name, session_id),
        }
    }

    /// The call and how it stands, unless it is over.
    #[must_use]
    pub fn stands(&self) -> Option<&LiveCall> {
        match self {
            Self::Stands(call) => Some(call),
            Self::Over { .. } => None,
        }
    }
}

/// What tells where a call stands on the board, and by what it is found there. `Debug` shows nobody's number or name.
#[derive(Clone, PartialEq)]
pub struct Brief {
    /// The room.
    pub room_name: String,
    /// The session.
    pub session_id: String,
    /// When the sidecar attached to it, Unix time in ms.
    pub started_ms: u64,
    /// The caller's name.
    pub name: Option<String>,
    /// The caller's number.
    pub number: Option<String>,
    /// So many low turns in a row escalate.
    pub window: u32,
    /// So many there are.
    pub streak: u32,
    /// Whether the last turn that counts is low.
    pub low: bool,
    /// Whether a human has the caller.
    pub with_human: bool,
    /// The last rating.
    pub last: Option<Sentiment>,
    /// Its last escalation.
    pub alert: Option<LiveAlert>,
}

/// [`Brief`] without room and session, in its order, as JSON.
type BriefText = (u64, Option<String>, Option<String>, u32, u32, bool, bool, Option<Sentiment>, Option<LiveAlert>);

impl Brief {
    /// What was read of a call of this room and session.
    pub(super) fn read(room_name: String, session_id: String, text: &str) -> serde_json::Result<Self> {
        let (started_ms, name, number, window, streak, low, with_human, last, alert) =
            serde_json::from_str::<BriefText>(text)?;
        Ok(Self { room_name, session_id, started_ms, name, number, window, streak, low, with_human, last, alert })
    }
}

impl fmt::Debug for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brief")
            .field("room_name", &self.room_name)
            .field("session_id", &self.session_id)
            .field("streak", &self.streak)
            .field("alert", &self.alert)
            .finish_non_exhaustive()
    }
}

impl LiveCall {
    /// What tells where it stands on the board.
    #[must_use]
    pub fn brief(&self) -> Brief {
        let caller = self.caller.as_ref();
        Brief {
            room_name: self.room_name.clone(),
            session_id: self.session_id.clone(),
            started_ms: self.started_ms,
            name: caller.and_then(|caller| caller.name.clone()),
            number: caller.and_then(|caller| caller.number.clone()),
            window: self.window,
            streak: self.streak,
            low: self.low,
            with_human: self.with_human,
            last: self.ratings.last().copied(),
            alert: self.alert.clone(),
        }
    }
}

impl fmt::Debug for LiveCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveCall")
            .field("room_name", &self.room_name)
            .field("session_id", &self.session_id)
            .field("turns", &self.turns)
            .field("streak", &self.streak)
            .field("alert", &self.alert)
            .finish_non_exhaustive()
    }
}

/// Where a call stands on the board.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The call.
    pub brief: Brief,
    /// Whether its process lives.
    pub watched: bool,
    /// Who looks after its alert.
    pub claimed: Option<Claimed>,
    /// What it needs.
    pub need: Need,
}

/// A call as the board shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoardRow {
    /// The call.
    #[serde(flatten)]
    pub call: LiveCall,
    /// Whether its process lives.
    pub watched: bool,
    /// Who looks after its alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed: Option<Claimed>,
    /// What it needs.
    pub need: Need,
}

/// What a call in progress needs, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Somebody at once: it escalated, and nobody has it.
    Somebody,
    /// Its process is gone, so that nobody watches it.
    Watching,
    /// Somebody soon: one more low turn escalates.
    Soon,
    /// To be looked at: a transfer is under way.
    Transfer,
    /// To be looked at: its last turn was low.
    Eye,
    /// Nothing: somebody looks after it.
    InHand,
    /// Nothing: it escalated, and the caller has calmed down since.
    Recovered,
    /// Nothing.
    Nothing,
}

impl Need {
    /// What a call needs, given whether its process lives and somebody looks after it.
    #[must_use]
    pub fn of(call: &Brief, watched: bool, claimed: bool) -> Self {
        let alert = call.alert.as_ref().filter(|alert| !alert.shadow);
        if call.with_human || (alert.is_some() && claimed) {
            return Self::InHand;
        }
        if !watched {
            return Self::Watching;
        }
        match alert {
            Some(alert) if alert.is_under_way() => Self::Transfer,
            Some(alert) if matches!(alert.state, ActionState::Failed { .. }) || !alert.calmed => Self::Somebody,
            Some(_) => Self::Recovered,
            None if call.streak > 0 && call.streak + 1 >= call.window => Self::Soon,
            None if call.low => Self::Eye,
            None => Self::Nothing,
        }
    }

    /// Whether somebody should do something.
    #[must_use]
    pub fn is_urgent(self) -> bool {
        matches!(self, Self::Somebody | Self::Watching | Self::Soon)
    }
}

impl LiveAlert {
    fn is_under_way(&self) -> bool {
        self.action == ActionKind::Transfer && matches!(self.state, ActionState::UnderWay { .. })
    }
}

impl Standing {
    /// A call as the board has it, whose process last gave a sign of life at `seen_ms`. One of a time that lies far
    /// ahead is from before the clock was put back: whoever lives has given another one within half a minute.
    pub(super) fn new(brief: Brief, seen_ms: u64, claimed: Option<Claimed>, now_ms: u64) -> Self {
        let watched = now_ms.abs_diff(seen_ms) < SILENT_MS;
        let need = Need::of(&brief, watched, claimed.is_some());
        Self { brief, watched, claimed, need }
    }

    /// Before which others it stands: those that need most come first, the longest call before others like it.
    pub(super) fn place(&self) -> impl Ord {
        let brief = &self.brief;
        let severity = brief.alert.as_ref().filter(|alert| !alert.shadow).map(|alert| alert.severity);
        let last = brief.last.map_or(100, |rating| (rating.value() * 10.0) as u32);
        let key = (brief.started_ms, &brief.room_name, &brief.session_id);
        (self.need, std::cmp::Reverse(severity), std::cmp::Reverse(brief.streak), last, key)
    }

    /// The call itself, as it was read a moment later.
    pub(super) fn with(&self, call: LiveCall) -> BoardRow {
        let brief = call.brief();
        // Nobody has taken an alert that has come since.
        let id = |alert: &Option<LiveAlert>| alert.as_ref().map(|alert| alert.id.clone());
        let claimed = self.claimed.clone().filter(|_| id(&brief.alert) == id(&self.brief.alert));
        let need = Need::of(&brief, self.watched, claimed.is_some());
        BoardRow { call, watched: self.watched, claimed, need }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A calm call in a room, attached to at `started_ms`.
    pub(in crate::store) fn call(room_name: &str, started_ms: u64) -> LiveCall {
        LiveCall {
            room_name: room_name.to_owned(),
            session_id: "session_1".to_owned(),
            started_ms,
            caller: Some(Caller { participant: None, name: None, number: Some("+1 415 555 0123".to_owned()) }),
            turns: 1,
            ratings: vec![Sentiment::clamped(6.0)],
            threshold: 3,
            window: 3,
            streak: 0,
            mean: None,
            low: false,
            with_human: false,
            last_words: Some("hello".to_owned()),
            alert: None,
            last_turns: vec![LiveTurn {
                turn: 1,
                sentiment: Sentiment::clamped(6.0),
                low: false,
                words: "hello".to_owned(),
            }],
        }
    }

    /// The same with an alert.
    pub(in crate::store) fn alerted(call: LiveCall, id: &AlertId, action: ActionKind, state: ActionState) -> LiveCall {
        let alert = LiveAlert {
            id: id.clone(),
            severity: Severity::High,
            action,
            shadow: false,
            state,
            delivery: DeliveryState::None,
            calmed: false,
        };
        LiveCall { alert: Some(alert), low: true, ..call }
    }

    #[test]
    fn who_needs_help_comes_first_and_who_has_it_last() {
        let id = AlertId::from("alert_1".to_owned());
        let calm = call("calm", 5);
        let flagged = |name: &str| alerted(call(name, 5), &id, ActionKind::Flag, ActionState::Done);
        let busy = ActionState::Failed { outcome: Outcome::Busy };
        let mut calmed = LiveCall { low: false, ..flagged("calmed") };
        calmed.alert.iter_mut().for_each(|alert| alert.calmed = true);
        let cases = [
            (alerted(calm.clone(), &id, ActionKind::Transfer, busy), true, false, Need::Somebody),
            (flagged("flagged"), true, false, Need::Somebody),
            (flagged("flagged"), true, true, Need::InHand),
            (LiveCall { low: false, ..flagged("was never low") }, true, false, Need::Somebody),
            (calmed, true, false, Need::Recovered),
            (flagged("flagged"), false, false, Need::Watching),
            (calm.clone(), false, false, Need::Watching),
            (
                alerted(calm.clone(), &id, ActionKind::Transfer, ActionState::UnderWay { step: None }),
                true,
                false,
                Need::Transfer,
            ),
            (LiveCall { with_human: true, ..flagged("human") }, false, false, Need::InHand),
            (LiveCall { low: true, streak: 2, ..calm.clone() }, true, false, Need::Soon),
            (LiveCall { low: true, streak: 1, ..calm.clone() }, true, false, Need::Eye),
            (LiveCall { window: 1, ..calm.clone() }, true, false, Need::Nothing),
        ];
        for (call, watched, claimed, need) in cases {
            assert_eq!(Need::of(&call.brief(), watched, claimed), need, "{call:?}");
        }
        let mut shadowed = flagged("shadow");
        shadowed.alert.iter_mut().for_each(|alert| alert.shadow = true);
        assert_eq!(Need::of(&shadowed.brief(), true, false), Need::Eye, "what is not done leaves the call as it is");
        let mut rows = [calm, flagged("later"), LiveCall { started_ms: 4, ..flagged("sooner") }]
            .map(|call| Standing::new(call.brief(), 1_000, None, 1_000));
        rows.sort_by(|one, other| one.place().cmp(&other.place()));
        assert_eq!(rows.each_ref().map(|row| row.brief.room_name.as_str()), ["sooner", "later", "calm"]);
    }

    #[test]
    fn debug_shows_neither_number_nor_words() {
        let shown = format!("{:?} {:?}", call("room", 1), call("room", 1).brief());
        assert!(!shown.contains("415") && !shown.contains("hello"), "{shown}");
    }
}
