//! What every backend does: tests about places that take one message every so often. Time is theirs alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use super::behaviour::{Fresh, NOW, all, decided, outgoing};
use super::behaviour_review::place;
use super::*;
use crate::alert::payload::tests::alert;
use crate::alert::record::WebhookPlan;
use crate::config::settings::WebhookDetail;
use crate::config::targets::NotifyFormat;

const PAGERDUTY: &str = "SIDECAR_PAGERDUTY_KEY";

/// So many alerts for one place, all decided at once.
async fn burst(store: &Store, many: usize, to: &Outgoing) -> Vec<AlertId> {
    let mut ids = Vec::new();
    for at in 0..many {
        let alert = alert(&format!("{}{at}", to.target));
        store.write(&decided(&alert, WebhookPlan::Send), std::slice::from_ref(to), NOW).await.unwrap();
        ids.push(alert.id);
    }
    ids
}

/// Sends all there is with two processes that look again whenever something is due, and says when each was sent, where.
async fn sent(place: &impl Fresh) -> Vec<(String, u64)> {
    let (one, other) = (place.open().await, place.open().await);
    let (mut sent, mut now) = (Vec::new(), NOW);
    while let Some(due) = one.next_due(&all(), now).await.unwrap() {
        now = now.max(due);
        for store in [&one, &other] {
            for claim in store.claim_due(4, &all(), now, now).await.unwrap() {
                assert!(claim.begin_ms >= now && claim.until_ms > claim.begin_ms, "{claim:?}");
                let delivered = Attempted::Delivered { status: 200 };
                assert!(store.attempted(&claim, &delivered, claim.begin_ms).await.unwrap());
                sent.push((claim.outgoing.target, claim.begin_ms - NOW));
            }
        }
    }
    sent.sort_by_key(|(_, at)| *at);
    sent
}

pub(super) async fn a_burst_to_one_place_is_spread_over_all_processes_and_holds_up_no_other(fresh: impl Fresh) {
    let store = fresh.open().await;
    let paced = [
        (place("slack", NotifyFormat::Slack, None), 1_000),
        (place("teams", NotifyFormat::Teams, None), 250),
        (place("pagerduty", NotifyFormat::PagerDuty, Some(PAGERDUTY)), 500),
    ];
    for (to, _) in &paced {
        burst(&store, 12, to).await;
    }
    let free = [outgoing(WebhookDetail::Seed), place("events", NotifyFormat::CloudEvents, None)];
    for to in &free {
        burst(&store, 12, to).await;
    }
    let sent = sent(&fresh).await;
    assert_eq!(sent.len(), 12 * 5, "nothing is lost, and nothing sent twice");
    for (to, gap_ms) in paced {
        let times: Vec<u64> = sent.iter().filter(|(target, _)| *target == to.target).map(|(_, at)| *at).collect();
        assert_eq!(times, (0..12).map(|n| n * gap_ms).collect::<Vec<_>>(), "{}", to.target);
    }
    for to in free {
        assert!(sent.iter().filter(|(target, _)| *target == to.target).all(|(_, at)| *at == 0), "{}", to.target);
    }
}

pub(super) async fn one_pass_waits_for_its_turns_and_tries_nothing_twice(fresh: impl Fresh) {
    const MANY: usize = 50;
    let store = fresh.open().await;
    let slack = place("slack", NotifyFormat::Slack, None);
    let ids = burst(&store, MANY, &slack).await;
    let (mut begun, mut now) = (Vec::new(), NOW);
    loop {
        for claim in store.claim_due(16, &all(), NOW, now).await.unwrap() {
            let at_ms = claim.begin_ms;
            // The first of them is to be tried again, which is not in this pass.
            let retry = Attempted::Retry { at_ms: at_ms + 1_000, status: Some(503), detail: "busy".to_owned() };
            let result = if claim.alert_id == ids[0] { retry } else { Attempted::Delivered { status: 200 } };
            assert!(store.attempted(&claim, &result, at_ms).await.unwrap());
            begun.push((at_ms - NOW) / 1_000);
        }
        match store.next_turn(&all(), NOW, now).await.unwrap() {
            Some(turn_ms) => now = turn_ms,
            None => break,
        }
    }
    assert_eq!(begun, (0..MANY as u64).collect::<Vec<_>>(), "one a second, and each once");
    assert_eq!(store.pending_count().await.unwrap(), 1);
    assert_eq!(store.next_due(&all(), now).await.unwrap(), Some(NOW + 1_000));
}

pub(super) async fn what_is_put_off_is_sent_by_whoever_comes_then(fresh: impl Fresh) {
    let store = fresh.open().await;
    let ids = burst(&store, 6, &place("slack", NotifyFormat::Slack, None)).await;
    let mut claims = Vec::new();
    for id in &ids {
        claims.push(store.claim(id, "slack", &all(), NOW).await.unwrap());
    }
    let begun: Vec<Option<u64>> = claims.iter().map(|claim| claim.as_ref().map(|claim| claim.begin_ms - NOW)).collect();
    assert_eq!(begun, [Some(0), Some(1_000), Some(2_000), Some(3_000), None, None]);
    let put_off = store.notices(&ids[5]).await.unwrap();
    assert_eq!((put_off[0].state, put_off[0].attempts), (OutboxState::Pending, 0));
    assert_eq!((put_off[0].due_ms, put_off[0].turn_ms), (NOW, NOW + 4_000));
    assert_eq!(put_off[0].waits_for_its_turn(NOW), Some(NOW + 4_000));
    assert_eq!(put_off[0].waits_for_its_turn(NOW + 4_000), None);
    assert!(store.claim(&ids[5], "slack", &all(), NOW + 3_999).await.unwrap().is_none());
    let claim = store.claim(&ids[5], "slack", &all(), NOW + 4_000).await.unwrap().unwrap();
    assert_eq!((claim.begin_ms, claim.attempt), (NOW + 4_000, 1));
    // A clock that is put back by an hour keeps nobody waiting for an hour.
    let claim = store.claim(&ids[4], "slack", &all(), NOW - 3_600_000).await.unwrap().unwrap();
    assert_eq!(claim.begin_ms, NOW - 3_600_000);
}
