//! The alert and the store: it is written under an id of its own before anything is told or sent.

use super::{Sim, angry, notify};
use crate::alert::AlertId;
use crate::alert::record::{StoreResult, StoreWrite};
use crate::call::event::{Input, Output};

#[test]
fn nothing_is_sent_before_the_store_has_the_alert() {
    let mut sim = Sim::new(notify());
    sim.store_result = None;
    angry(&mut sim);
    assert_eq!((sim.delivered(), sim.commands().len()), (0, 0));
    sim.pass(3_000);
    let unstored = sim.outputs.iter().any(|o| matches!(o, Output::Deliver { unstored: Some(_), .. }));
    assert!(unstored, "a store that hangs does not lose the alert");
}

#[test]
fn an_alert_id_that_another_call_had_is_passed_over_and_nothing_is_told_before_the_store_has_it() {
    let alert_ids = |sim: &Sim| -> Vec<AlertId> {
        let of = |o: &Output| match o {
            Output::Store { write: StoreWrite::Alert { alert, .. } } => Some(alert.id.clone()),
            _ => None,
        };
        sim.outputs.iter().filter_map(of).collect()
    };
    let again = || {
        let mut sim = Sim::new(notify());
        sim.store_result = None;
        angry(&mut sim);
        let first = alert_ids(&sim)[0].clone();
        assert_eq!(sim.escalations().len(), 0);
        sim.input(Input::Stored { alert_id: first.clone(), result: StoreResult::OtherCall });
        assert_eq!(sim.escalations().len(), 0);
        let second = alert_ids(&sim)[1].clone();
        sim.input(Input::Stored { alert_id: second.clone(), result: StoreResult::Written });
        assert_eq!((sim.escalations().len(), sim.delivered()), (1, 1));
        (first, second)
    };
    let (first, second) = again();
    assert_ne!(first, second);
    assert_eq!(again(), (first, second));
}

#[test]
fn alert_ids_follow_from_what_they_name() {
    let id = AlertId::derive(&["room", "session"], "turn");
    assert_eq!(id, AlertId::derive(&["room", "session"], "turn"));
    assert_ne!(id, AlertId::derive(&["room", "sessiont"], "urn"));
    assert_ne!(id, AlertId::derive(&["room", "session", "another call"], "turn"));
    assert!(id.as_str().starts_with("alert_"));
}
