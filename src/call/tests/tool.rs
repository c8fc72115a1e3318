//! The agent's own tool call.

use serde_json::json;

use super::{Sim, flag, rate};
use crate::alert::{Rule, Severity};
use crate::call::event::{Input, Output};
use crate::call::report::Report;
use crate::room::message::SidecarMessage;

#[test]
fn what_the_room_said_is_decided_in_its_order_however_long_a_rating_takes() {
    let tool = json!({"type": "tool.call", "call_id": "k1", "name": "escalate_sentiment",
        "arguments": {"sentiment_score": 1, "description": "billing unresolved for 3 days"}});
    let decide = |hold: bool| {
        let mut sim = Sim::new(flag());
        sim.hold_ratings = hold;
        // All at one moment: no rating is given up.
        let say = |sim: &mut Sim, id: &str| {
            sim.room(json!({"type": "turn.ended", "turn_id": id, "participant_id": "c", "text": "2 why, oh why"}));
        };
        for id in ["u1", "u2", "u3"] {
            say(&mut sim, id);
        }
        sim.room(tool.clone());
        say(&mut sim, "u4");
        let asked: Vec<_> = sim
            .outputs
            .iter()
            .filter_map(|o| match o {
                Output::Rate { turn_id, rev, turn } => Some((turn_id.clone(), *rev, turn.text.clone())),
                _ => None,
            })
            .collect();
        if hold {
            assert_eq!(sim.escalations(), [], "nothing overtakes a turn that waits for its rating");
            for (turn_id, rev, text) in asked.into_iter().rev() {
                sim.input(Input::Rated { turn_id, rev, result: rate(&text) });
            }
        }
        let of = |r: &Report| if let Report::Escalation { alert_id, .. } = r { Some(alert_id.clone()) } else { None };
        (sim.escalations(), sim.reports().filter_map(of).collect::<Vec<_>>())
    };
    assert_eq!(decide(true), decide(false));
    assert_eq!(decide(true).0, [(3, Rule::Streak, Severity::Medium)]);
}

#[test]
fn the_agents_tool_goes_through_the_same_latch() {
    let mut sim = Sim::new(flag());
    let call = |id: &str, score: f64| {
        json!({"type": "tool.call", "call_id": id, "name": "escalate_sentiment",
        "arguments": {"sentiment_score": score, "description": "billing unresolved for 3 days"}})
    };
    for (id, score) in [("k1", 3.0), ("k2", 2.5), ("k3", 11.0)] {
        sim.room(call(id, score));
        assert_eq!(sim.escalations(), [], "{score}");
    }
    sim.room(call("k4", 2.0));
    sim.room(call("k4", 2.0));
    sim.room(call("k5", 1.0));
    assert_eq!(sim.escalations(), [(0, Rule::Tool, Severity::Medium)]);
    let answers: Vec<bool> = sim
        .outputs
        .iter()
        .filter_map(|o| match o {
            Output::Room { message: SidecarMessage::ToolResult { ok, .. } } => Some(*ok),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [false, false, false, true, true, false]);
}
