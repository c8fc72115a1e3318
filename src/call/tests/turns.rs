//! Turns from segments: which pieces are one turn, and where it stands.

use serde_json::json;

use super::{Sim, flag, rate};
use crate::alert::{Rule, Severity};
use crate::call::event::Input;

#[test]
fn silence_and_the_agent_close_turns_where_the_room_has_no_turn_events() {
    let mut sim = Sim::new(flag());
    let piece = |id: &str, text: &str, who: &str| json!({"type": "transcript", "segment_id": id, "participant_id": who, "text": text, "final": true});
    sim.room(piece("s1", "2 one", "c"));
    sim.pass(1000);
    sim.room(piece("s2", "more", "c"));
    sim.pass(1199);
    assert_eq!(sim.rates(), 0, "two finals, one turn");
    sim.pass(1);
    assert_eq!(sim.last_turn().text, "2 one more");
    sim.room(piece("s3", "2 two", "c"));
    sim.room(json!({"type": "agent.state", "state": "speaking"}));
    assert_eq!(sim.last_turn().text, "2 two");
    sim.room(piece("s4", "2 three", "c"));
    sim.room(piece("g1", "hello", "a"));
    assert_eq!(sim.escalations().len(), 1);
}

#[test]
fn a_late_final_rerates_its_turn_and_adds_none() {
    let mut sim = Sim::new(flag());
    sim.say("u1", "2");
    sim.say("u2", "2");
    sim.room(json!({"type": "transcript", "segment_id": "s3", "rev": 1, "participant_id": "c", "text": "5 that is", "final": false}));
    sim.room(json!({"type": "turn.ended", "turn_id": "u3", "participant_id": "c", "segment_ids": ["s3"]}));
    assert_eq!((sim.last_turn().turn, sim.last_turn().streak), (3, 0));
    sim.room(json!({"type": "transcript", "segment_id": "s3", "rev": 2, "participant_id": "c", "text": "2 that is ridiculous", "final": true}));
    assert_eq!((sim.last_turn().turn, sim.last_turn().streak), (3, 3));
    assert_eq!(sim.escalations(), [(3, Rule::Streak, Severity::Medium)]);
}

#[test]
fn a_late_final_finds_its_turn_by_time() {
    let mut sim = Sim::new(flag());
    let piece = |id: &str, text: &str, who: &str, start: u64, end: u64| {
        json!({"type": "transcript", "segment_id": id, "participant_id": who,
        "text": text, "final": true, "start_ms": start, "end_ms": end})
    };
    sim.room(piece("s1", "2 one", "c", 0, 1000));
    sim.room(piece("g1", "hello", "a", 2000, 3000));
    sim.room(piece("s2", "and more", "c", 1100, 1900));
    assert_eq!(sim.last_turn().text, "2 one and more");
    assert_eq!(sim.last_turn().turn, 1);
    assert_eq!(sim.rates(), 2);
}

#[test]
fn the_rooms_turn_adopts_one_that_was_closed_here() {
    let mut sim = Sim::new(flag());
    sim.room(
        json!({"type": "transcript", "segment_id": "s1", "participant_id": "c", "text": "2 late room", "final": true}),
    );
    sim.pass(1500);
    assert_eq!(sim.last_turn().turn_id, "t-s1");
    sim.room(json!({"type": "turn.ended", "turn_id": "u1", "participant_id": "c", "text": "2 late room", "segment_ids": ["s1"]}));
    sim.say("u2", "2");
    assert_eq!((sim.last_turn().turn, sim.last_turn().streak), (2, 2));
    assert_eq!(sim.rates(), 2);
}

#[test]
fn what_was_said_before_takes_nothing_of_what_is_being_said() {
    let told = |id: &str, who: &str, segment: &str, start: u64, text: &str| {
        json!({"type": "turn.ended", "turn_id": id, "participant_id": who, "segment_ids": [segment], "text": text,
            "start_ms": start, "end_ms": start + 900, "whole": segment != "s3"})
    };
    let mut sim = Sim::new(flag());
    let unfinished = json!({"type": "transcript", "segment_id": "s3", "rev": 1, "participant_id": "c", "text": "2 I"});
    sim.room(unfinished);
    sim.now += 50;
    sim.room(told("u3", "c", "s3", 5_000, "2 I have had it"));
    sim.room(told("u1", "c", "u1", 1_000, "2 help"));
    sim.room(told("a1", "a", "a1", 2_000, "8 sure"));
    sim.room(told("u2", "c", "u2", 3_000, "2 no"));
    sim.room(told("a2", "a", "a2", 4_000, "8 of course"));
    assert_eq!(sim.escalations(), [(3, Rule::Streak, Severity::Medium)]);
    sim.pass(30_000);
    sim.say("u4", "2 hello");
    assert_eq!((sim.last_turn().turn, sim.last_turn().text.as_str()), (4, "2 hello"));
    assert_eq!(
        sim.call.book.order().iter().map(|key| sim.call.book.turn(*key).id.as_str()).collect::<Vec<_>>(),
        ["u1", "a1", "u2", "a2", "u3", "u4"]
    );
}

#[test]
fn a_turn_whose_segments_never_came_stands_in_the_stretch_in_which_it_is_told() {
    let told = |id: &str, start: u64| {
        json!({"type": "turn.ended", "turn_id": id, "participant_id": "c", "segment_ids": [format!("s-{id}")],
            "text": "2 no", "start_ms": start, "end_ms": start + 900})
    };
    let mut sim = Sim::new(flag());
    sim.room(told("u1", 1_000));
    sim.room(json!({"type": "turn.ended", "turn_id": "a1", "participant_id": "a", "text": "8 sure"}));
    sim.room(told("u2", 2_000));
    assert_eq!(sim.last_turn().turn, 2, "the agent spoke between them");
}

#[test]
fn turns_order_by_index_not_by_arrival() {
    let mut sim = Sim::new(flag());
    for (index, text) in [(0, "2"), (1, "2"), (3, "2"), (2, "5")] {
        sim.hold_ratings = index == 3;
        sim.room(json!({"type": "turn.ended", "turn_id": format!("u{index}"), "index": index, "participant_id": "c", "text": text}));
    }
    sim.input(Input::Rated { turn_id: "u3".to_owned(), rev: 1, result: rate("2") });
    assert_eq!(sim.escalations(), []);
    assert_eq!((sim.last_turn().turn, sim.last_turn().streak), (4, 1));
}

/// A piece of the caller's words.
fn piece(segment: &str, text: &str, from: u64, to: u64) -> serde_json::Value {
    json!({"type": "transcript", "segment_id": segment, "participant_id": "c", "text": text, "final": true,
        "start_ms": from, "end_ms": to})
}

#[test]
fn after_an_outage_turns_follow_the_times_of_their_pieces_and_not_their_arrival() {
    let mut sim = Sim::new(flag());
    for turn in 0..3 {
        sim.room(piece(&format!("s{turn}"), "2 no", turn * 5_000, turn * 5_000 + 900));
    }
    sim.pass(1_200);
    assert_eq!((sim.last_turn().turn, sim.escalations().len()), (3, 1), "a burst of three turns");
    let mut sim = Sim::new(flag());
    for n in 0..3 {
        sim.room(piece(&format!("s{n}"), "2 no", n * 1_200, n * 1_200 + 900));
        sim.pass(4_000);
    }
    assert_eq!((sim.last_turn().turn, sim.escalations().len()), (1, 0), "one turn that arrived in three");
}

#[test]
fn a_turn_id_that_comes_again_for_another_turn_is_another_turn() {
    let mut sim = Sim::new(flag());
    for text in ["2 nobody ever calls me back", "2 where is my parcel", "2 this is the third time"] {
        sim.say("u1", text);
        sim.room(json!({"type": "agent.state", "state": "speaking"}));
    }
    assert_eq!((sim.last_turn().turn, sim.escalations().len()), (3, 1));
    assert_eq!(sim.warnings(), ["odd: turn ids of \"c\" came again for another turn; it counts too"]);
    // A correction keeps words of what it corrects.
    sim.say("u1", "2 this was the third time");
    assert_eq!(sim.last_turn().turn, 3);
}
