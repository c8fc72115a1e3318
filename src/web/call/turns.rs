//! What both sides said.

use std::collections::HashMap;

use serde_json::Value;

use crate::alert::{Alert, AlertTurn};
use crate::call::said::Said;
use crate::config::settings::Settings;
use crate::config::{AgentFile, Layers, load};
use crate::recording::{CutLine, Recording};
use crate::replay::engine;
use crate::room::message::Role;
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
    let turns = course.iter().flat_map(|course| &course.turns);
    let turns: HashMap<&str, &RatedTurn> = turns.map(|turn| (turn.turn_id.as_str(), turn)).collect();
    let rated = |said: &Said| said.ids.iter().find_map(|id| turns.get(id.as_str()).copied());
    engine::said(&recording, &settings(&recording)).iter().map(|said| shown(said, rated(said), alert)).collect()
}

/// Those that the call's turns were made under, as its recording has them.
fn settings(recording: &Recording) -> Settings {
    let agent = recording.header.agent.as_ref().map(|agent| AgentFile {
        path: recording.header.room_name.clone().into(),
        text: Value::Object(agent.clone()).to_string(),
    });
    load(&Layers { agent, ..Layers::default() }).map(|loaded| loaded.settings).unwrap_or_default()
}

fn shown(said: &Said, rated: Option<&RatedTurn>, alert: &Alert) -> Turn {
    let who = match said.role {
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
        text: rated.map_or_else(|| vec![(false, said.text.clone())], |turn| marked(&said.text, turn)),
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
    use serde_json::json;

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

    fn piece(at_ms: u64, who: &str, id: &str, text: &str) -> Value {
        json!({"at_ms": at_ms, "type": "transcript", "segment_id": id, "rev": 0, "participant_id": who, "text": text,
            "final": true})
    }

    fn end(at_ms: u64, who: &str, id: &str, segment_ids: &[&str], text: Option<&str>) -> Value {
        json!({"at_ms": at_ms, "type": "turn.ended", "turn_id": id, "participant_id": who, "segment_ids": segment_ids,
            "text": text})
    }

    /// The page of a call with these messages, in which the turns with these ids were rated, 2.0 each.
    fn page(capabilities: &[&str], messages: &[Value], rated: &[&str]) -> Vec<Turn> {
        let participants = json!([{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}]);
        let lines = [
            json!({"type": "recording", "version": 1, "room_name": "r", "agent": {"turnSilenceMs": 500}}),
            json!({"at_ms": 0, "type": "welcome", "version": 1, "session_id": "s", "room_name": "r", "call": {},
                "participants": participants, "capabilities": capabilities, "resumed": false}),
        ];
        let recording: String = lines.iter().chain(messages).map(|line| format!("{line}\n")).collect();
        let rated = (1..).zip(rated).map(|(number, id)| {
            let of_turn = turn(&["ridiculous"]);
            RatedTurn { turn: number, turn_id: (*id).to_owned(), ..of_turn }
        });
        let course = Course { threshold: 3, turns: rated.collect(), steps: Vec::new() };
        let alert = Alert { turn: 1, ..Alert::test(crate::config::settings::ActionKind::Notify, 1) };
        whole_call(&recording, Some(&course), &alert)
    }

    /// Who said what, as `who rating: words`.
    fn told(page: &[Turn]) -> Vec<String> {
        let words = |one: &Turn| one.text.iter().map(|(_, piece)| piece.as_str()).collect::<String>();
        page.iter().map(|one| format!("{} {}: {}", one.who, one.rating, words(one))).collect()
    }

    #[test]
    fn a_turn_whose_words_came_in_a_piece_is_shown_with_its_rating() {
        // As a call that is heard on its way says it: each turn as a piece and its end.
        let proxied = [
            piece(1, "a", "a1", "How can I help?"),
            end(2, "a", "a1", &["a1"], None),
            piece(3, "c", "c1", "This is ridiculous."),
            end(4, "c", "c1", &["c1"], None),
            // Cut where the caller interrupted.
            end(5, "a", "a1", &["a1"], Some("How can")),
        ];
        let page = page(&["turn_events"], &proxied, &["c1"]);
        assert_eq!(told(&page), ["agent : How can", "caller 2.0: This is ridiculous."]);
        let one = &page[1];
        assert_eq!((one.anchor.as_str(), one.low, one.decides), ("turn-1", true, true));
        let marked: Vec<_> = one.text.iter().map(|(cue, piece)| (*cue, piece.as_str())).collect();
        assert_eq!(marked, [(false, "This is "), (true, "ridiculous"), (false, ".")]);
    }

    #[test]
    fn turns_that_the_room_does_not_end_are_those_that_were_rated() {
        let silent = [
            piece(1, "c", "s1", "Nobody"),
            piece(100, "c", "s2", "cares."),
            piece(200, "a", "s3", "Well."),
            piece(300, "c", "s4", "One."),
            // After a silence as the call's settings had it.
            piece(900, "c", "s5", "Two."),
        ];
        let expected = ["caller 2.0: Nobody cares.", "agent : Well.", "caller 2.0: One.", "caller 2.0: Two."];
        assert_eq!(told(&page(&[], &silent, &["t-s1", "t-s4", "t-s5"])), expected);
    }

    #[test]
    fn no_words_take_the_place_of_others_and_a_turn_goes_by_any_name_that_it_had() {
        let restarted = [
            piece(1_000, "c", "s1", "My order is late."),
            end(1_100, "c", "u1", &[], None),
            piece(2_000, "a", "s1", "One moment."),
            end(2_100, "a", "u2", &[], None),
            piece(9_000, "c", "s1", "Nobody has ever called me back."),
            end(9_100, "c", "u3", &[], None),
        ];
        let expected =
            ["caller 2.0: My order is late.", "agent : One moment.", "caller 2.0: Nobody has ever called me back."];
        assert_eq!(told(&page(&["turn_events"], &restarted, &["u1", "u3"])), expected);
        // One outburst, cut at its pauses: rated under its first name, though a later one was told before.
        let timed = |mut one: Value, start: u64, end: u64| {
            one["start_ms"] = start.into();
            one["end_ms"] = end.into();
            one
        };
        let cut = [
            timed(end(1_000, "c", "u1", &[], Some("You people.")), 0, 900),
            timed(end(1_900, "c", "u2", &[], Some("Are useless.")), 1_200, 1_800),
        ];
        for name in ["u1", "u2"] {
            assert_eq!(told(&page(&["turn_events"], &cut, &[name])), ["caller 2.0: You people. Are useless."]);
        }
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
