//! What every backend does: tests about places beside the webhook, and about what people ask and tell.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use super::behaviour::{Fresh, NOW, all, came_to, decided, outgoing};
use super::course::Course;
use super::review::{AlertFilter, DeliveryState, Forgotten, SaidVerdict};
use super::*;
use crate::alert::about::About;
use crate::alert::notice::NoticeEvent;
use crate::alert::outcome::Outcome;
use crate::alert::payload::tests::{alert, told};
use crate::alert::record::WebhookPlan;
use crate::alert::verdict::Verdict;
use crate::alert::{Alert, Rule, Severity};
use crate::config::settings::{ActionKind, WebhookDetail};
use crate::config::targets::NotifyFormat;

/// A place beside the webhook, of this name and format, whose secret is in this variable.
pub(super) fn place(name: &str, format: NotifyFormat, secret: Option<&str>) -> Outgoing {
    let seed = outgoing(WebhookDetail::Full);
    Outgoing { target: name.to_owned(), format, secret: secret.map(str::to_owned), ..seed }
}

pub(super) fn places() -> [Outgoing; 3] {
    [
        outgoing(WebhookDetail::Seed),
        place("pagerduty", NotifyFormat::PagerDuty, Some("SIDECAR_PAGERDUTY_KEY")),
        place("events", NotifyFormat::CloudEvents, None),
    ]
}

pub(super) async fn write(store: &Store, write: &StoreWrite, now: u64) {
    store.write(write, &places(), now).await.unwrap();
}

async fn states(store: &Store, id: &AlertId) -> Vec<(String, NoticeEvent, OutboxState)> {
    let rows = store.notices(id).await.unwrap();
    rows.into_iter().map(|row| (row.target, row.event, row.state)).collect()
}

pub(super) async fn attempt(store: &Store, claim: &Claim, result: Attempted, now: u64) {
    assert!(store.attempted(claim, &result, now).await.unwrap());
}

fn told_of(claim: &Claim) -> &Alert {
    match &claim.parcel {
        Parcel::Told(told) => &told.alert,
        Parcel::Body(body) => panic!("{body} is the webhook's"),
    }
}

pub(super) async fn every_place_has_a_row_of_its_own_that_is_claimed_only_within_reach(place: impl Fresh) {
    let store = place.open().await;
    let alert = told("t3");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    assert_eq!(store.pending_count().await.unwrap(), 3);
    let needs = Needs { signature: true, secrets: vec!["SIDECAR_PAGERDUTY_KEY".to_owned()], waiting: 3 };
    assert_eq!(store.needs(None).await.unwrap(), needs);
    // Who has no secrets at all is not even told that something is due.
    assert_eq!(store.next_due(&Reach::default(), NOW).await.unwrap(), None);
    assert!(store.claim_due(9, &Reach::default(), NOW, NOW).await.unwrap().is_empty());
    let key_only = Reach { signs: false, ..all() };
    let claims = store.claim_due(9, &key_only, NOW, NOW).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.outgoing.target.as_str()).collect::<Vec<_>>(), ["pagerduty"]);
    assert_eq!(told_of(&claims[0]), &alert);
    assert_eq!(claims[0].outgoing, Outgoing { link: None, ..places()[1].clone() });
    let signs_only = Reach { signs: true, secrets: Vec::new() };
    assert!(store.claim(&alert.id, "pagerduty", &signs_only, NOW + 99_999).await.unwrap().is_none());
    assert!(store.claim(&alert.id, "events", &signs_only, NOW).await.unwrap().is_some());
    assert!(store.claim(&alert.id, "", &signs_only, NOW).await.unwrap().is_some());
    let gave_up = Attempted::GaveUp { status: Some(410), detail: "gone".to_owned() };
    attempt(&store, &claims[0], gave_up, NOW + 1).await;
    let states = states(&store, &alert.id).await;
    let of = |target: &str| states.iter().find(|(name, ..)| name == target).unwrap().2;
    assert_eq!(
        (of(""), of("pagerduty"), of("events")),
        (OutboxState::Pending, OutboxState::GaveUp, OutboxState::Pending)
    );
    let attempts = store.attempts(&alert.id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].target.as_str(), attempts[0].attempt, attempts[0].status), ("pagerduty", 1, Some(410)));
}

pub(super) fn ended(left: Left) -> Change {
    let alert = alert("t3");
    Change::SessionEnded {
        session_id: alert.session_id,
        room_name: alert.room_name,
        caller: None,
        reason: "hangup".to_owned(),
        turns: 5,
        escalated: true,
        left,
    }
}

pub(super) async fn a_call_that_ends_well_resolves_what_was_told_and_only_there(place: impl Fresh) {
    let store = place.open().await;
    let alert = told("t3");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    for claim in store.claim_due(9, &all(), NOW, NOW).await.unwrap() {
        attempt(&store, &claim, Attempted::Delivered { status: 202 }, NOW).await;
    }
    store.apply(&[ended(Left::Unhappy)], NOW + 1).await;
    assert_eq!(store.pending_count().await.unwrap(), 0, "it did not end well");
    store.apply(&[ended(Left::Calm)], NOW + 2).await;
    // Said twice, it is told once.
    store.apply(&[ended(Left::Calm)], NOW + 3).await;
    let claims = store.claim_due(9, &all(), NOW + 3, NOW + 3).await.unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!((claims[0].event, claims[0].outgoing.target.as_str()), (NoticeEvent::Resolved, "pagerduty"));
    attempt(&store, &claims[0], Attempted::Delivered { status: 202 }, NOW + 4).await;
    let states = states(&store, &alert.id).await;
    assert!(states.iter().all(|(.., state)| *state == OutboxState::Delivered) && states.len() == 4, "{states:?}");
}

pub(super) async fn only_a_human_or_who_took_it_settles_that_a_human_was_wanted(place: impl Fresh) {
    let store = place.open().await;
    let by = |key: &str, rule| Alert { rule, ..told(key) };
    let [streak, asked, taken] =
        [("a", Rule::Streak), ("b", Rule::HumanRequest), ("c", Rule::Tool)].map(|(key, rule)| by(key, rule));
    for alert in [&streak, &asked, &taken] {
        write(&store, &decided(alert, WebhookPlan::Send), NOW).await;
    }
    store.take(&taken.id, "dana", NOW).await.unwrap();
    let resolved = async |alert: &Alert| {
        states(&store, &alert.id).await.iter().any(|(_, event, _)| *event == NoticeEvent::Resolved)
    };
    store.apply(&[ended(Left::Calm)], NOW + 1).await;
    assert_eq!((resolved(&streak).await, resolved(&asked).await, resolved(&taken).await), (true, false, true));
    store.apply(&[ended(Left::WithHuman)], NOW + 2).await;
    assert!(resolved(&asked).await);
}

pub(super) async fn of_calls_with_one_session_id_each_keeps_its_own(place: impl Fresh) {
    let store = place.open().await;
    let first = told("t3");
    let of = |number: &str| Alert {
        about: first.about.clone().map(|about| Box::new(About { number: Some(number.to_owned()), ..*about })),
        ..told(number)
    };
    let (first, second) = (of("+1111"), of("+2222"));
    let started = |number: &str| Change::SessionStarted {
        session_id: first.session_id.clone(),
        room_name: first.room_name.clone(),
        caller: Some(number.to_owned()),
    };
    let over = || Change::SessionOver { session_id: first.session_id.clone(), room_name: first.room_name.clone() };
    store.apply(&[started("+1111")], NOW).await;
    write(&store, &decided(&first, WebhookPlan::Send), NOW).await;
    store.apply(&[ended(Left::Unhappy), transcript(), over()], NOW + 1).await;
    assert!(
        store.transcript(&first.id).await.unwrap().is_some() && store.session_of(&first.id).await.unwrap().is_some()
    );

    store.apply(&[started("+2222")], NOW + 9).await;
    write(&store, &decided(&second, WebhookPlan::Send), NOW + 9).await;
    assert_eq!(store.transcript(&second.id).await.unwrap(), None, "the words of another call");
    store.apply(&[ended(Left::WithHuman), transcript()], NOW + 10).await;
    let resolved = async |alert: &Alert| {
        states(&store, &alert.id).await.iter().any(|(_, event, _)| *event == NoticeEvent::Resolved)
    };
    assert_eq!((resolved(&first).await, resolved(&second).await), (false, true));
    assert_eq!(store.transcript(&first.id).await.unwrap(), None);
    assert_eq!(store.session_of(&first.id).await.unwrap(), None);
    assert_eq!(store.session_of(&second.id).await.unwrap().unwrap().started_ms, NOW + 9);
    assert!(store.transcript(&second.id).await.unwrap().is_some());
    let said = SaidVerdict { verdict: Verdict::Right, note: String::new(), said_by: "qa".to_owned(), said_ms: NOW };
    for alert in [&first, &second] {
        assert!(store.say(&alert.id, &said, "qa").await.unwrap());
    }
    let labelled = store.labelled(0).await.unwrap();
    let told: Vec<_> = labelled.iter().map(|call| (call.alerts[0].0.id.clone(), call.kept.is_some())).collect();
    assert_eq!(told, [(first.id.clone(), false), (second.id.clone(), true)]);

    assert_eq!(store.erase("+2222").await.unwrap(), Forgotten { alerts: 1, sessions: 1 });
    assert!(store.alert(&first.id).await.unwrap().is_some(), "of another caller");
}

pub(super) async fn a_resolution_never_overtakes_its_alert(place: impl Fresh) {
    let store = place.open().await;
    let alert = told("t3");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    let reach = Reach { signs: false, ..all() };
    let first = store.claim(&alert.id, "pagerduty", &reach, NOW).await.unwrap().unwrap();
    let retry = Attempted::Retry { at_ms: NOW + 9_000, status: Some(500), detail: "500".to_owned() };
    attempt(&store, &first, retry, NOW).await;
    store.apply(&[ended(Left::Calm)], NOW + 1).await;
    assert_eq!(store.next_due(&reach, NOW).await.unwrap(), Some(NOW + 9_000));
    assert!(store.claim_due(9, &reach, NOW + 2, NOW + 2).await.unwrap().is_empty());
    let again = store.claim_due(9, &reach, NOW + 9_000, NOW + 9_000).await.unwrap();
    assert_eq!(again.iter().map(|claim| claim.event).collect::<Vec<_>>(), [NoticeEvent::Alert]);
    attempt(&store, &again[0], Attempted::Delivered { status: 202 }, NOW + 9_001).await;
    let last = store.claim_due(9, &reach, NOW + 9_001, NOW + 9_001).await.unwrap();
    assert_eq!(last.iter().map(|claim| claim.event).collect::<Vec<_>>(), [NoticeEvent::Resolved]);
}

pub(super) async fn a_failed_transfer_tells_every_place_its_outcome_and_the_start_of_the_call(place: impl Fresh) {
    let store = place.open().await;
    let alert = Alert { action: ActionKind::Transfer, ..told("t3") };
    // An earlier process attached before the one that tells of it.
    store.session_started(&alert.session_id, &alert.room_name, NOW - 90_000).await.unwrap();
    write(&store, &decided(&alert, WebhookPlan::Hold { ms: 60_000 }), NOW).await;
    assert!(store.claim_due(9, &all(), NOW, NOW).await.unwrap().is_empty());
    write(&store, &came_to(&alert, Outcome::Busy, WebhookPlan::Send), NOW + 10).await;
    let claims = store.claim_due(9, &all(), NOW + 10, NOW + 10).await.unwrap();
    assert_eq!(claims.len(), 3);
    for claim in claims.iter().filter(|claim| !claim.outgoing.target.is_empty()) {
        let told = told_of(claim);
        assert_eq!(told.outcome, Some(Outcome::Busy));
        assert_eq!(told.about.as_ref().unwrap().call_started_ms, Some(NOW - 90_000));
    }
}

pub(super) async fn alerts_are_found_by_what_is_looked_for(place: impl Fresh) {
    let store = place.open().await;
    let notify = told("a");
    let transfer = Alert { action: ActionKind::Transfer, room_name: "other".to_owned(), ..told("b") };
    let critical = Alert { severity: Severity::Critical, rule: Rule::Tool, about: None, ..told("c") };
    for (at, alert) in (0..).zip([&notify, &transfer, &critical]) {
        let plan = if alert == &critical { WebhookPlan::None } else { WebhookPlan::Send };
        write(&store, &decided(alert, plan), NOW + at).await;
    }
    write(&store, &came_to(&transfer, Outcome::NoAnswer, WebhookPlan::Send), NOW + 9).await;
    for claim in store.claim_due(9, &all(), NOW, NOW).await.unwrap() {
        attempt(&store, &claim, Attempted::Delivered { status: 200 }, NOW).await;
    }
    let said = SaidVerdict { verdict: Verdict::Wrong, note: String::new(), said_by: "qa".to_owned(), said_ms: NOW };
    assert!(store.say(&notify.id, &said, "qa").await.unwrap());
    let of = async |filter: AlertFilter| -> Vec<AlertId> {
        store.alerts(&filter, 10).await.unwrap().into_iter().map(|one| one.alert.id).collect()
    };
    let none = AlertFilter::default();
    let (a, b, c) = (notify.id.clone(), transfer.id.clone(), critical.id.clone());
    assert_eq!(of(none.clone()).await, vec![c.clone(), b.clone(), a.clone()], "the latest first");
    assert_eq!(of(AlertFilter { since_ms: Some(NOW + 1), ..none.clone() }).await, vec![c.clone(), b.clone()]);
    assert_eq!(of(AlertFilter { until_ms: Some(NOW + 1), ..none.clone() }).await, vec![a.clone()]);
    assert_eq!(of(AlertFilter { room: Some("other".to_owned()), ..none.clone() }).await, vec![b.clone()]);
    assert_eq!(of(AlertFilter { action: Some(ActionKind::Transfer), ..none.clone() }).await, vec![b.clone()]);
    assert_eq!(of(AlertFilter { rule: Some(Rule::Tool), ..none.clone() }).await, vec![c.clone()]);
    assert_eq!(of(AlertFilter { severity: Some(Severity::High), ..none.clone() }).await, vec![c.clone()]);
    assert_eq!(of(AlertFilter { outcome: Some("no_answer".to_owned()), ..none.clone() }).await, vec![b.clone()]);
    assert_eq!(of(AlertFilter { verdict: Some(Some(Verdict::Wrong)), ..none.clone() }).await, vec![a.clone()]);
    assert_eq!(of(AlertFilter { verdict: Some(None), ..none.clone() }).await, vec![c.clone(), b.clone()]);
    assert_eq!(of(AlertFilter { undelivered: true, ..none.clone() }).await, vec![b.clone()]);
    let caller = Some("tel:+1-415-555-0123".to_owned());
    assert_eq!(of(AlertFilter { caller, ..none.clone() }).await, vec![b.clone(), a.clone()]);
    assert_eq!(of(AlertFilter { before: Some((NOW + 1, b.clone())), ..none.clone() }).await, vec![a.clone()]);
    let listed = store.alerts(&none, 10).await.unwrap();
    let delivery: Vec<DeliveryState> = listed.iter().map(|one| one.delivery).collect();
    assert_eq!(delivery, [DeliveryState::None, DeliveryState::Pending, DeliveryState::Delivered]);
    assert_eq!(store.find(a.as_str()).await.unwrap(), vec![a.clone()]);
    assert_eq!(store.find(&a.as_str()[..20]).await.unwrap(), [a]);
    assert_eq!(store.find("alert_").await.unwrap().len(), 2);
    assert!(store.find("nothing").await.unwrap().is_empty());
}

pub(super) fn transcript() -> Change {
    let alert = alert("t3");
    let recording = "{\"type\":\"recording\",\"version\":1,\"room_name\":\"room_abc123\"}\n".to_owned();
    let course = Box::new(Course { threshold: 3, ..Course::default() });
    Change::Transcript { session_id: alert.session_id, room_name: alert.room_name, caller: None, recording, course }
}

pub(super) async fn a_verdict_is_kept_with_its_alert_and_makes_a_label(place: impl Fresh) {
    let store = place.open().await;
    let alert = told("t3");
    let said = |verdict| SaidVerdict { verdict, note: "loud".to_owned(), said_by: "qa".to_owned(), said_ms: NOW };
    assert!(!store.say(&alert.id, &said(Verdict::Right), "qa").await.unwrap(), "there is no such alert");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    for verdict in Verdict::ALL {
        assert!(store.say(&alert.id, &said(verdict), "qa").await.unwrap());
        assert_eq!(store.verdict(&alert.id).await.unwrap(), Some(said(verdict)));
        assert_eq!(store.alert(&alert.id).await.unwrap().unwrap().review, verdict.review());
    }
    assert_eq!(store.labelled(0).await.unwrap()[0].kept, None);
    store.session_started(&alert.session_id, &alert.room_name, NOW).await.unwrap();
    assert_eq!(store.apply(&[transcript()], NOW).await, [Ok(StoreResult::Written)]);
    let labelled = store.labelled(NOW).await.unwrap();
    assert_eq!((labelled.len(), &labelled[0].alerts), (1, &vec![(alert, Verdict::Late)]));
    assert!(labelled[0].kept.as_ref().unwrap().recording.contains("room_abc123"));
    assert!(store.labelled(NOW + 1).await.unwrap().is_empty());
}

pub(super) async fn who_changes_something_of_an_alert_is_noted_with_it(place: impl Fresh) {
    let store = place.open().await;
    let alert = told("t3");
    write(&store, &decided(&alert, WebhookPlan::Send), NOW).await;
    let id = &alert.id;
    let said = SaidVerdict { verdict: Verdict::Right, note: String::new(), said_by: "Dana".to_owned(), said_ms: NOW };
    // What changes nothing is not noted: sam comes late, has nothing to let go, and does not know what dana said.
    store.take(id, "dana", NOW).await.unwrap();
    store.take(id, "sam", NOW).await.unwrap();
    assert!(!store.let_go(id, "sam", NOW).await.unwrap());
    store.take_over(id, "vera", "sam", NOW).await.unwrap();
    store.take_over(id, "dana", "sam", NOW).await.unwrap();
    assert!(store.let_go(id, "sam", NOW).await.unwrap());
    assert!(store.say(id, &said, "dana").await.unwrap());
    let other = SaidVerdict { verdict: Verdict::Wrong, ..said };
    assert_eq!(store.say_knowing(id, &other, Some(0), "sam").await.unwrap(), super::review::Said::Meanwhile);
    store.resend(id, &[], false, "sam", NOW).await.unwrap();
    let noted = store.audited(id).await.unwrap();
    let noted: Vec<_> = noted.iter().map(|one| (one.who.as_str(), one.what.as_str())).collect();
    assert_eq!(
        noted,
        [
            ("dana", "claim"),
            ("sam", "take over from dana"),
            ("sam", "release"),
            ("dana", "verdict right"),
            ("sam", "resend")
        ]
    );
}

pub(super) async fn what_is_kept_of_a_call_is_found_by_its_caller_whatever_became_of_its_start(place: impl Fresh) {
    let store = place.open().await;
    let caller = || Some("+1 (415) 555-0123".to_owned());
    let with_caller = |mut changes: Vec<Change>| {
        for change in &mut changes {
            if let Change::SessionEnded { caller: of, .. } | Change::Transcript { caller: of, .. } = change {
                *of = caller();
            }
        }
        changes
    };
    let theirs = told("t3");
    // Its start could not be noted.
    store.apply(&with_caller(vec![ended(Left::Calm), transcript()]), NOW).await;
    assert_eq!(store.erase("+14155550123").await.unwrap(), Forgotten { alerts: 0, sessions: 1 });
    // It is erased while it goes on, and what is kept at its end is found once more.
    let started = || Change::SessionStarted {
        session_id: theirs.session_id.clone(),
        room_name: theirs.room_name.clone(),
        caller: caller(),
    };
    store.apply(&[started()], NOW).await;
    assert_eq!(store.erase("+14155550123").await.unwrap(), Forgotten { alerts: 0, sessions: 1 });
    store.apply(&with_caller(vec![ended(Left::Calm), transcript()]), NOW + 1).await;
    assert_eq!(store.erase("+14155550123").await.unwrap(), Forgotten { alerts: 0, sessions: 1 });
    // The room told who it is only later, and the end could not be noted.
    store.session_started(&theirs.session_id, &theirs.room_name, NOW + 2).await.unwrap();
    store.apply(&with_caller(vec![transcript()]), NOW + 3).await;
    assert_eq!(store.erase("+14155550123").await.unwrap(), Forgotten { alerts: 0, sessions: 1 });
    assert!(store.session(&theirs.session_id, &theirs.room_name).await.unwrap().is_none());
}

pub(super) async fn what_is_old_is_forgotten_with_all_that_belongs_to_it(place: impl Fresh) {
    let store = place.open().await;
    let (old, new) = (told("old"), Alert { session_id: "session_2".to_owned(), ..told("new") });
    store.session_started(&old.session_id, &old.room_name, NOW).await.unwrap();
    store.session_started(&new.session_id, &new.room_name, NOW).await.unwrap();
    write(&store, &decided(&old, WebhookPlan::Send), NOW).await;
    store.apply(&[ended(Left::Calm), transcript()], NOW + 10).await;
    write(&store, &decided(&new, WebhookPlan::Send), NOW + 1_000).await;
    store.session_ended(&new.session_id, &new.room_name, "hangup", 3, true, NOW + 2_000).await.unwrap();
    let said = SaidVerdict { verdict: Verdict::Right, note: String::new(), said_by: "qa".to_owned(), said_ms: NOW };
    store.say(&old.id, &said, "qa").await.unwrap();
    assert_eq!(store.prune(NOW).await.unwrap(), Forgotten::default());
    assert_eq!(store.prune(NOW + 500).await.unwrap(), Forgotten { alerts: 1, sessions: 1 });
    assert!(store.alert(&old.id).await.unwrap().is_none() && store.verdict(&old.id).await.unwrap().is_none());
    assert!(store.notices(&old.id).await.unwrap().is_empty() && store.labelled(0).await.unwrap().is_empty());
    assert_eq!(store.notices(&new.id).await.unwrap().len(), 3);
    assert!(store.session(&new.session_id, &new.room_name).await.unwrap().is_some());
}

pub(super) async fn a_callers_data_is_erased_whichever_way_the_number_is_written(place: impl Fresh) {
    let store = place.open().await;
    let (theirs, others) = (told("t3"), Alert { session_id: "session_2".to_owned(), about: None, ..told("t4") });
    let started = |alert: &Alert, caller: Option<&str>| Change::SessionStarted {
        session_id: alert.session_id.clone(),
        room_name: alert.room_name.clone(),
        caller: caller.map(str::to_owned),
    };
    store.apply(&[started(&theirs, Some("sip:+14155550123@sbc")), started(&others, Some("+4420"))], NOW).await;
    // What is told of them without their number goes with the call.
    let unnamed = Alert { about: None, ..told("t5") };
    for alert in [&theirs, &others, &unnamed] {
        write(&store, &decided(alert, WebhookPlan::Send), NOW).await;
    }
    store.apply(&[transcript()], NOW).await;
    assert_eq!(store.erase("").await.unwrap(), Forgotten::default());
    assert_eq!(store.erase("+1 (415) 555-0123").await.unwrap(), Forgotten { alerts: 2, sessions: 1 });
    assert!(store.alert(&theirs.id).await.unwrap().is_none() && store.alert(&unnamed.id).await.unwrap().is_none());
    assert!(store.alert(&others.id).await.unwrap().is_some());
    assert!(store.session(&theirs.session_id, &theirs.room_name).await.unwrap().is_none());
    assert_eq!(store.erase("+14155550123").await.unwrap(), Forgotten::default());
}

pub(super) async fn calls_are_counted_by_the_moment_whichever_days_a_period_covers(place: impl Fresh) {
    const DAY: u64 = 86_400_000;
    let store = place.open().await;
    // At the edges of days, and within; every third escalates.
    let midnight = NOW / DAY * DAY;
    let times: Vec<u64> = (0..8).flat_map(|day| [0, 1, DAY / 2, DAY - 1].map(|at| midnight + day * DAY + at)).collect();
    for (n, at) in times.iter().enumerate() {
        store.session_started(&format!("s{n}"), "room", *at).await.unwrap();
        // Said again, as processes that take a call over do.
        store.session_started(&format!("s{n}"), "room", at + DAY).await.unwrap();
        store.session_ended(&format!("s{n}"), "room", "hangup", 3, n % 3 == 0, *at).await.unwrap();
    }
    let count = async |since: u64, until: u64| {
        let rates = store.rates(since, until).await.unwrap();
        let within = |at: &&u64| (since..until).contains(*at);
        let calls = times.iter().filter(within).count() as u64;
        let escalated = times.iter().step_by(3).filter(within).count() as u64;
        assert_eq!((rates.calls, rates.escalated), (calls, escalated), "{since} to {until}");
    };
    for (since, until) in [
        (0, u64::MAX / 2),
        (midnight, midnight + DAY),
        (midnight + 1, midnight + DAY),
        (midnight + 1, midnight + 2),
        (midnight + 1, midnight + 5 * DAY + 1),
        (midnight + DAY / 2, midnight + DAY + 2),
        (midnight + DAY, midnight + 7 * DAY),
        (midnight + 9, midnight + 9),
    ] {
        count(since, until).await;
    }
    // What is forgotten is no longer counted.
    store.prune(midnight + 2 * DAY).await.unwrap();
    let rates = store.rates(0, u64::MAX / 2).await.unwrap();
    assert_eq!((rates.calls, rates.escalated), (24, 8));
}
