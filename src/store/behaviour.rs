//! What every backend does: tests that know nothing of how a store is kept.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::HashSet;

use super::*;
use crate::alert::Alert;
use crate::alert::outcome::Outcome;
use crate::alert::payload;
use crate::alert::payload::tests::alert;
use crate::alert::record::WebhookPlan;
use crate::config::settings::{AllowEntry, WebhookDetail};

pub(super) const NOW: u64 = 1_700_000_000_000;

/// Where a store is that no other test knows.
pub(super) trait Fresh: Sized {
    /// A place with nothing in it. What it takes away with it when it is dropped is the backend's affair.
    async fn fresh() -> Self;

    /// Its address: whoever opens it gets the same store.
    fn url(&self) -> StoreUrl;

    /// Runs a statement past the store, as somebody with a database client would.
    async fn meddle(&self, statement: &'static str);

    /// Opens it as another process would.
    async fn open(&self) -> Store {
        Store::open(&self.url()).await.unwrap()
    }
}

/// Runs all tests of this file in a kind of fresh places, each under its own name.
macro_rules! behaves {
    ($fresh:ty) => {
        $crate::store::behaviour::behaves! { $fresh:
            an_alert_is_written_with_its_flag_and_webhook_and_read_back_by_another_process
            an_alert_that_is_there_already_is_not_acted_on_again
            no_webhook_is_queued_in_shadow_mode_or_without_a_plan_or_a_url
            a_failed_transfer_releases_the_held_webhook_which_tells_the_outcome
            a_transfer_that_went_well_cancels_the_held_webhook
            a_held_webhook_falls_due_by_itself_when_its_process_died
            an_outcome_whose_alert_could_not_be_written_writes_both
            a_process_that_dies_in_an_attempt_is_followed_by_another_with_the_same_body
            a_retry_is_due_when_it_says_and_what_is_settled_is_never_claimed
            a_clock_that_is_put_back_delays_no_retry_and_sends_nothing_that_is_held
            a_row_that_was_changed_from_outside_holds_up_no_other
            of_many_connections_that_claim_at_once_each_row_goes_to_one
            many_processes_may_open_a_new_store_at_once
            a_place_of_this_hour_is_free_again_in_the_next
            of_many_processes_that_race_for_the_last_places_exactly_so_many_get_one
            a_session_is_kept_from_its_start_over_a_take_over_to_its_end
            an_alert_of_another_call_that_had_the_same_session_id_is_known_for_one
            what_a_session_was_before_its_id_came_again_is_not_told_of_its_next_call
            a_call_that_escalated_counts_at_once
            changes_made_together_come_each_to_their_own_result
            what_was_told_without_the_store_is_kept_and_not_sent_again
            every_place_has_a_row_of_its_own_that_is_claimed_only_within_reach
            a_call_that_ends_well_resolves_what_was_told_and_only_there
            only_a_human_or_who_took_it_settles_that_a_human_was_wanted
            of_calls_with_one_session_id_each_keeps_its_own
            a_resolution_never_overtakes_its_alert
            a_failed_transfer_tells_every_place_its_outcome_and_the_start_of_the_call
            alerts_are_found_by_what_is_looked_for
            a_verdict_is_kept_with_its_alert_and_makes_a_label
            what_was_given_up_is_sent_again_from_the_first_attempt
            what_waits_for_an_outcome_is_not_sent_again_before_it
            what_was_not_needed_tells_the_outcome_when_it_is_sent_after_all
            an_incident_that_is_opened_again_is_resolved_again
            an_incident_that_was_opened_only_after_its_call_is_resolved_all_the_same
            an_attempt_that_goes_through_after_all_is_resolved_too
            what_nobody_was_told_of_is_not_told_to_be_over
            what_one_alert_needs_is_what_is_sent_of_it
            who_changes_something_of_an_alert_is_noted_with_it
            what_is_kept_of_a_call_is_found_by_its_caller_whatever_became_of_its_start
            what_is_old_is_forgotten_with_all_that_belongs_to_it
            a_callers_data_is_erased_whichever_way_the_number_is_written
            calls_are_counted_by_the_moment_whichever_days_a_period_covers
            a_call_in_progress_is_on_the_board_until_it_is_over
            a_process_that_was_killed_leaves_calls_that_nobody_watches
            who_takes_a_call_over_keeps_it_when_the_other_ends
            a_burst_to_one_place_is_spread_over_all_processes_and_holds_up_no_other
            one_pass_waits_for_its_turns_and_tries_nothing_twice
            what_is_put_off_is_sent_by_whoever_comes_then
        }
    };
    ($fresh:ty: $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                $crate::store::behaviour::$name(<$fresh as $crate::store::behaviour::Fresh>::fresh().await).await;
            }
        )*
    };
}
pub(super) use super::behaviour_calls::*;
pub(super) use super::behaviour_live::*;
pub(super) use super::behaviour_resend::*;
pub(super) use super::behaviour_review::*;
pub(super) use super::behaviour_turns::*;
pub(super) use behaves;

pub(super) fn outgoing(detail: WebhookDetail) -> Outgoing {
    let allow = vec![AllowEntry::Net("10.0.0.0/8".parse().unwrap()), AllowEntry::Host("hooks.internal".to_owned())];
    Outgoing::webhook("https://example.com/hook".parse().unwrap(), detail, allow, 1_000)
}

/// Within reach of all.
pub(super) fn all() -> Reach {
    Reach { signs: true, secrets: vec!["SIDECAR_PAGERDUTY_KEY".to_owned()] }
}

/// The body that is sent.
fn sent(claim: &Claim) -> &str {
    match &claim.parcel {
        Parcel::Body(body) => body,
        Parcel::Told(told) => panic!("{told:?} is no body"),
    }
}

pub(super) fn decided(alert: &Alert, webhook: WebhookPlan) -> StoreWrite {
    StoreWrite::Alert { alert: alert.clone(), webhook, transfer_cap: None }
}

pub(super) fn came_to(alert: &Alert, outcome: Outcome, webhook: WebhookPlan) -> StoreWrite {
    StoreWrite::Outcome { alert: Alert { outcome: Some(outcome), ..alert.clone() }, webhook }
}

pub(super) async fn write(store: &Store, write: &StoreWrite, now: u64) -> StoreResult {
    store.write(write, &[outgoing(WebhookDetail::Full)], now).await.unwrap()
}

pub(super) async fn row(store: &Store, id: &AlertId) -> OutboxRow {
    store.webhook(id).await.unwrap().unwrap()
}

pub(super) async fn an_alert_is_written_with_its_flag_and_webhook_and_read_back_by_another_process(place: impl Fresh) {
    let store = place.open().await;
    let alert = alert("t3");
    assert_eq!(write(&store, &decided(&alert, WebhookPlan::Send), NOW).await, StoreResult::Written);
    store.close().await;
    let store = place.open().await;
    let stored = store.alert(&alert.id).await.unwrap().unwrap();
    assert_eq!(stored, StoredAlert { alert: alert.clone(), created_ms: NOW, review: "open".to_owned() });
    let claim = store.claim(&alert.id, "", &all(), NOW).await.unwrap().unwrap();
    assert_eq!(claim.outgoing, outgoing(WebhookDetail::Full));
    assert_eq!(sent(&claim), payload::body(&alert, WebhookDetail::Full, None));
    assert_eq!((claim.attempt, claim.until_ms), (1, NOW + 1_000 + LEASE_SLACK_MS));
}

pub(super) async fn an_alert_that_is_there_already_is_not_acted_on_again(place: impl Fresh) {
    let store = place.open().await;
    let first = alert("t3");
    write(&store, &decided(&first, WebhookPlan::Hold { ms: 9_000 }), NOW).await;
    let again = Alert { description: "another".to_owned(), ..first.clone() };
    let existing = |outcome| StoreResult::Existing { outcome };
    assert_eq!(write(&store, &decided(&again, WebhookPlan::Send), NOW + 5).await, existing(None));
    assert_eq!(row(&store, &first.id).await.state, OutboxState::Held);
    assert_eq!(store.alert(&first.id).await.unwrap().unwrap().alert, first);
    write(&store, &came_to(&first, Outcome::Busy, WebhookPlan::Send), NOW + 10).await;
    let last = write(&store, &decided(&again, WebhookPlan::Send), NOW + 15).await;
    assert_eq!(last, existing(Some(Outcome::Busy)));
}

pub(super) async fn no_webhook_is_queued_in_shadow_mode_or_without_a_plan_or_a_url(place: impl Fresh) {
    let store = place.open().await;
    let shadow = Alert { shadow: true, ..alert("shadow") };
    write(&store, &decided(&shadow, WebhookPlan::Send), NOW).await;
    write(&store, &came_to(&shadow, Outcome::Busy, WebhookPlan::Send), NOW).await;
    write(&store, &decided(&alert("none"), WebhookPlan::None), NOW).await;
    let written = store.write(&decided(&alert("no url"), WebhookPlan::Send), &[], NOW).await.unwrap();
    assert_eq!(written, StoreResult::Written);
    assert_eq!((store.pending_count().await.unwrap(), store.next_due(&all(), NOW).await.unwrap()), (0, None));
    assert!(store.alert(&shadow.id).await.unwrap().is_some());
}

pub(super) async fn a_failed_transfer_releases_the_held_webhook_which_tells_the_outcome(place: impl Fresh) {
    let store = place.open().await;
    let alert = alert("t3");
    write(&store, &decided(&alert, WebhookPlan::Hold { ms: 60_000 }), NOW).await;
    assert_eq!(store.next_due(&all(), NOW).await.unwrap(), Some(NOW + 60_000));
    assert!(store.claim(&alert.id, "", &all(), NOW + 59_999).await.unwrap().is_none());
    write(&store, &came_to(&alert, Outcome::Busy, WebhookPlan::Send), NOW + 10).await;
    let claim = store.claim(&alert.id, "", &all(), NOW + 10).await.unwrap().unwrap();
    let told: payload::FullPayload = serde_json::from_str(sent(&claim)).unwrap();
    assert_eq!(told.transfer, Some(Outcome::Busy));
}

pub(super) async fn a_transfer_that_went_well_cancels_the_held_webhook(place: impl Fresh) {
    let store = place.open().await;
    let alert = alert("t3");
    write(&store, &decided(&alert, WebhookPlan::Hold { ms: 60_000 }), NOW).await;
    write(&store, &came_to(&alert, Outcome::Unknown, WebhookPlan::Hold { ms: 5 }), NOW + 10).await;
    assert_eq!(row(&store, &alert.id).await.due_ms, NOW + 60_000, "an outcome that is not final keeps it");
    write(&store, &came_to(&alert, Outcome::Transferred, WebhookPlan::None), NOW + 20).await;
    assert_eq!(row(&store, &alert.id).await.state, OutboxState::Cancelled);
    assert!(store.claim_due(10, &all(), u64::MAX, NOW + 99_999_999).await.unwrap().is_empty());
}

pub(super) async fn a_held_webhook_falls_due_by_itself_when_its_process_died(place: impl Fresh) {
    let store = place.open().await;
    let alert = alert("t3");
    write(&store, &decided(&alert, WebhookPlan::Hold { ms: 60_000 }), NOW).await;
    let claims = store.claim_due(10, &all(), NOW + 60_000, NOW + 60_000).await.unwrap();
    assert_eq!(claims.len(), 1);
    // The outcome comes after all: what is being sent is not changed, and not sent twice.
    for plan in [WebhookPlan::None, WebhookPlan::Send] {
        write(&store, &came_to(&alert, Outcome::Busy, plan), NOW + 60_001).await;
        let row = row(&store, &alert.id).await;
        assert_eq!((row.state, row.attempts), (OutboxState::Pending, 1));
        assert_eq!(row.body, sent(&claims[0]));
    }
    assert!(store.claim(&alert.id, "", &all(), NOW + 60_002).await.unwrap().is_none());
    let delivered = Attempted::Delivered { status: 200 };
    assert!(store.attempted(&claims[0], &delivered, NOW + 60_003).await.unwrap());
    write(&store, &came_to(&alert, Outcome::Busy, WebhookPlan::Send), NOW + 60_004).await;
    assert_eq!(row(&store, &alert.id).await.state, OutboxState::Delivered);
}

pub(super) async fn an_outcome_whose_alert_could_not_be_written_writes_both(place: impl Fresh) {
    let store = place.open().await;
    let alert = alert("t3");
    write(&store, &came_to(&alert, Outcome::Busy, WebhookPlan::Send), NOW).await;
    assert_eq!(store.alert(&alert.id).await.unwrap().unwrap().alert.outcome, Some(Outcome::Busy));
    assert_eq!(row(&store, &alert.id).await.state, OutboxState::Pending);
}

pub(super) async fn a_process_that_dies_in_an_attempt_is_followed_by_another_with_the_same_body(place: impl Fresh) {
    let store = place.open().await;
    let alert = alert("t3");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    let lost = store.claim(&alert.id, "", &all(), NOW).await.unwrap().unwrap();
    drop(store);
    let store = place.open().await;
    assert!(store.claim(&alert.id, "", &all(), lost.until_ms - 1).await.unwrap().is_none());
    assert_eq!(store.next_due(&all(), NOW).await.unwrap(), Some(lost.until_ms));
    let taken = store.claim(&alert.id, "", &all(), lost.until_ms).await.unwrap().unwrap();
    assert_eq!((taken.attempt, &taken.parcel), (2, &lost.parcel));
    // Should the first process live after all, its failure no longer counts, but its success does.
    let failed = Attempted::Retry { at_ms: NOW, status: None, detail: "late".to_owned() };
    assert!(!store.attempted(&lost, &failed, lost.until_ms).await.unwrap());
    assert!(store.attempted(&lost, &Attempted::Delivered { status: 204 }, lost.until_ms).await.unwrap());
    let failed = Attempted::GaveUp { status: Some(410), detail: "gone".to_owned() };
    assert!(!store.attempted(&taken, &failed, lost.until_ms).await.unwrap());
    let row = row(&store, &alert.id).await;
    assert_eq!((row.state, row.last_status, row.settled_ms), (OutboxState::Delivered, Some(204), Some(lost.until_ms)));
}

pub(super) async fn a_retry_is_due_when_it_says_and_what_is_settled_is_never_claimed(place: impl Fresh) {
    let store = place.open().await;
    for key in ["retry", "gone", "done"] {
        write(&store, &decided(&alert(key), WebhookPlan::Send), NOW).await;
    }
    let claims = store.claim_due(10, &all(), NOW, NOW).await.unwrap();
    let claim = |key: &str| claims.iter().find(|claim| claim.alert_id == alert(key).id).unwrap();
    let retry = Attempted::Retry { at_ms: NOW + 5_000, status: Some(500), detail: "500".to_owned() };
    store.attempted(claim("retry"), &retry, NOW).await.unwrap();
    let gave_up = Attempted::GaveUp { status: Some(410), detail: "410".to_owned() };
    store.attempted(claim("gone"), &gave_up, NOW).await.unwrap();
    store.attempted(claim("done"), &Attempted::Delivered { status: 200 }, NOW).await.unwrap();
    assert_eq!(
        (store.pending_count().await.unwrap(), store.next_due(&all(), NOW).await.unwrap()),
        (1, Some(NOW + 5_000))
    );
    assert!(store.claim_due(10, &all(), NOW + 4_999, NOW + 9_999).await.unwrap().is_empty(), "not due by then");
    let again = store.claim_due(10, &all(), NOW + 9_999, NOW + 9_999).await.unwrap();
    assert_eq!(
        again.iter().map(|claim| (&claim.alert_id, claim.attempt)).collect::<Vec<_>>(),
        [(&alert("retry").id, 2)]
    );
}

pub(super) async fn a_clock_that_is_put_back_delays_no_retry_and_sends_nothing_that_is_held(place: impl Fresh) {
    const AN_HOUR_BACK: u64 = NOW - 3_600_000;
    let store = place.open().await;
    write(&store, &decided(&alert("retry"), WebhookPlan::Send), NOW).await;
    write(&store, &decided(&alert("held"), WebhookPlan::Hold { ms: 60_000 }), NOW).await;
    let claims = store.claim_due(10, &all(), NOW, NOW).await.unwrap();
    let retry = Attempted::Retry { at_ms: NOW + 5_000, status: Some(500), detail: "500".to_owned() };
    store.attempted(&claims[0], &retry, NOW).await.unwrap();
    assert_eq!(store.next_due(&all(), AN_HOUR_BACK).await.unwrap(), Some(0));
    let again = store.claim_due(10, &all(), AN_HOUR_BACK, AN_HOUR_BACK).await.unwrap();
    assert_eq!(again.iter().map(|claim| &claim.alert_id).collect::<Vec<_>>(), [&alert("retry").id]);
}

pub(super) async fn a_row_that_was_changed_from_outside_holds_up_no_other(place: impl Fresh) {
    let store = place.open().await;
    write(&store, &decided(&alert("a"), WebhookPlan::Send), NOW).await;
    place.meddle("UPDATE outbox SET url = 'ftp://example.com/'").await;
    write(&store, &decided(&alert("b"), WebhookPlan::Send), NOW).await;
    let claims = store.claim_due(10, &all(), NOW, NOW).await.unwrap();
    assert_eq!(claims.iter().map(|claim| &claim.alert_id).collect::<Vec<_>>(), [&alert("b").id]);
    let bad = row(&store, &alert("a").id).await;
    assert_eq!(bad.state, OutboxState::GaveUp);
    assert!(bad.last_error.unwrap().contains("not a webhook URL"));
    place.meddle("UPDATE alerts SET record = '{'").await;
    let error = store.alert(&alert("a").id).await.unwrap_err();
    assert!(matches!(error.problem, StoreProblem::BadRow { .. }), "{error}");
}

pub(super) async fn of_many_connections_that_claim_at_once_each_row_goes_to_one(place: impl Fresh) {
    const ROWS: usize = 60;
    let store = place.open().await;
    for at in 0..ROWS {
        write(&store, &decided(&alert(&format!("t{at}")), WebhookPlan::Send), NOW).await;
    }
    let mut claimers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = place.url();
        claimers.spawn(async move {
            let store = Store::open(&url).await.unwrap();
            let mut mine = Vec::new();
            loop {
                let claims = store.claim_due(3, &all(), NOW, NOW).await.unwrap();
                if claims.is_empty() {
                    return mine;
                }
                mine.extend(claims.into_iter().map(|claim| claim.alert_id));
            }
        });
    }
    let all = claimers.join_all().await.concat();
    assert_eq!(all.len(), ROWS);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), ROWS);
}

pub(super) async fn many_processes_may_open_a_new_store_at_once(place: impl Fresh) {
    let mut openers = tokio::task::JoinSet::new();
    for at in 0..16 {
        let url = place.url();
        openers.spawn(async move {
            let store = Store::open(&url).await.unwrap();
            write(&store, &decided(&alert(&format!("t{at}")), WebhookPlan::Send), NOW).await
        });
    }
    for result in openers.join_all().await {
        assert_eq!(result, StoreResult::Written);
    }
    let store = place.open().await;
    assert_eq!(store.pending_count().await.unwrap(), 16);
}
