//! Who speaks: nobody announced them, their role changes, or it is what we had the agent say.

use serde_json::json;

use super::{Sim, angry, flag, transfer};
use crate::call::event::Output;
use crate::room::message::{CommandKind, SidecarMessage};

#[test]
fn whoever_speaks_unannounced_is_taken_for_the_caller_until_the_room_says_more() {
    let mut sim = Sim::new(flag());
    for id in ["u1", "u2"] {
        sim.room(json!({"type": "turn.ended", "turn_id": id, "participant_id": "later", "text": "2 hello"}));
    }
    assert_eq!((sim.rates(), sim.warnings().len()), (2, 1));
    sim.room(json!({"type": "participant.joined", "participant": {"id": "later", "role": "caller"}}));
    sim.room(json!({"type": "turn.ended", "turn_id": "u3", "participant_id": "later", "text": "2 hello"}));
    assert_eq!(sim.escalations().len(), 1);
}

#[test]
fn an_unannounced_speaker_who_turns_out_to_be_nobody_to_rate_counts_no_more() {
    let mut sim = Sim::new(flag());
    for id in ["u1", "u2"] {
        sim.room(json!({"type": "turn.ended", "turn_id": id, "participant_id": "later", "text": "2 hello"}));
    }
    sim.room(json!({"type": "participant.joined", "participant": {"id": "later", "role": "observer"}}));
    sim.say("u3", "2 hello");
    assert_eq!((sim.last_turn().turn, sim.last_turn().streak), (1, 1));
}

#[test]
fn a_role_that_flips_costs_no_rating() {
    let mut sim = Sim::new(flag());
    for turn in 0..20 {
        sim.say(&format!("u{turn}"), if turn % 3 == 0 { "5 well" } else { "2 no" });
    }
    let rates = sim.rates();
    for _ in 0..10 {
        for role in ["observer", "caller"] {
            sim.room(json!({"type": "participant.joined", "participant": {"id": "c", "role": role}}));
        }
    }
    sim.say("u20", "2 no");
    assert_eq!((sim.rates(), sim.last_turn().turn, sim.last_turn().streak), (rates + 1, 21, 2));
}

#[test]
fn our_own_handover_sentence_on_the_callers_line_is_no_turn() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    let said = sim.outputs.iter().find_map(|o| match o {
        Output::Room { message: SidecarMessage::Command { command: CommandKind::Say { text }, .. } } => {
            Some(text.clone())
        }
        _ => None,
    });
    sim.say("u4", &said.unwrap().to_uppercase());
    assert_eq!(sim.last_turn().turn, 3);
    assert!(sim.warnings().iter().any(|warning| warning.contains("an echo is not rated")), "{:?}", sim.warnings());
}
