//! What both sides said.

use super::spoken::spoken;
use crate::alert::{Alert, AlertTurn};
use crate::recording::{CutLine, Recording};
use crate::room::message::{Participant, Role, RoomMessage};
use crate::sentiment::Speaker;
use crate::store::course::{Course, RatedTurn};

/// A turn.
#[derive(Debug)]
pub(in crate::web) struct Turn {
    /// What marks of the chart lead to; nothing where none does.
    pub(in crate::web) anchor: String,
    pub(in crate::web) who: &'static str,
    pub(in crate::web) rating: String,
    pub(in crate::web) low: bool,
    pub(in crate::web) asks_human: bool,
    /// Whether the alert was decided at it.
    pub(in crate::web) decides: bool,
    /// Pieces of what was said, and whether each made the rating worse.
    pub(in crate::web) text: Vec<(bool, String)>,
}

/// The anchor of a caller turn.
pub(super) fn anchor(turn: u32) -> String {
    format!("turn-{turn}")
}

/// The turns that led to an alert.
pub(in crate::web) fn last_turns(alert: &Alert) -> Vec<Turn> {
    alert.last_turns.iter().map(one_of_last).collect()
}

fn one_of_last(turn: &AlertTurn) -> Turn {
    Turn {
        anchor: String::new(),
        who: match turn.speaker {
            Speaker::Caller => "caller",
            Speaker::Agent => "agent",
        },
        rating: turn.sentiment.map_or_else(String::new, |rating| rating.to_string()),
        low: turn.sentiment.is_some_and(|rating| rating.is_below(3)),
        asks_human: false,
        decides: false,
        text: vec![(false, turn.text.clone())],
    }
}

/// All that was said in a call, of a recording that was kept, with the ratings that were kept beside it.
pub(in crate::web) fn whole_call(recording: &str, course: Option<&Course>, alert: &Alert) -> Vec<Turn> {
    let Ok(recording) = Recording::read(recording.as_bytes(), "transcript", CutLine::LeaveOut) else {
        return Vec::new();
    };
    let mut people: Vec<Participant> = Vec::new();
    for timed in &recording.messages {
        match &timed.message {
            RoomMessage::Welcome(welcome) => people.extend(welcome.participants.iter().cloned()),
            RoomMessage::ParticipantJoined { participant, .. } => people.push(participant.clone()),
            _ => {}
        }
    }
    let rated = |id: &str| course.and_then(|course| course.turns.iter().find(|turn| turn.turn_id == id));
    let all = spoken(&recording, |id| rated(id).is_some());
    all.iter().map(|one| said(&people, &one.who, &one.text(), rated(&one.id), alert)).collect()
}

fn said(people: &[Participant], id: &str, text: &str, rated: Option<&RatedTurn>, alert: &Alert) -> Turn {
    let role = people.iter().find(|one| one.id == id).map_or(Role::Observer, |one| one.role);
    let who = match role {
        Role::Caller => "caller",
        Role::Agent => "agent",
        Role::Supervisor => "supervisor",
        Role::Observer | Role::Unknown => "other",
    };
    Turn {
        anchor: rated.map_or_else(String::new, |turn| anchor(turn.turn)),
        who,
        rating: rated.map_or_else(String::new, |turn| turn.sentiment.to_string()),
        low: rated.is_some_and(|turn| turn.low),
        asks_human: rated.is_some_and(|turn| turn.asks_human),
        decides: rated.is_some_and(|turn| turn.turn == alert.turn),
        text: rated.map_or_else(|| vec![(false, text.to_owned())], |turn| marked(text, turn)),
    }
}

/// What was said in pieces, those marked that made its rating worse.
fn marked(text: &str, turn: &RatedTurn) -> Vec<(bool, String)> {
    let lower = text.to_lowercase();
    // Letters that change their length with their case would mark the wrong ones.
    let found = |cue: &str| if lower.len() == text.len() { lower.find(&cue.to_lowercase()) } else { text.find(cue) };
    let cues = turn.cues.iter().map(|cue| cue.text.as_str()).filter(|cue| !cue.is_empty());
    let mut spans: Vec<(usize, usize)> = cues.filter_map(|cue| found(cue).map(|at| (at, at + cue.len()))).collect();
    spans.sort_unstable();
    let mut pieces = Vec::new();
    let mut done = 0;
    for (from, to) in spans {
        let from = from.max(done);
        let (Some(before), Some(cue)) = (text.get(done..from), text.get(from..to)) else { continue };
        if !before.is_empty() {
            pieces.push((false, before.to_owned()));
        }
        if !cue.is_empty() {
            pieces.push((true, cue.to_owned()));
        }
        done = to;
    }
    if let Some(rest) = text.get(done..).filter(|rest| !rest.is_empty()) {
        pieces.push((false, rest.to_owned()));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sentiment::{Cue, CueKind, Sentiment};

    fn turn(cues: &[&str]) -> RatedTurn {
        RatedTurn {
            turn: 1,
            turn_id: "t1".to_owned(),
            at_ms: 0,
            sentiment: Sentiment::clamped(2.0),
            low: true,
            filler: false,
            asks_human: false,
            cues: cues.iter().map(|cue| Cue::own((*cue).to_owned(), CueKind::Word, -1.0)).collect(),
        }
    }

    #[test]
    fn a_turn_whose_words_came_in_a_piece_is_shown_with_its_rating() {
        let lines = [
            serde_json::json!({"type": "recording", "version": 1, "room_name": "r"}),
            serde_json::json!({"at_ms": 0, "type": "welcome", "version": 1, "session_id": "s", "room_name": "r", "call": {},
                "participants": [{"id": "caller", "role": "caller"}], "capabilities": [], "resumed": false}),
            serde_json::json!({"at_ms": 1, "type": "transcript", "segment_id": "t1", "rev": 0, "participant_id": "caller",
                "text": "This is ridiculous.", "final": true}),
            serde_json::json!({"at_ms": 2, "type": "turn.ended", "turn_id": "t1", "participant_id": "caller",
                "segment_ids": ["t1"]}),
        ];
        let recording: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let course = Course { threshold: 3, turns: vec![turn(&["ridiculous"])], steps: Vec::new() };
        let alert = Alert { turn: 1, ..Alert::test(crate::config::settings::ActionKind::Notify, 1) };
        let shown = whole_call(&recording, Some(&course), &alert);
        let [one] = &shown[..] else { panic!("{shown:?}") };
        assert_eq!((one.who, one.rating.as_str(), one.anchor.as_str()), ("caller", "2.0", "turn-1"));
        assert!(one.low && one.decides, "{one:?}");
        let marked: Vec<_> = one.text.iter().map(|(cue, piece)| (*cue, piece.as_str())).collect();
        assert_eq!(marked, [(false, "This is "), (true, "ridiculous"), (false, ".")]);
    }

    #[test]
    fn words_that_made_a_rating_worse_are_marked_where_they_stand() {
        let pieces = |text: &str, cues: &[&str]| {
            let shown = marked(text, &turn(cues));
            assert_eq!(shown.iter().map(|(_, piece)| piece.as_str()).collect::<String>(), text, "no letter is lost");
            shown.iter().map(|(is, piece)| if *is { format!("[{piece}]") } else { piece.clone() }).collect::<String>()
        };
        assert_eq!(pieces("This is Ridiculous, really.", &["ridiculous", "really"]), "This is [Ridiculous], [really].");
        assert_eq!(pieces("so bad", &["so bad", "bad", "", "nowhere"]), "[so bad]");
        assert_eq!(pieces("İ am ANGRY and angry", &["angry"]), "İ am ANGRY and [angry]");
        assert_eq!(pieces("", &["x"]), "");
    }
}
