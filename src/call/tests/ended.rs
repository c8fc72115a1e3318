//! The end of a call, and what it leaves open.

use serde_json::json;

use super::{Sim, flag, notify};
use crate::call::event::Input;
use crate::call::report::{Doubt, Report};

#[test]
fn shutdown_rates_the_open_turn_and_ends() {
    let mut sim = Sim::new(notify());
    sim.say("u1", "2");
    sim.say("u2", "2");
    sim.room(json!({"type": "transcript", "segment_id": "s9", "participant_id": "c", "text": "2 and another", "final": true}));
    sim.input(Input::Shutdown);
    assert_eq!(sim.escalations().len(), 1);
    assert_eq!(sim.delivered(), 1);
    assert!(sim.ended);
}

fn doubt(sim: &Sim) -> Option<Doubt> {
    sim.reports().find_map(|r| if let Report::Ended { doubt, .. } = r { Some(*doubt) } else { None }).unwrap()
}

#[test]
fn a_call_of_which_little_was_heard_does_not_look_like_a_calm_one() {
    let end = |sim: &mut Sim| sim.room(json!({"type": "session.ended", "reason": "hangup"}));
    let mut calm = Sim::new(flag());
    calm.say("u1", "7 fine");
    calm.say("u2", "x quoi");
    end(&mut calm);
    assert_eq!(doubt(&calm), None);
    let mut foreign = Sim::new(flag());
    foreign.say("u1", "7 fine");
    foreign.say("u2", "x quoi");
    foreign.say("u3", "x non");
    end(&mut foreign);
    assert_eq!(doubt(&foreign), Some(Doubt::MostlyUnrated));
    let mut unknown = Sim::new(flag());
    unknown.room(json!({"type": "participant.joined", "participant": {"id": "c", "role": "client"}}));
    unknown.say("u1", "2 no");
    end(&mut unknown);
    assert_eq!(doubt(&unknown), Some(Doubt::NobodyHeard));
    assert!(unknown.warnings()[0].contains("\"c\" has a role that is none of"), "{:?}", unknown.warnings());
}
