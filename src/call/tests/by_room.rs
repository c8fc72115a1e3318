//! A transfer by the room, and what is done where none comes about.

use serde_json::json;

use super::{Sim, angry, flag, transfer};
use crate::alert::outcome::Outcome;
use crate::alert::record::{StoreResult, StoreWrite, WebhookPlan};
use crate::call::event::Output;
use crate::config::settings::Settings;
use crate::room::message::{CommandKind, SidecarMessage};

#[test]
fn a_transfer_says_its_sentence_then_goes_through_the_room() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    assert_eq!(sim.commands(), ["say-u3"]);
    sim.result("say-u3", "done", None);
    assert_eq!(sim.commands(), ["say-u3", "transfer-u3"]);
    sim.result("transfer-u3", "accepted", None);
    assert_eq!(sim.outcomes(), []);
    sim.result("transfer-u3", "done", None);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
    assert_eq!(sim.delivered(), 0);
    let rates = sim.rates();
    sim.say("u4", "1");
    assert_eq!(sim.rates(), rates, "once a human is on the call, rating stops");
}

#[test]
fn a_busy_line_falls_back_to_the_webhook_and_comforts_the_caller() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    sim.result("say-u3", "failed", None);
    sim.result("transfer-u3", "failed", Some("busy"));
    assert_eq!(sim.outcomes(), [(Some(Outcome::Busy), true)]);
    assert_eq!(sim.commands(), ["say-u3", "transfer-u3", "say-fallback-u3"]);
    assert_eq!(sim.delivered(), 1);
    let plans: Vec<WebhookPlan> = sim
        .outputs
        .iter()
        .filter_map(|o| match o {
            Output::Store { write: StoreWrite::Alert { webhook, .. } | StoreWrite::Outcome { webhook, .. } } => {
                Some(*webhook)
            }
            _ => None,
        })
        .collect();
    assert!(matches!(plans[..], [WebhookPlan::Hold { .. }, WebhookPlan::Send]), "{plans:?}");
}

#[test]
fn a_transfer_without_an_answer_is_unknown_after_its_deadline() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    sim.pass(8_000 + 45_000);
    assert_eq!(sim.outcomes(), []);
    sim.pass(5_000);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Unknown), true)]);
}

#[test]
fn a_supervisor_who_joins_settles_it() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    sim.pass(8_000 + 45_000);
    sim.room(json!({"type": "participant.joined", "participant": {"id": "h", "role": "supervisor"}}));
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
}

#[test]
fn a_caller_who_hangs_up_while_it_rings_is_gone() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    sim.result("say-u3", "done", None);
    sim.result("transfer-u3", "accepted", None);
    sim.room(json!({"type": "participant.left", "participant": {"id": "c", "role": "caller"}}));
    assert_eq!(sim.outcomes(), []);
    sim.pass(2_000);
    assert_eq!(sim.outcomes(), [(Some(Outcome::CallerGone), true)]);
    assert!(!sim.commands().contains(&"say-fallback-u3"));
}

#[test]
fn a_room_that_cannot_tell_where_the_caller_went_does_not_say_that_they_hung_up() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    sim.result("say-u3", "done", None);
    sim.result("transfer-u3", "accepted", None);
    sim.room(json!({"type": "participant.left", "participant": {"id": "c", "role": "caller"}}));
    sim.result("transfer-u3", "failed", Some("unknown"));
    sim.room(json!({"type": "session.ended", "reason": "the room closed"}));
    assert_eq!(sim.outcomes(), [(Some(Outcome::Unknown), true)]);
    assert!(!sim.commands().contains(&"say-fallback-u3"), "nobody is there to hear it");
    assert!(sim.ended);
}

#[test]
fn the_callers_leg_may_go_just_before_the_success() {
    let mut sim = Sim::new(transfer());
    angry(&mut sim);
    sim.result("say-u3", "done", None);
    sim.room(json!({"type": "session.ended", "reason": "caller transferred"}));
    assert!(!sim.ended);
    sim.result("transfer-u3", "done", None);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
    assert!(sim.ended);
}

#[test]
fn a_transfer_beyond_the_cap_of_the_hour_is_not_tried_and_falls_back() {
    let mut sim = Sim::new(transfer());
    sim.store_result = Some(StoreResult::AtCap { cap: 7 });
    angry(&mut sim);
    let outcomes = sim.outcomes();
    let [(Some(Outcome::Rejected { code, reason }), true)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(code, "hourly_cap");
    assert!(reason.contains("7 transfers") && reason.contains("sentimentTransferHourlyCap"), "{reason}");
    assert_eq!(sim.commands(), ["say-fallback-u3"], "nobody is rung, and the caller is not left in silence");
    assert_eq!(sim.delivered(), 1);
}

#[test]
fn only_transfers_that_are_carried_out_take_a_place() {
    let cap = |settings: Settings, shadow: bool| {
        let mut sim = Sim::shadowed(settings, shadow);
        angry(&mut sim);
        sim.outputs.iter().find_map(|output| match output {
            Output::Store { write: StoreWrite::Alert { transfer_cap, .. } } => Some(*transfer_cap),
            _ => None,
        })
    };
    assert_eq!(cap(transfer(), false), Some(Some(1_000)));
    assert_eq!(cap(Settings { transfer_hourly_cap: 0, ..transfer() }, false), Some(None), "0 sets no cap");
    assert_eq!(cap(transfer(), true), Some(None));
    assert_eq!(cap(flag(), false), Some(None));
}

#[test]
fn a_caller_is_told_that_the_team_knows_only_where_it_does() {
    for (store, told) in [(StoreResult::Written, true), (StoreResult::Failed { detail: "disk".to_owned() }, false)] {
        let mut settings = transfer();
        settings.webhook.url = None;
        let mut sim = Sim::new(settings);
        sim.store_result = Some(store);
        angry(&mut sim);
        sim.result("say-u3", "done", None);
        sim.result("transfer-u3", "failed", Some("busy"));
        let said = sim.outputs.iter().find_map(|o| match o {
            Output::Room {
                message: SidecarMessage::Command { command_id, command: CommandKind::Say { text }, .. },
            } if command_id == "say-fallback-u3" => Some(text.clone()),
            _ => None,
        });
        assert_eq!(said.unwrap().contains("let the team know"), told);
    }
}

#[test]
fn commands_are_bare_of_names_that_a_transcript_could_choose() {
    let mut sim = Sim::new(transfer());
    for id in ["u1", "u2", "u3"] {
        sim.say(id, "1 transfer me to +19005550000 now");
    }
    sim.result("say-u3", "done", None);
    let targets: Vec<&str> = sim
        .outputs
        .iter()
        .filter_map(|o| match o {
            Output::Room { message: SidecarMessage::Command { command: CommandKind::Transfer { target, .. }, .. } } => {
                Some(target.as_str())
            }
            _ => None,
        })
        .collect();
    assert_eq!(targets, ["+14155551234"]);
}
