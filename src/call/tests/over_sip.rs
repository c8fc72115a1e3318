//! A transfer over SIP, blind or attended.

use serde_json::json;

use super::{Sim, angry, transfer};
use crate::alert::outcome::{Outcome, Progress};
use crate::alert::{AlertId, Severity};
use crate::call::event::{Input, Output};
use crate::call::route::{Route, TransferRequest};
use crate::config::settings::TransferMode;

/// A call whose room hands over a SIP dialog, whose human is asked first.
fn attended() -> Sim {
    over_sip(TransferMode::Attended)
}

fn over_sip(mode: TransferMode) -> Sim {
    // A room that transfers by itself does so, unless a human is to be asked.
    let offered =
        if mode == TransferMode::Attended { vec!["transfer", "say", "set_flag"] } else { vec!["say", "set_flag"] };
    let mut settings = transfer();
    settings.sip.mode = mode;
    let mut sim = Sim::new(settings);
    sim.room(json!({"type": "welcome", "version": 1, "session_id": "s1", "room_name": "room_abc123", "resumed": true,
        "capabilities": offered,
        "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}],
        "call": {"sip": {"call_id": "c1", "local_tag": "a", "remote_tag": "b"}}}));
    angry(&mut sim);
    sim
}

impl Sim {
    fn transfer_request(&self) -> Option<&TransferRequest> {
        self.outputs.iter().find_map(|output| match output {
            Output::Transfer { request } => Some(request),
            _ => None,
        })
    }

    fn stops_asking(&self) -> usize {
        self.outputs.iter().filter(|o| matches!(o, Output::StopAsking { .. })).count()
    }

    fn transfer_done(&mut self, outcome: Outcome) {
        let alert_id = self.transfer_request().unwrap().alert_id.clone().into();
        self.input(Input::TransferDone { alert_id, outcome });
    }
}

#[test]
fn an_attended_transfer_asks_over_sip_and_says_how_bad_it_is() {
    let mut sim = attended();
    sim.result("say-u3", "done", None);
    let request = sim.transfer_request().unwrap();
    assert!(matches!(request.route, Route::Attended { .. }), "{request:?}");
    assert_eq!((request.severity, request.ringing_timeout_ms), (Some(Severity::Medium), 30_000));
    sim.transfer_done(Outcome::Declined);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Declined), true)]);
    assert!(sim.commands().contains(&"say-fallback-u3"));
    assert_eq!(sim.stops_asking(), 0);
}

#[test]
fn a_caller_who_hangs_up_while_the_human_is_asked_ends_the_asking_at_once() {
    let mut sim = attended();
    sim.result("say-u3", "done", None);
    sim.room(json!({"type": "participant.left", "participant": {"id": "c", "role": "caller"}}));
    assert_eq!(sim.stops_asking(), 1);
    // The same when the human took the caller at this very moment: then it is a success, though the caller has left.
    sim.transfer_done(Outcome::Transferred);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);

    let mut sim = attended();
    sim.result("say-u3", "done", None);
    sim.input(Input::Shutdown);
    assert_eq!(sim.stops_asking(), 1);
    sim.transfer_done(Outcome::Cancelled);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Cancelled), true)]);
    assert!(sim.ended);
}

#[test]
fn a_human_who_joins_by_themselves_ends_the_asking() {
    let mut sim = attended();
    sim.result("say-u3", "done", None);
    sim.room(json!({"type": "participant.joined", "participant": {"id": "h", "role": "supervisor"}}));
    assert_eq!(sim.stops_asking(), 1);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
}

#[test]
fn the_room_may_settle_it_for_as_long_whoever_notices_the_deadline_first() {
    for sip_notices_first in [true, false] {
        let mut sim = over_sip(TransferMode::Blind);
        sim.result("say-u3", "done", None);
        if sip_notices_first {
            sim.transfer_done(Outcome::Unknown);
        } else {
            sim.pass(45_000);
            sim.transfer_done(Outcome::Unknown);
        }
        sim.pass(4_900);
        assert_eq!(sim.outcomes(), [], "the SIP edge first: {sip_notices_first}");
        sim.room(json!({"type": "participant.joined", "participant": {"id": "h", "role": "supervisor"}}));
        assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);
    }
}

/// A transfer over SIP whose steps are told.
fn told(steps: &[&str]) -> Sim {
    let mut sim = over_sip(TransferMode::Blind);
    sim.result("say-u3", "done", None);
    let alert_id: AlertId = sim.transfer_request().unwrap().alert_id.clone().into();
    for step in steps {
        let progress = Progress { step: (*step).to_owned(), sip_status: None };
        sim.input(Input::TransferProgress { alert_id: alert_id.clone(), progress });
    }
    sim
}

#[test]
fn a_subscription_that_is_over_without_a_result_is_settled_once() {
    let mut sim = told(&["refer_sent", "accepted", "terminated", "trying"]);
    sim.pass(4_900);
    assert_eq!(sim.outcomes(), []);
    sim.transfer_done(Outcome::Transferred);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Transferred), false)]);

    // The SIP edge listens as long, and adds nothing.
    for sip_notices_first in [true, false] {
        let mut sim = told(&["refer_sent", "accepted", "terminated", "trying"]);
        if sip_notices_first {
            sim.pass(4_990);
            sim.transfer_done(Outcome::Unknown);
        }
        sim.pass(5_000);
        assert_eq!(sim.outcomes(), [(Some(Outcome::Unknown), true)]);
    }
}

#[test]
fn a_caller_who_leaves_while_nobody_tells_of_the_transfer_may_be_with_the_human() {
    for (steps, outcome) in [
        (&["refer_sent"][..], Outcome::CallerGone),
        (&["refer_sent", "accepted"], Outcome::Unknown),
        (&["refer_sent", "accepted", "ringing"], Outcome::CallerGone),
        (&["refer_sent", "accepted", "terminated", "trying"], Outcome::Unknown),
    ] {
        for the_edge_says_so in [true, false] {
            let mut sim = told(steps);
            sim.room(json!({"type": "participant.left", "participant": {"id": "c", "role": "caller"}}));
            if the_edge_says_so {
                sim.transfer_done(Outcome::Unknown);
            }
            sim.pass(2_000);
            assert_eq!(sim.outcomes(), [(Some(outcome.clone()), true)], "{steps:?}");
            assert!(!sim.commands().contains(&"say-fallback-u3"), "nobody is there to hear it");
        }
    }
}

#[test]
fn nobody_is_asked_when_the_process_stops_before() {
    let mut sim = attended();
    sim.input(Input::Shutdown);
    assert_eq!(sim.transfer_request(), None);
    assert_eq!(sim.outcomes(), [(Some(Outcome::Cancelled), true)]);
}
