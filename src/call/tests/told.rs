//! What the room is told, and what not.

use serde_json::json;

use super::{Sim, angry, flag, transfer};
use crate::call::event::Output;
use crate::room::message::SidecarMessage;

#[test]
fn shadow_mode_decides_and_touches_nothing() {
    let mut sim = Sim::shadowed(transfer(), true);
    angry(&mut sim);
    assert_eq!(sim.escalations().len(), 1);
    let touched = |o: &Output| matches!(o, Output::Room { .. } | Output::Transfer { .. } | Output::Deliver { .. });
    assert!(!sim.outputs.iter().any(touched));
}

#[test]
fn the_tone_changes_with_the_label_only() {
    let mut sim = Sim::new(flag());
    for (id, text) in [("u1", "5"), ("u2", "3.5"), ("u3", "3.2"), ("u4", "8")] {
        sim.say(id, text);
    }
    let tones: Vec<&str> = sim
        .outputs
        .iter()
        .filter_map(|o| match o {
            Output::Room { message: SidecarMessage::Tone { label, .. } } => Some(label.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(tones, ["negative", "positive"]);
}

#[test]
fn what_the_room_does_not_offer_is_not_sent_and_said_once() {
    let mut sim = Sim::new(transfer());
    sim.room(json!({"type": "welcome", "version": 1, "session_id": "s1", "room_name": "room_abc123", "resumed": true,
        "capabilities": ["transfer"], "participants": []}));
    angry(&mut sim);
    assert_eq!(sim.commands(), ["transfer-u3"]);
    sim.result("transfer-u3", "failed", Some("busy"));
    assert_eq!(sim.commands(), ["transfer-u3"]);
    assert_eq!(sim.warnings(), ["the room does not offer `say` in its capabilities; the caller is told nothing"]);
}
