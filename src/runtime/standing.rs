//! How one call stands, as the board is told ([`Standing`]).

use std::collections::BTreeMap;

use super::about::Caller;
use super::live::Live;
use crate::alert::outcome::Outcome;
use crate::alert::record::DeliveryResult;
use crate::call::report::{Report, TurnReport};
use crate::clock::unix_ms;
use crate::config::settings::{KeepTranscripts, Settings};
use crate::room::message::{RoomMessage, Welcome};
use crate::sentiment::Sentiment;
use crate::sentiment::describe::masked;
use crate::store::live::{
    ActionState, LiveAlert, LiveCall, LiveChange, LiveTurn, MOST_RATINGS, MOST_TURNS, MOST_WORDS,
};
use crate::store::review::DeliveryState;

/// How one call stands, as it is told.
#[derive(Debug)]
pub(super) struct Standing {
    live: Live,
    /// None until the room let us in, and when the call is over.
    call: Option<LiveCall>,
    threshold: u8,
    window: u32,
    /// Whether what the caller says may be written down.
    words: bool,
    /// Ratings by their turn, so that a turn that is rated again stays one.
    ratings: BTreeMap<u32, Sentiment>,
    /// The last turns with their words, where those may be written down.
    turns: BTreeMap<u32, LiveTurn>,
    /// Where the last alert stands with each place.
    delivered: BTreeMap<String, DeliveryState>,
}

impl Standing {
    pub(super) fn new(live: Live, settings: &Settings) -> Self {
        Self {
            live,
            call: None,
            threshold: settings.threshold,
            window: settings.window,
            words: settings.keep_transcripts != KeepTranscripts::None,
            ratings: BTreeMap::new(),
            turns: BTreeMap::new(),
            delivered: BTreeMap::new(),
        }
    }

    /// The room let us in.
    pub(super) fn joined(&mut self, welcome: &Welcome, caller: &Caller) {
        let (room_name, session_id) = (welcome.room_name.clone(), welcome.session_id.clone());
        if self.call.as_ref().is_some_and(|call| call.room_name == room_name && call.session_id == session_id) {
            return;
        }
        self.over();
        self.ratings.clear();
        self.turns.clear();
        self.call = Some(LiveCall {
            room_name,
            session_id,
            started_ms: unix_ms(),
            caller: None,
            turns: 0,
            ratings: Vec::new(),
            threshold: self.threshold,
            window: self.window,
            streak: 0,
            mean: None,
            low: false,
            with_human: false,
            last_words: None,
            alert: None,
            last_turns: Vec::new(),
        });
        self.tell(caller);
    }

    /// Somebody came into the room, or is named by now.
    pub(super) fn heard(&mut self, message: &RoomMessage, caller: &Caller) {
        if matches!(message, RoomMessage::ParticipantJoined { .. }) {
            self.tell(caller);
        }
    }

    /// Takes note of what the core reports, and tells it where the board shows it.
    pub(super) fn reported(&mut self, report: &Report, caller: &Caller) {
        if self.call.is_none() || !self.changed_by(report) {
            return;
        }
        if let Some(alert) = self.call.as_mut().and_then(|call| call.alert.as_mut()) {
            alert.calmed = caller.mood().settles_the_last();
        }
        self.tell(caller);
    }

    fn tell(&mut self, caller: &Caller) {
        let Some(call) = &mut self.call else { return };
        call.caller = caller.who();
        call.with_human = caller.is_handed_over();
        call.ratings = self.ratings.values().copied().collect();
        call.last_turns = self.turns.values().cloned().collect();
        self.live.tell(LiveChange::Stands(Box::new(call.clone())));
    }

    /// Whether a report changes what is shown.
    fn changed_by(&mut self, report: &Report) -> bool {
        let Some(call) = &mut self.call else { return false };
        match report {
            Report::Turn(turn) => self.turn(turn),
            Report::Unrated { turn, .. } => call.turns = call.turns.max(*turn),
            Report::Escalation { severity, action, alert_id, shadow, .. } => {
                self.delivered.clear();
                call.alert = Some(LiveAlert {
                    id: alert_id.clone(),
                    severity: *severity,
                    action: *action,
                    shadow: *shadow,
                    state: ActionState::UnderWay { step: None },
                    delivery: DeliveryState::None,
                    calmed: false,
                });
            }
            Report::Transfer { alert_id, progress } => {
                let Some(alert) = call.alert.as_mut().filter(|alert| alert.id == *alert_id) else { return false };
                alert.state = ActionState::UnderWay { step: Some(progress.step.clone()) };
            }
            Report::Outcome { alert_id, transfer, .. } => {
                let Some(alert) = call.alert.as_mut().filter(|alert| alert.id == *alert_id) else { return false };
                alert.state = match transfer {
                    None | Some(Outcome::Transferred) => ActionState::Done,
                    Some(outcome) => ActionState::Failed { outcome: outcome.clone() },
                };
            }
            Report::Delivery { alert_id, result, target } => {
                let Some(alert) = call.alert.as_mut().filter(|alert| alert.id == *alert_id) else { return false };
                let state = match result {
                    DeliveryResult::Delivered { .. } => DeliveryState::Delivered,
                    DeliveryResult::Retry { .. } => DeliveryState::Pending,
                    DeliveryResult::GaveUp { .. } => DeliveryState::GaveUp,
                };
                self.delivered.insert(target.clone(), state);
                alert.delivery = self.delivered.values().copied().max().unwrap_or(DeliveryState::None);
            }
            Report::Attached { .. } | Report::Tool { .. } | Report::Warning { .. } | Report::Ended { .. } => {
                return false;
            }
        }
        true
    }

    fn turn(&mut self, turn: &TurnReport) {
        let Some(call) = &mut self.call else { return };
        if !turn.filler {
            self.ratings.insert(turn.turn, turn.sentiment);
            while self.ratings.len() > MOST_RATINGS {
                self.ratings.pop_first();
            }
        }
        if self.words {
            let words = shortened(&masked(&turn.text));
            let told = LiveTurn { turn: turn.turn, sentiment: turn.sentiment, low: turn.low, words };
            self.turns.insert(turn.turn, told);
            while self.turns.len() > MOST_TURNS {
                self.turns.pop_first();
            }
        }
        // A turn of before that is rated again leaves the call where it stands by now.
        if turn.turn < call.turns {
            return;
        }
        call.turns = turn.turn;
        call.streak = turn.streak;
        call.mean = turn.mean;
        if !turn.filler {
            call.low = turn.low;
        }
        call.last_words = self.turns.get(&turn.turn).map(|told| told.words.clone());
    }

    /// The call is over.
    pub(super) fn over(&mut self) {
        if let Some(LiveCall { session_id, room_name, .. }) = self.call.take() {
            self.live.tell(LiveChange::Over { session_id, room_name });
        }
    }
}

/// The end of what was said, where all of it is too long.
fn shortened(text: &str) -> String {
    let count = text.chars().count();
    if count <= MOST_WORDS {
        return text.to_owned();
    }
    let end: String = text.chars().skip(count - MOST_WORDS + 2).collect();
    // Not from the middle of a word.
    format!("… {}", end.split_once(' ').map_or(end.as_str(), |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use tokio::sync::mpsc;

    use super::*;
    use crate::alert::{AlertId, Rule, Severity};
    use crate::config::settings::ActionKind;
    use crate::room::message::{CallInfo, Participant, Role};
    use crate::runtime::live::tests::heard;
    use crate::store::Left;

    struct Told {
        standing: Standing,
        caller: Caller,
        queue: mpsc::UnboundedReceiver<LiveChange>,
    }

    impl Told {
        fn new(keep_transcripts: KeepTranscripts) -> Self {
            let (live, queue) = heard();
            let settings = Settings { keep_transcripts, ..Settings::default() };
            let standing = Standing::new(live, &settings);
            let mut told = Self { standing, caller: Caller::default(), queue };
            let dana = Participant { id: "c".to_owned(), role: Role::Caller, name: Some("Dana".to_owned()) };
            let welcome = Welcome {
                version: 1,
                session_id: "session_1".to_owned(),
                room_name: "room_1".to_owned(),
                call: CallInfo { from: Some("+14155550123".to_owned()), ..CallInfo::default() },
                participants: vec![dana],
                capabilities: Vec::new(),
                resumed: false,
                alerts: Vec::new(),
            };
            told.caller.heard(&RoomMessage::Welcome(welcome.clone()));
            told.standing.joined(&welcome, &told.caller);
            told
        }

        fn report(&mut self, report: &Report) -> Option<LiveCall> {
            self.caller.reported(report);
            self.standing.reported(report, &self.caller);
            self.last()
        }

        /// The last that was told, if anything.
        fn last(&mut self) -> Option<LiveCall> {
            let mut last = None;
            while let Ok(LiveChange::Stands(call)) = self.queue.try_recv() {
                last = Some(*call);
            }
            last
        }
    }

    fn escalation(turn: u32, rule: Rule, shadow: bool) -> Report {
        Report::Escalation {
            turn,
            rule,
            mean: None,
            human_requests: None,
            severity: Severity::High,
            action: ActionKind::Flag,
            description: "asks for a human".to_owned(),
            alert_id: AlertId::from(format!("alert_{turn}")),
            shadow,
        }
    }

    #[test]
    fn who_has_just_escalated_has_not_calmed_down_and_who_wants_a_human_does_not() {
        let mut told = Told::new(KeepTranscripts::Escalated);
        told.report(&turn(1, "I want to speak to a human please", 3.6, 0));
        assert_eq!(told.caller.left(), Left::Calm);
        let calmed = |call: Option<LiveCall>| call.unwrap().alert.unwrap().calmed;
        assert!(!calmed(told.report(&escalation(1, Rule::Streak, false))), "the very turn that escalated");
        assert_eq!(told.caller.left(), Left::Unhappy);
        assert!(!calmed(told.report(&turn(1, "I want to speak to a human please", 6.0, 0))), "rated again");
        assert!(calmed(told.report(&turn(2, "oh, thank you", 7.0, 0))));
        assert_eq!(told.caller.left(), Left::Calm);
        assert!(!calmed(told.report(&turn(3, "no, not that", 2.0, 1))));
        assert!(!calmed(told.report(&turn(2, "oh, thank you", 8.0, 0))), "a turn of before, rated again");
        for rule in [Rule::HumanRequest, Rule::Tool] {
            told.report(&escalation(4, rule, false));
            assert!(!calmed(told.report(&turn(5, "fine, go on", 7.0, 0))), "{rule:?} wants a human");
        }
        assert_eq!(told.caller.left(), Left::Calm, "which the store takes for no human");
        told.report(&escalation(6, Rule::Streak, true));
        assert_eq!(told.caller.left(), Left::Calm, "what is not done leaves the call as it is");
    }

    fn turn(turn: u32, text: &str, sentiment: f64, streak: u32) -> Report {
        let text = serde_json::json!({"type": "turn", "turn": turn, "turn_id": format!("t{turn}"), "text": text,
            "sentiment": sentiment, "valence": 0.0, "frustration": 0.0, "urgency": 0.0, "label": "neutral",
            "confidence": 1.0, "filler": false, "streak": streak, "low": streak > 0, "trend": "stable", "cues": []});
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_call_stands_as_its_last_turn_left_it() {
        let mut told = Told::new(KeepTranscripts::Escalated);
        let call = told.last().unwrap();
        assert_eq!(call.caller.unwrap().words().as_deref(), Some("Dana (+14155550123)"));
        told.report(&turn(1, "my card is 4111 1111 1111 1111", 5.0, 0));
        let call = told.report(&turn(2, "This is ridiculous, 4111 1111 1111 1111", 2.0, 1)).unwrap();
        assert_eq!((call.turns, call.streak, call.low, call.ratings.len()), (2, 1, true, 2));
        assert!(!call.last_words.unwrap().contains("4111"));
        let again = told.report(&turn(1, "my card", 2.5, 1)).unwrap();
        assert_eq!((again.turns, again.streak), (2, 1), "the last turn counts");
        assert_eq!(again.ratings[0], Sentiment::clamped(2.5));
        for n in 3..=99 {
            told.report(&turn(n, "yes", 5.0, 0));
        }
        let call = told.report(&turn(100, &"word ".repeat(90), 5.0, 0)).unwrap();
        assert_eq!(call.ratings.len(), MOST_RATINGS);
        let words = call.last_words.unwrap();
        assert!(words.starts_with("… word") && words.chars().count() <= MOST_WORDS, "{words}");
        let last: Vec<u32> = call.last_turns.iter().map(|turn| turn.turn).collect();
        assert_eq!((last.len(), last[MOST_TURNS - 1]), (MOST_TURNS, 100));
        assert_eq!(call.last_turns[MOST_TURNS - 1].words, words);
    }

    #[test]
    fn without_kept_transcripts_no_word_is_told() {
        let mut told = Told::new(KeepTranscripts::None);
        let call = told.report(&turn(1, "hello", 5.0, 0)).unwrap();
        assert_eq!((call.last_words, call.last_turns), (None, Vec::new()));
    }

    #[test]
    fn an_escalation_is_told_until_what_it_came_to() {
        let mut told = Told::new(KeepTranscripts::Escalated);
        let alert_id = AlertId::from("alert_1".to_owned());
        let escalation = Report::Escalation {
            turn: 3,
            rule: Rule::Streak,
            mean: None,
            human_requests: None,
            severity: Severity::High,
            action: ActionKind::Transfer,
            description: "angry".to_owned(),
            alert_id: alert_id.clone(),
            shadow: false,
        };
        let call = told.report(&escalation).unwrap();
        assert_eq!(call.alert.unwrap().state, ActionState::UnderWay { step: None });
        let delivery = |result| Report::Delivery { alert_id: alert_id.clone(), result, target: String::new() };
        let retry = DeliveryResult::Retry { detail: "503".to_owned(), attempts: 1, in_ms: 5 };
        assert_eq!(told.report(&delivery(retry)).unwrap().alert.unwrap().delivery, DeliveryState::Pending);
        let delivered = DeliveryResult::Delivered { status: 204, attempts: 2 };
        assert_eq!(told.report(&delivery(delivered)).unwrap().alert.unwrap().delivery, DeliveryState::Delivered);
        let outcome = |transfer| Report::Outcome {
            alert_id: alert_id.clone(),
            action: ActionKind::Transfer,
            transfer,
            fallback: true,
        };
        let call = told.report(&outcome(Some(Outcome::Busy))).unwrap();
        assert_eq!(call.alert.unwrap().state, ActionState::Failed { outcome: Outcome::Busy });
        let call = told.report(&outcome(Some(Outcome::Transferred))).unwrap();
        assert!(call.with_human && call.alert.unwrap().state == ActionState::Done);
        told.standing.over();
        assert!(matches!(told.queue.try_recv().unwrap(), LiveChange::Over { .. }));
        assert!(told.report(&turn(4, "hello", 5.0, 0)).is_none(), "what is over stays over");
    }
}
