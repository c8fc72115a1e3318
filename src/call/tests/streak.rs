//! The streak: which caller turns count in it, and when.

use serde_json::json;

use super::{Sim, flag, rate};
use crate::alert::{Rule, Severity};
use crate::call::event::Input;
use crate::call::report::Report;
use crate::config::settings::Settings;

#[test]
fn three_low_turns_escalate_at_the_third() {
    let mut sim = Sim::new(flag());
    sim.say("u1", "2");
    sim.say("u2", "2.9");
    assert_eq!(sim.escalations(), []);
    sim.say("u3", "1");
    assert_eq!(sim.escalations(), [(3, Rule::Streak, Severity::Critical)]);
    assert_eq!(sim.commands(), ["set_flag-u3"]);
}

#[test]
fn the_threshold_itself_is_not_low() {
    let mut sim = Sim::new(flag());
    for id in ["u1", "u2", "u3", "u4"] {
        sim.say(id, "3.0");
    }
    assert_eq!(sim.escalations(), []);
    assert_eq!((sim.last_turn().streak, sim.last_turn().low), (0, false));
}

#[test]
fn a_recovered_turn_resets() {
    let mut sim = Sim::new(flag());
    for (id, text) in [("u1", "2"), ("u2", "2"), ("u3", "3"), ("u4", "2"), ("u5", "2")] {
        sim.say(id, text);
    }
    assert_eq!(sim.escalations(), []);
    assert_eq!(sim.last_turn().streak, 2);
}

#[test]
fn fillers_agents_empties_and_unrated_turns_neither_count_nor_reset() {
    let mut sim = Sim::new(flag());
    sim.say("u1", "2");
    sim.say("u2", "f yeah");
    sim.room(json!({"type": "turn.ended", "turn_id": "a1", "participant_id": "a", "text": "9 how lovely"}));
    sim.say("u3", "2");
    sim.say("u4", "   ");
    sim.say("u5", "x");
    assert_eq!(sim.escalations(), []);
    sim.say("u6", "2");
    assert_eq!(sim.escalations(), [(5, Rule::Streak, Severity::Medium)], "the empty turn has no number");
}

#[test]
fn fillers_count_when_the_settings_say_so() {
    let mut sim = Sim::new(Settings { count_filler_turns: true, ..flag() });
    for (id, text) in [("u1", "2"), ("u2", "2"), ("u3", "f"), ("u4", "2")] {
        sim.say(id, text);
    }
    assert_eq!(sim.escalations(), []);
    assert_eq!(sim.last_turn().streak, 1);
}

#[test]
fn a_turn_that_waits_for_its_rating_holds_back_the_count() {
    let mut sim = Sim::new(flag());
    sim.hold_ratings = true;
    for (id, text) in [("u1", "2"), ("u2", "5"), ("u3", "2"), ("u4", "2")] {
        sim.say(id, text);
    }
    for (id, text) in [("u4", "2"), ("u3", "2"), ("u1", "2"), ("u2", "5")] {
        assert_eq!(sim.escalations(), []);
        sim.input(Input::Rated { turn_id: id.to_owned(), rev: 1, result: rate(text) });
    }
    assert_eq!(sim.escalations(), []);
    assert_eq!(sim.last_turn().streak, 2);
}

#[test]
fn a_rater_that_never_answers_leaves_the_turn_unrated() {
    let mut sim = Sim::new(flag());
    sim.hold_ratings = true;
    sim.say("u1", "2");
    sim.pass(3000);
    assert!(sim.reports().any(|r| matches!(r, Report::Unrated { turn: 1, .. })));
    assert_eq!(sim.until, None);
}
