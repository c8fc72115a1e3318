//! An escalation that an earlier process of the call had begun: nothing is done twice.

use serde_json::json;

use super::{Sim, angry, flag, notify, transfer};
use crate::alert::AlertId;
use crate::alert::outcome::Outcome;
use crate::alert::record::{DeliveryResult, StoreResult, StoreWrite, WebhookPlan};
use crate::call::event::{Input, Output};
use crate::config::settings::Settings;
use crate::room::message::SidecarMessage;

#[test]
fn an_alert_of_an_earlier_process_is_not_acted_on_again() {
    for outcome in [Outcome::Busy, Outcome::Transferred] {
        let mut sim = Sim::new(transfer());
        sim.store_result = Some(StoreResult::Existing { outcome: Some(outcome) });
        angry(&mut sim);
        assert_eq!(sim.outcomes(), []);
        assert!(!sim.commands().iter().any(|c| c.starts_with("transfer-")), "a human's phone is not rung twice");
    }
}

#[test]
fn a_room_that_was_to_transfer_is_asked_again_under_the_same_id_and_its_result_counts() {
    let mut sim = Sim::new(transfer());
    sim.store_result = Some(StoreResult::Existing { outcome: None });
    angry(&mut sim);
    assert_eq!(sim.commands(), ["transfer-u3"], "no sentence is said twice, and none that is untrue");
    assert_eq!(sim.outcomes(), []);
    sim.result("transfer-u3", "done", None);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
    assert_eq!((sim.commands().len(), sim.delivered()), (1, 0));
}

#[test]
fn while_a_phone_may_ring_over_sip_for_an_earlier_process_nobody_is_told_that_nobody_came() {
    let welcome = json!({"type": "welcome", "version": 1, "session_id": "s1", "room_name": "room_abc123",
        "capabilities": ["say"], "call": {"sip": {"call_id": "x", "local_tag": "a", "remote_tag": "b", "cseq": 7,
            "local_uri": "sip:a@x.example", "remote_uri": "sip:b@x.example", "remote_target": "sip:b@x.example"}},
        "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}]});
    let mut sim = Sim::new(transfer());
    sim.room(welcome.clone());
    sim.store_result = Some(StoreResult::Existing { outcome: None });
    angry(&mut sim);
    sim.pass(Settings::default().transfer_deadline_ms);
    assert_eq!((sim.outcomes(), sim.commands().len(), sim.delivered()), (vec![], 0, 0));
    assert!(!sim.outputs.iter().any(|o| matches!(o, Output::Transfer { .. })), "no second phone rings");
    sim.store_result = Some(StoreResult::Written);
    sim.room(json!({"type": "participant.joined", "participant": {"id": "s", "role": "supervisor"}}));
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
    // Where nobody comes, the time of the first phone runs out, and only then is it said.
    let mut sim = Sim::new(transfer());
    sim.room(welcome);
    sim.store_result = Some(StoreResult::Existing { outcome: None });
    angry(&mut sim);
    sim.store_result = Some(StoreResult::Written);
    sim.pass(Settings::default().transfer_deadline_ms + 5_000);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Unknown), true)]);
    assert_eq!((sim.commands(), sim.delivered()), (vec!["say-fallback-u3"], 1));
}

/// A room that keeps which alerts were taken up.
fn room_that_keeps(alerts: &serde_json::Value) -> serde_json::Value {
    json!({"type": "welcome", "version": 1, "session_id": "s1", "room_name": "room_abc123",
        "capabilities": ["transfer", "say", "set_flag", "alerts"], "alerts": alerts,
        "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}]})
}

/// What a call tells its room of alerts: which, and what came of it.
fn alerts_told(sim: &Sim) -> Vec<serde_json::Value> {
    let told = sim.outputs.iter().filter_map(|output| match output {
        Output::Room { message: message @ SidecarMessage::Alert(_) } => Some(message),
        _ => None,
    });
    told.map(|message| serde_json::to_value(message).unwrap()).collect()
}

/// What the room keeps of an alert by the third turn, as a process told it that died then.
fn kept_of(settings: Settings, result: Option<&str>, told: bool) -> serde_json::Value {
    let mut sim = Sim::new(settings);
    sim.room(room_that_keeps(&json!([])));
    angry(&mut sim);
    if let Some(code) = result {
        sim.result("say-u3", "done", None);
        sim.result("transfer-u3", "failed", Some(code));
    }
    if told {
        let alert_id = AlertId::from(alerts_told(&sim)[0]["alert_id"].as_str().unwrap().to_owned());
        let result = DeliveryResult::Delivered { status: 200, attempts: 1 };
        sim.input(Input::Delivery { alert_id, result, target: String::new() });
    }
    let kept = alerts_told(&sim);
    let outcome = kept.iter().find_map(|told| told.get("outcome"));
    let told = kept.iter().any(|told| told["told"] == json!(true));
    json!([{"alert_id": kept[0]["alert_id"], "outcome": outcome, "told": told}])
}

/// Another process with a store of its own, in a room that keeps this.
fn taken_over(settings: Settings, kept: &serde_json::Value, stored: StoreResult) -> Sim {
    let mut sim = Sim::new(settings);
    sim.room(room_that_keeps(kept));
    sim.store_result = Some(stored);
    angry(&mut sim);
    sim
}

#[test]
fn the_room_hears_of_an_alert_before_it_is_acted_on_and_of_its_outcome() {
    let mut sim = Sim::new(transfer());
    sim.room(room_that_keeps(&json!([])));
    sim.store_result = None;
    angry(&mut sim);
    assert!(alerts_told(&sim).is_empty(), "it is not stored yet");
    sim.store_result = Some(StoreResult::Written);
    sim.pass(3_000);
    sim.result("say-u3", "done", None);
    let sent: Vec<_> = sim
        .outputs
        .iter()
        .filter_map(|output| match output {
            Output::Room { message: SidecarMessage::Alert(_) } => Some("alert"),
            Output::Room { message: SidecarMessage::Command { command_id, .. } } => Some(command_id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(sent, ["alert", "say-u3", "transfer-u3"]);
    sim.result("transfer-u3", "failed", Some("busy"));
    let told = alerts_told(&sim);
    assert_eq!((told.len(), &told[1]["outcome"]), (2, &json!("busy")));
    assert_eq!(told[0]["alert_id"], told[1]["alert_id"]);
    let mut sim = Sim::new(transfer());
    sim.room(room_that_keeps(&json!([])));
    sim.store_result = Some(StoreResult::AtCap { cap: 7 });
    angry(&mut sim);
    let outcomes: Vec<_> = alerts_told(&sim).iter().map(|told| told.get("outcome").cloned()).collect();
    assert_eq!(outcomes, [None, Some(json!("rejected"))]);
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    assert!(alerts_told(&sim).is_empty(), "this room does not offer it");
    let mut sim = Sim::shadowed(transfer(), true);
    sim.room(room_that_keeps(&json!([])));
    angry(&mut sim);
    assert!(alerts_told(&sim).is_empty(), "shadow mode touches nothing");
}

#[test]
fn an_alert_that_the_room_knows_is_not_acted_on_again_whatever_our_own_store_has() {
    let results = || [StoreResult::Written, StoreResult::Failed { detail: "disk".to_owned() }];
    for (settings, result) in [(notify(), None), (flag(), None), (transfer(), Some("no_answer"))] {
        let kept = kept_of(settings.clone(), result, true);
        for stored in results() {
            let mut sim = taken_over(settings.clone(), &kept, stored);
            assert_eq!(sim.escalations().len(), 1, "it is told under its id");
            assert_eq!((sim.commands().len(), sim.delivered(), sim.outcomes()), (0, 0, vec![]));
            let plan = sim.outputs.iter().find_map(|output| match output {
                Output::Store { write: StoreWrite::Alert { webhook, transfer_cap, .. } } => {
                    Some((*webhook, *transfer_cap))
                }
                _ => None,
            });
            assert_eq!(plan, Some((WebhookPlan::None, None)), "nor is anything queued");
            for (id, text) in [("u4", "7 fine"), ("u5", "2 no"), ("u6", "2 no"), ("u7", "2 no")] {
                sim.say(id, text);
            }
            assert_eq!(sim.escalations().len(), 2, "another one is acted on");
        }
    }
    let kept = kept_of(transfer(), None, false);
    let kept = json!([{"alert_id": kept[0]["alert_id"], "outcome": "transferred"}]);
    let mut sim = taken_over(transfer(), &kept, StoreResult::Written);
    assert_eq!((sim.commands().len(), sim.delivered()), (0, 0));
    sim.say("u4", "1 no");
    assert_eq!(sim.escalations().len(), 1, "a human has the caller");
}

#[test]
fn what_nobody_was_told_of_before_the_call_was_taken_over_is_told_once_more() {
    for (settings, result) in [(notify(), None), (transfer(), Some("no_answer"))] {
        let kept = kept_of(settings.clone(), result, false);
        let sim = taken_over(settings, &kept, StoreResult::Written);
        assert_eq!((sim.commands().len(), sim.delivered()), (0, 1), "a webhook under the same id, and nothing else");
    }
    let failed = StoreResult::Failed { detail: "disk".to_owned() };
    for (stored, unstored) in [(StoreResult::Written, false), (failed, true)] {
        let sim = taken_over(notify(), &kept_of(notify(), None, false), stored);
        let past_the_store = |o: &Output| matches!(o, Output::Deliver { unstored: Some(_), .. });
        assert_eq!(sim.outputs.iter().any(past_the_store), unstored);
    }
}

#[test]
fn a_transfer_that_the_room_knows_to_be_begun_is_waited_for_and_falls_back_once() {
    let kept = kept_of(transfer(), None, false);
    let mut sim = taken_over(transfer(), &kept, StoreResult::Written);
    sim.pass(Settings::default().transfer_deadline_ms);
    assert_eq!((sim.commands().len(), sim.delivered(), sim.outcomes()), (0, 0, vec![]), "a phone may ring");
    sim.pass(5_000);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Unknown), true)]);
    assert_eq!((sim.commands(), sim.delivered()), (vec!["say-fallback-u3"], 1));
    let told = alerts_told(&sim);
    assert_eq!((told.len(), &told[0]["outcome"]), (1, &json!("unknown")), "the next one does not wait again");
    // A store that hangs does not make it two.
    let mut sim = Sim::new(notify());
    sim.room(room_that_keeps(&kept_of(notify(), None, true)));
    sim.store_result = None;
    angry(&mut sim);
    sim.pass(3_000);
    assert_eq!((sim.escalations().len(), sim.delivered()), (1, 0));
}
