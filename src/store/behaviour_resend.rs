//! What every backend does: tests about what is sent again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use super::behaviour::{Fresh, NOW, all, came_to, decided};
use super::behaviour_review::{attempt, ended, places, write};
use super::*;
use crate::alert::Alert;
use crate::alert::notice::NoticeEvent;
use crate::alert::outcome::Outcome;
use crate::alert::payload::tests::told;
use crate::alert::record::WebhookPlan;
use crate::config::link::LinkTemplate;
use crate::config::settings::{ActionKind, WebhookDetail};
use crate::config::targets::NotifyFormat;

pub(super) async fn what_was_given_up_is_sent_again_from_the_first_attempt(place: impl Fresh) {
    let store = place.open().await;
    let alert = told("t3");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    for claim in store.claim_due(9, &all(), NOW, NOW).await.unwrap() {
        let result = match claim.outgoing.target.as_str() {
            "" => Attempted::GaveUp { status: Some(410), detail: "gone".to_owned() },
            _ => Attempted::Delivered { status: 200 },
        };
        attempt(&store, &claim, result, NOW).await;
    }
    let resend = async |places: &[Outgoing], again| {
        let resent = store.resend(&alert.id, places, again, "dana", NOW + 5).await.unwrap();
        assert_eq!(resent.held, 0);
        resent.due
    };
    assert_eq!(resend(&[], false).await, 1);
    let claim = store.claim(&alert.id, "", &all(), NOW + 5).await.unwrap().unwrap();
    assert_eq!(claim.attempt, 1);
    assert_eq!(resend(&[], false).await, 0, "it is being sent at this moment");
    attempt(&store, &claim, Attempted::Delivered { status: 200 }, NOW + 6).await;
    assert_eq!(resend(&[], false).await, 0);
    assert_eq!(resend(&[], true).await, 3);
    let new = super::behaviour_review::place("slack", NotifyFormat::Slack, Some("SIDECAR_SLACK_URL"));
    assert_eq!(resend(&[new], false).await, 4);
}

pub(super) async fn what_waits_for_an_outcome_is_not_sent_again_before_it(place: impl Fresh) {
    let store = place.open().await;
    let alert = Alert { action: ActionKind::Transfer, ..told("t3") };
    write(&store, &decided(&alert, WebhookPlan::Hold { ms: 60_000 }), NOW).await;
    let new = super::behaviour_review::place("slack", NotifyFormat::Slack, Some("SIDECAR_SLACK_URL"));
    let resent = store.resend(&alert.id, &[new], true, "dana", NOW + 1).await.unwrap();
    assert_eq!((resent.due, resent.held), (0, 3));
    assert!(store.claim_due(9, &all(), NOW + 1, NOW + 1).await.unwrap().is_empty());
    // The transfer fails, and all are told that it did.
    write(&store, &came_to(&alert, Outcome::Busy, WebhookPlan::Send), NOW + 10).await;
    let claims = store.claim_due(9, &all(), NOW + 10, NOW + 10).await.unwrap();
    assert_eq!(claims.len(), 3);
    for claim in &claims {
        let busy = match &claim.parcel {
            Parcel::Body(body) => body.contains("NOT transferred"),
            Parcel::Told(told) => told.alert.outcome == Some(Outcome::Busy),
        };
        assert!(busy, "{claim:?}");
    }
    // Where no outcome came in its time, nobody waits for it any more.
    let alone = Alert { action: ActionKind::Transfer, ..told("t4") };
    write(&store, &decided(&alone, WebhookPlan::Hold { ms: 60_000 }), NOW).await;
    let resent = store.resend(&alone.id, &[], false, "dana", NOW + 60_000).await.unwrap();
    assert_eq!((resent.due, resent.held), (3, 0));
}

pub(super) async fn what_was_not_needed_tells_the_outcome_when_it_is_sent_after_all(place: impl Fresh) {
    let store = place.open().await;
    let alert = Alert { action: ActionKind::Transfer, ..told("t3") };
    let link: Option<LinkTemplate> = Some("https://board.example.com/{alert_id}".parse().unwrap());
    let mut places = places().map(|one| Outgoing { link: link.clone(), ..one });
    places[0].detail = WebhookDetail::Full;
    let at = |write: StoreWrite, now| {
        let (store, places) = (&store, &places);
        async move { store.write(&write, places, now).await.unwrap() }
    };
    at(decided(&alert, WebhookPlan::Hold { ms: 60_000 }), NOW).await;
    at(came_to(&alert, Outcome::Transferred, WebhookPlan::None), NOW + 10).await;
    // Whoever sends it needs no settings: the link is as it was.
    let resent = store.resend(&alert.id, &[], false, "dana", NOW + 20).await.unwrap();
    assert_eq!((resent.due, resent.held), (3, 0));
    let claims = store.claim_due(9, &all(), NOW + 20, NOW + 20).await.unwrap();
    assert_eq!(claims.len(), 3);
    for claim in &claims {
        let (told, link) = match &claim.parcel {
            Parcel::Body(body) => {
                (body.contains("Transferred to a human."), body.contains("https://board.example.com/"))
            }
            Parcel::Told(told) => (told.alert.outcome == Some(Outcome::Transferred), told.link.is_some()),
        };
        assert!(told && link, "{claim:?}");
    }
}

pub(super) async fn an_incident_that_is_opened_again_is_resolved_again(place: impl Fresh) {
    let store = place.open().await;
    let alert = told("t3");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    let deliver = async |now| {
        let mut told = Vec::new();
        loop {
            let claims = store.claim_due(9, &all(), now, now).await.unwrap();
            if claims.is_empty() {
                return told;
            }
            for claim in claims {
                attempt(&store, &claim, Attempted::Delivered { status: 202 }, now).await;
                told.extend((claim.outgoing.target == "pagerduty").then_some(claim.event));
            }
        }
    };
    deliver(NOW).await;
    store.apply(&[ended(Left::Calm)], NOW + 1).await;
    assert_eq!(deliver(NOW + 2).await, [NoticeEvent::Resolved]);
    assert_eq!(store.resend(&alert.id, &[], false, "dana", NOW + 3).await.unwrap().due, 0);
    assert_eq!(store.resend(&alert.id, &[], true, "dana", NOW + 3).await.unwrap().due, 4);
    assert_eq!(deliver(NOW + 3).await, [NoticeEvent::Alert, NoticeEvent::Resolved]);
    // A call that did not end well leaves it open.
    let open = told("t9");
    write(&store, &decided(&open, WebhookPlan::Send), NOW).await;
    deliver(NOW + 4).await;
    assert_eq!(store.resend(&open.id, &[], true, "dana", NOW + 5).await.unwrap().due, 3);
    assert_eq!(deliver(NOW + 5).await, [NoticeEvent::Alert]);
}

pub(super) async fn an_incident_that_was_opened_only_after_its_call_is_resolved_all_the_same(place: impl Fresh) {
    let store = place.open().await;
    let alert = told("t3");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    let claim = store.claim(&alert.id, "pagerduty", &all(), NOW).await.unwrap().unwrap();
    attempt(&store, &claim, Attempted::GaveUp { status: Some(403), detail: "403".to_owned() }, NOW).await;
    store.apply(&[ended(Left::Calm)], NOW + 1).await;
    // Nobody was told of it, so that nobody is told that it is over.
    assert!(store.claim(&alert.id, "pagerduty", &all(), NOW + 2).await.unwrap().is_none());
    assert_eq!(store.pending_count().await.unwrap(), 2, "the webhook's and the events'");
    store.resend(&alert.id, &[], false, "dana", NOW + 3).await.unwrap();
    let mut told = Vec::new();
    while let Some(claim) = store.claim(&alert.id, "pagerduty", &all(), NOW + 4_000).await.unwrap() {
        attempt(&store, &claim, Attempted::Delivered { status: 202 }, NOW + 4_000).await;
        told.push(claim.event);
    }
    assert_eq!(told, [NoticeEvent::Alert, NoticeEvent::Resolved]);
}

pub(super) async fn an_attempt_that_goes_through_after_all_is_resolved_too(place: impl Fresh) {
    let store = place.open().await;
    let alert = told("t3");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    let slow = store.claim(&alert.id, "pagerduty", &all(), NOW).await.unwrap().unwrap();
    let next = store.claim(&alert.id, "pagerduty", &all(), slow.until_ms).await.unwrap().unwrap();
    attempt(&store, &next, Attempted::GaveUp { status: Some(403), detail: "403".to_owned() }, slow.until_ms).await;
    store.apply(&[ended(Left::Calm)], slow.until_ms + 1).await;
    attempt(&store, &slow, Attempted::Delivered { status: 202 }, slow.until_ms + 2).await;
    let over = store.claim(&alert.id, "pagerduty", &all(), slow.until_ms + 9_000).await.unwrap().unwrap();
    assert_eq!(over.event, NoticeEvent::Resolved);
}

pub(super) async fn what_nobody_was_told_of_is_not_told_to_be_over(place: impl Fresh) {
    let store = place.open().await;
    let alert = told("t3");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    // The call ends well while the alert is on its way, and then the place does not take it.
    let claim = store.claim(&alert.id, "pagerduty", &all(), NOW).await.unwrap().unwrap();
    store.apply(&[ended(Left::Calm)], NOW + 1).await;
    let waiting = store.pending_count().await.unwrap();
    attempt(&store, &claim, Attempted::GaveUp { status: Some(403), detail: "403".to_owned() }, NOW + 2).await;
    assert_eq!(store.pending_count().await.unwrap(), waiting - 2, "neither the alert nor its end waits any longer");
    assert!(store.claim(&alert.id, "pagerduty", &all(), NOW + 60_000).await.unwrap().is_none());
}

pub(super) async fn what_one_alert_needs_is_what_is_sent_of_it(place: impl Fresh) {
    let store = place.open().await;
    let (signed, paged) = (told("t3"), told("t4"));
    let at = |alert: &Alert, place: Outgoing| {
        let (store, write) = (&store, decided(alert, WebhookPlan::Send));
        async move { store.write(&write, &[place], NOW).await.unwrap() }
    };
    let [webhook, pagerduty, _] = places();
    at(&signed, webhook).await;
    at(&paged, pagerduty).await;
    let secrets = vec!["SIDECAR_PAGERDUTY_KEY".to_owned()];
    let needs = async |only| store.needs(only).await.unwrap();
    assert_eq!(needs(Some(&signed.id)).await, Needs { signature: true, secrets: Vec::new(), waiting: 1 });
    assert_eq!(needs(Some(&paged.id)).await, Needs { signature: false, secrets: secrets.clone(), waiting: 1 });
    assert_eq!(needs(None).await, Needs { signature: true, secrets, waiting: 2 });
}
