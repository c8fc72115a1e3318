//! What every backend does: tests about calls, and about what is written of them together.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::sync::Arc;

use super::behaviour::{Fresh, NOW, all, came_to, decided, outgoing, row, write};
use super::*;
use crate::alert::Alert;
use crate::alert::outcome::Outcome;
use crate::alert::payload::tests::alert;
use crate::alert::record::WebhookPlan;
use crate::config::settings::WebhookDetail;

fn transferring(key: &str, cap: u32) -> StoreWrite {
    StoreWrite::Alert { alert: alert(key), webhook: WebhookPlan::Send, transfer_cap: Some(cap) }
}

pub(super) async fn a_place_of_this_hour_is_free_again_in_the_next(place: impl Fresh) {
    let store = place.open().await;
    let at_cap = StoreResult::AtCap { cap: 2 };
    assert_eq!(write(&store, &transferring("t1", 2), NOW).await, StoreResult::Written);
    assert_eq!(write(&store, &transferring("t2", 2), NOW + 1).await, StoreResult::Written);
    assert_eq!(write(&store, &transferring("t3", 2), NOW + 3_599_999).await, at_cap);
    assert!(store.alert(&alert("t3").id).await.unwrap().is_some(), "the alert itself is kept");
    assert_eq!(write(&store, &transferring("t4", 2), NOW + 3_600_000).await, StoreResult::Written);
    assert_eq!(write(&store, &transferring("t5", 2), NOW + 3_600_000).await, at_cap);
    // A process that takes over takes no second place, nor does what is no transfer.
    assert_eq!(write(&store, &transferring("t4", 9), NOW + 3_600_000).await, StoreResult::Existing { outcome: None });
    assert_eq!(write(&store, &decided(&alert("t6"), WebhookPlan::Send), NOW + 3_600_000).await, StoreResult::Written);
    assert_eq!(write(&store, &transferring("t7", 3), NOW + 3_600_000).await, StoreResult::Written);
    // A clock that was put back by a day.
    assert_eq!(write(&store, &transferring("t8", 1), NOW - 86_400_000).await, StoreResult::Written);
}

pub(super) async fn of_many_processes_that_race_for_the_last_places_exactly_so_many_get_one(place: impl Fresh) {
    let mut racers = tokio::task::JoinSet::new();
    for at in 0..16 {
        let url = place.url();
        racers.spawn(async move {
            let store = Store::open(&url).await.unwrap();
            write(&store, &transferring(&format!("t{at}"), 3), NOW + at).await
        });
    }
    let results = racers.join_all().await;
    let placed = results.iter().filter(|result| **result == StoreResult::Written).count();
    let refused = results.iter().filter(|result| **result == StoreResult::AtCap { cap: 3 }).count();
    assert_eq!((placed, refused), (3, 13));
}

pub(super) async fn a_session_is_kept_from_its_start_over_a_take_over_to_its_end(place: impl Fresh) {
    let store = place.open().await;
    store.session_started("s1", "room", NOW).await.unwrap();
    store.session_ended("s1", "room", "lost", 2, false, NOW + 1).await.unwrap();
    store.session_started("s1", "room", NOW + 2).await.unwrap();
    let open = store.session("s1", "room").await.unwrap().unwrap();
    assert_eq!((open.started_ms, open.ended_ms), (NOW, None));
    store.session_ended("s1", "room", "hangup", 7, true, NOW + 3).await.unwrap();
    let ended = StoredSession {
        started_ms: NOW,
        ended_ms: Some(NOW + 3),
        ended_reason: Some("hangup".to_owned()),
        turns: 7,
        escalated: true,
    };
    assert_eq!(store.session("s1", "room").await.unwrap(), Some(ended));
    assert_eq!(store.session("s1", "another room").await.unwrap(), None);
    store.session_ended("s2", "room", "hangup", 0, false, NOW).await.unwrap();
    assert!(store.session("s2", "room").await.unwrap().is_some());
}

pub(super) async fn an_alert_of_another_call_that_had_the_same_session_id_is_known_for_one(place: impl Fresh) {
    let store = place.open().await;
    let first = alert("t1");
    let started = || Change::SessionStarted {
        session_id: first.session_id.clone(),
        room_name: first.room_name.clone(),
        caller: None,
    };
    let over = || Change::SessionOver { session_id: first.session_id.clone(), room_name: first.room_name.clone() };
    let decided_on = |alert: &Alert| change(decided(alert, WebhookPlan::Send));
    let existing = Ok(StoreResult::Existing { outcome: None });
    let results = store.apply(&[started(), decided_on(&first), started(), decided_on(&first)], NOW).await;
    assert_eq!(results[3], existing, "a process that takes over");
    let mut other_words = first.clone();
    for turn in &mut other_words.last_turns {
        turn.text = "where is the parcel then".to_owned();
    }
    assert_eq!(store.apply(&[decided_on(&other_words)], NOW).await, [Ok(StoreResult::OtherCall)]);
    let results = store.apply(&[over(), started(), decided_on(&first), decided_on(&alert("t2"))], NOW).await;
    assert_eq!(results[2..], [Ok(StoreResult::OtherCall), Ok(StoreResult::Written)]);
    assert_eq!(store.apply(&[started(), decided_on(&alert("t2"))], NOW).await[1], existing, "taken over as well");
}

pub(super) async fn what_a_session_was_before_its_id_came_again_is_not_told_of_its_next_call(place: impl Fresh) {
    const DAY: u64 = 86_400_000;
    let store = place.open().await;
    let (session_id, room_name) = ("s1".to_owned(), "room".to_owned());
    let over = Change::SessionOver { session_id, room_name };
    store.session_started("s1", "room", NOW).await.unwrap();
    store.session_ended("s1", "room", "hangup", 7, true, NOW + 1).await.unwrap();
    assert_eq!(store.apply(&[over], NOW + 2).await, [Ok(StoreResult::Written)]);
    store.session_started("s1", "room", NOW + DAY).await.unwrap();
    let second =
        StoredSession { started_ms: NOW + DAY, ended_ms: None, ended_reason: None, turns: 0, escalated: false };
    assert_eq!(store.session("s1", "room").await.unwrap(), Some(second));
    store.session_ended("s1", "room", "hangup", 3, false, NOW + DAY + 1).await.unwrap();
    let all = async || {
        let rates = store.rates(0, u64::MAX / 2).await.unwrap();
        (rates.calls, rates.escalated)
    };
    assert_eq!(all().await, (2, 1), "two calls, and one of them escalated");
    store.prune(NOW + DAY / 2).await.unwrap();
    assert_eq!(all().await, (1, 0), "the first one is old");
    store.prune(NOW + 3 * DAY).await.unwrap();
    assert_eq!(all().await, (0, 0));
}

pub(super) async fn a_call_that_escalated_counts_at_once(place: impl Fresh) {
    let store = place.open().await;
    let alert = alert("t1");
    store.session_started(&alert.session_id, &alert.room_name, NOW).await.unwrap();
    let escalated = async || store.rates(0, u64::MAX / 2).await.unwrap().escalated;
    write(&store, &decided(&Alert { shadow: true, ..self::alert("t0") }, WebhookPlan::Send), NOW).await;
    assert_eq!(escalated().await, 0, "nothing was done");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    assert_eq!(escalated().await, 1, "its process may be killed from now on");
    // One that takes over without the turns of before knows of no escalation.
    store.session_ended(&alert.session_id, &alert.room_name, "hangup", 1, false, NOW + 1).await.unwrap();
    assert_eq!(escalated().await, 1);
    assert!(store.session(&alert.session_id, &alert.room_name).await.unwrap().unwrap().escalated);
}

fn change(write: StoreWrite) -> Change {
    Change::Alert { write: Box::new(write), outgoing: Arc::new([outgoing(WebhookDetail::Full)]) }
}

pub(super) async fn changes_made_together_come_each_to_their_own_result(place: impl Fresh) {
    let store = place.open().await;
    let (known, new) = (alert("t1"), alert("t2"));
    write(&store, &decided(&known, WebhookPlan::Send), NOW).await;
    place.meddle("UPDATE alerts SET outcome = 'no JSON'").await;
    let session = || ("s1".to_owned(), "room".to_owned());
    let ((session_id, room_name), (id, name)) = (session(), session());
    let changes = [
        Change::SessionStarted { session_id, room_name, caller: None },
        change(decided(&new, WebhookPlan::Send)),
        // What somebody wrote past us makes this one fail, and no other.
        change(decided(&known, WebhookPlan::Send)),
        change(came_to(&new, Outcome::Busy, WebhookPlan::None)),
        Change::SessionEnded {
            caller: None,
            session_id: id,
            room_name: name,
            reason: "hangup".to_owned(),
            turns: 3,
            escalated: true,
            left: Left::WithHuman,
        },
    ];
    let results = store.apply(&changes, NOW + 1).await;
    assert!(results[2].is_err(), "{results:?}");
    for at in [0, 1, 3, 4] {
        assert_eq!(results[at], Ok(StoreResult::Written), "{at}");
    }
    assert_eq!(store.alert(&new.id).await.unwrap().unwrap().alert.outcome, Some(Outcome::Busy));
    assert_eq!(store.session("s1", "room").await.unwrap().unwrap().ended_ms, Some(NOW + 1));
    assert!(store.apply(&[], NOW).await.is_empty());
}

pub(super) async fn what_was_told_without_the_store_is_kept_and_not_sent_again(place: impl Fresh) {
    let store = place.open().await;
    let (late, never) = (alert("t1"), alert("t2"));
    // The store took the first one after all, when it had been sent from memory already; the second one it never took.
    write(&store, &decided(&late, WebhookPlan::Send), NOW).await;
    let told = |alert: &Alert| Change::Told {
        alert: Box::new(alert.clone()),
        outgoing: Box::new(outgoing(WebhookDetail::Full)),
        status: 204,
    };
    assert_eq!(
        store.apply(&[told(&late), told(&never)], NOW + 1).await,
        [Ok(StoreResult::Written), Ok(StoreResult::Written)]
    );
    for alert in [&late, &never] {
        let row = row(&store, &alert.id).await;
        assert_eq!((row.state, row.attempts, row.last_status), (OutboxState::Delivered, 1, Some(204)));
        assert!(store.alert(&alert.id).await.unwrap().is_some());
    }
    assert_eq!((store.pending_count().await, store.claim_due(9, &all(), NOW + 2, NOW + 2).await), (Ok(0), Ok(vec![])));
}
