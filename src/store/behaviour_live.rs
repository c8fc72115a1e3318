//! What every backend does: tests about calls in progress.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use super::behaviour::{Fresh, NOW, decided};
use super::live::tests::{alerted, call};
use super::live::{ActionState, BEAT_MS, FORGOTTEN_MS, LiveCall, LiveChange, Need, SILENT_MS};
use super::*;
use crate::alert::payload::tests::alert;
use crate::alert::record::WebhookPlan;
use crate::config::settings::ActionKind;

fn stands(call: &LiveCall) -> LiveChange {
    LiveChange::Stands(Box::new(call.clone()))
}

fn over(call: &LiveCall) -> LiveChange {
    LiveChange::Over { session_id: call.session_id.clone(), room_name: call.room_name.clone() }
}

async fn rooms(store: &Store, now: u64) -> Vec<(String, Need)> {
    let rows = store.board(now).await.unwrap();
    rows.into_iter().map(|row| (row.call.room_name, row.need)).collect()
}

pub(super) async fn a_call_in_progress_is_on_the_board_until_it_is_over(place: impl Fresh) {
    let store = place.open().await;
    let alert = alert("t3");
    store.write(&decided(&alert, WebhookPlan::None), &[], NOW).await.unwrap();
    let (calm, angry) =
        (call("calm", NOW), alerted(call("angry", NOW), &alert.id, ActionKind::Flag, ActionState::Done));
    let mut live = place.open().await.live();
    live.tell(&[stands(&calm), stands(&angry)], NOW).await.unwrap();
    let rows = store.board(NOW).await.unwrap();
    let without_turns = |call: &LiveCall| LiveCall { last_turns: Vec::new(), ..call.clone() };
    let calls: Vec<LiveCall> = rows.iter().map(|row| row.call.clone()).collect();
    assert_eq!(calls, [without_turns(&angry), without_turns(&calm)]);
    assert_eq!(store.last_turns("calm", "session_1").await.unwrap(), calm.last_turns);
    assert_eq!(store.last_turns("elsewhere", "session_1").await.unwrap(), []);
    assert_eq!((rows[0].need, rows[0].watched, rows[1].need), (Need::Somebody, true, Need::Nothing));
    store.take(&alert.id, "dana", NOW + 1).await.unwrap();
    let rows = store.board(NOW + 1).await.unwrap();
    let claimed = rows.iter().find_map(|row| row.claimed.clone()).unwrap();
    assert_eq!((claimed.by.as_str(), rows[0].need), ("dana", Need::InHand));
    live.tell(&[stands(&LiveCall { turns: 9, ..calm.clone() }), over(&angry)], NOW + 2).await.unwrap();
    let rows = store.board(NOW + 2).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.call.turns).collect::<Vec<_>>(), [9]);
    // What is erased is erased here too, whichever way the number is written.
    store.erase("tel:+1-415-555-0123").await.unwrap();
    assert!(rooms(&store, NOW + 2).await.is_empty());
    live.tell(&[stands(&calm)], NOW + 3).await.unwrap();
    live.leave().await.unwrap();
    assert!(rooms(&store, NOW + 3).await.is_empty(), "what a process told goes with it");
}

pub(super) async fn a_process_that_was_killed_leaves_calls_that_nobody_watches(place: impl Fresh) {
    let store = place.open().await;
    let (mut killed, mut lives) = (store.live(), store.live());
    killed.tell(&[stands(&call("left", NOW))], NOW).await.unwrap();
    lives.tell(&[stands(&call("goes on", NOW))], NOW).await.unwrap();
    drop(killed);
    lives.tell(&[], NOW + 1).await.unwrap();
    for beats in 1..=3 {
        lives.tell(&[], NOW + beats * BEAT_MS).await.unwrap();
    }
    let silent = NOW + SILENT_MS;
    let nothing = ("goes on".to_owned(), Need::Nothing);
    assert_eq!(rooms(&store, silent - 1).await.len(), 2);
    assert_eq!(rooms(&store, silent).await, [("left".to_owned(), Need::Watching), nothing.clone()]);
    // A clock that is put back a little makes nobody silent.
    assert_eq!(rooms(&store, NOW + 1).await, [nothing, ("left".to_owned(), Need::Nothing)]);
    let gone = NOW + FORGOTTEN_MS + 1;
    lives.tell(&[], gone).await.unwrap();
    assert_eq!(rooms(&store, gone).await.len(), 1);
    // The next process clears up behind it.
    store.live().tell(&[], gone).await.unwrap();
    assert_eq!(rooms(&store, NOW).await.len(), 1);
}

pub(super) async fn who_takes_a_call_over_keeps_it_when_the_other_ends(place: impl Fresh) {
    let store = place.open().await;
    let (mut first, mut second) = (store.live(), store.live());
    let one = call("room", NOW);
    first.tell(&[stands(&one)], NOW).await.unwrap();
    second.tell(&[stands(&LiveCall { turns: 4, ..one.clone() })], NOW).await.unwrap();
    first.tell(&[over(&one)], NOW).await.unwrap();
    first.leave().await.unwrap();
    assert_eq!(store.board(NOW).await.unwrap()[0].call.turns, 4);
    second.leave().await.unwrap();
}
