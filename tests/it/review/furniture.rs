//! A store as a busy morning leaves it, so that pages are looked at as people see them.

use sentiment_sidecar::alert::about::About;
use sentiment_sidecar::alert::outcome::{Outcome, Progress};
use sentiment_sidecar::alert::outgoing::Outgoing;
use sentiment_sidecar::alert::record::{StoreWrite, WebhookPlan};
use sentiment_sidecar::alert::{Alert, AlertId, AlertTurn, Rule, Severity};
use sentiment_sidecar::clock::unix_ms;
use sentiment_sidecar::config::settings::{ActionKind, WebhookDetail};
use sentiment_sidecar::sentiment::{Cue, CueKind, Sentiment, Speaker};
use sentiment_sidecar::store::course::{Course, RatedTurn};
use sentiment_sidecar::store::live::{LiveCall, LiveChange, LiveTurn};
use sentiment_sidecar::store::{Change, Live};
use serde_json::{Value, json};

use super::Pages;

const MINUTE: u64 = 60_000;

fn ratings(all: &[f64]) -> Vec<Sentiment> {
    all.iter().copied().map(Sentiment::clamped).collect()
}

fn turn(speaker: Speaker, text: &str, rating: Option<f64>) -> AlertTurn {
    AlertTurn { speaker, text: text.to_owned(), sentiment: rating.map(Sentiment::clamped) }
}

/// The alert that is looked at: a transfer that found the line busy.
fn busy(now: u64) -> Alert {
    let about = About {
        call_id: Some("CA7f3d".to_owned()),
        number: Some("+14155550142".to_owned()),
        name: Some("Dana Cole".to_owned()),
        participant: Some("caller-1".to_owned()),
        target: Some("+14155551234".parse().unwrap()),
        call_started_ms: Some(now - 6 * MINUTE),
        decided_ms: Some(now - 2 * MINUTE),
    };
    let step = |step: &str, sip_status| Progress { step: step.to_owned(), sip_status };
    Alert {
        id: AlertId::from("alert_5f2c91a07be44d0c9e61".to_owned()),
        room_name: "support-eu-0417".to_owned(),
        session_id: "session-busy".to_owned(),
        turn: 4,
        rule: Rule::Streak,
        severity: Severity::Critical,
        reason: "3 consecutive turns below 3".to_owned(),
        description: "Caller angry: charged twice for the same month, third call this week; \"nobody at your company \
                      seems to care\""
            .to_owned(),
        sentiment: Sentiment::clamped(1.4),
        history: ratings(&[5.4, 2.7, 2.1, 1.4]),
        last_turns: vec![
            turn(Speaker::Agent, "I understand. Could you tell me your account number?", None),
            turn(Speaker::Caller, "I gave you that twice already. You charged me twice again.", Some(2.7)),
            turn(Speaker::Agent, "I'm sorry to hear that. Could you tell me your account number?", None),
            turn(Speaker::Caller, "This is ridiculous. It's the third time I call this week.", Some(2.1)),
            turn(Speaker::Agent, "I can open a ticket for you.", None),
            turn(Speaker::Caller, "Nobody at your company seems to care. Get me a human, now.", Some(1.4)),
        ],
        outcome: Some(Outcome::Busy),
        steps: vec![
            step("refer_sent", None),
            step("accepted", Some(202)),
            step("trying", Some(100)),
            step("busy", Some(486)),
        ],
        streak: 3,
        human_requests: Some(1),
        about: Some(Box::new(about)),
        ..Alert::test(ActionKind::Transfer, now)
    }
}

/// How its call went.
fn course(id: &AlertId, now: u64) -> Course {
    let began = now - 6 * MINUTE;
    let turns =
        [(5.4, ""), (2.7, "twice"), (2.1, "ridiculous"), (1.4, "Nobody at your company seems to care"), (6.1, "")];
    let turn = |(n, (rating, cue)): (usize, (f64, &str))| RatedTurn {
        turn: n as u32 + 1,
        turn_id: format!("t{}", 2 * n + 1),
        at_ms: began + (n as u64 + 1) * MINUTE,
        sentiment: Sentiment::clamped(rating),
        low: rating < 3.0,
        filler: false,
        asks_human: n == 3,
        cues: vec![Cue::own(cue.to_owned(), CueKind::Word, -1.0)],
    };
    let mut course =
        Course { threshold: 3, turns: turns.into_iter().enumerate().map(turn).collect(), steps: Vec::new() };
    for seconds in [1, 2, 3, 9] {
        course.stepped(id, now - 2 * MINUTE + seconds * 1_000);
    }
    course
}

/// What was said in its call, as it is kept.
fn transcript() -> String {
    let mut lines = vec![json!({"type": "recording", "version": 1, "room_name": "support-eu-0417"})];
    let people = json!([{"id": "caller-1", "role": "caller"}, {"id": "agent", "role": "agent"}]);
    lines.push(json!({"at_ms": 0, "type": "welcome", "version": 1, "session_id": "session-busy", "room_name": "support-eu-0417",
        "call": {"id": "CA7f3d"}, "participants": people, "capabilities": [], "resumed": false}));
    let said = [
        ("agent", "Hello, how can I help?"),
        ("caller-1", "Hi. I was charged twice for May."),
        ("agent", "Let me look."),
        ("caller-1", "I gave you that twice already. You charged me twice again."),
        ("agent", "I'm sorry to hear that. Could you tell me your account number?"),
        ("caller-1", "This is ridiculous. It's the third time I call this week."),
        ("agent", "I can open a ticket for you."),
        ("caller-1", "Nobody at your company seems to care. Get me a human, now."),
        ("agent", "I could not reach a supervisor just now. I have let the team know."),
        ("caller-1", "Fine. At least somebody knows now, thank you."),
    ];
    for (n, (who, text)) in said.into_iter().enumerate() {
        lines.push(
            json!({"at_ms": n * 20_000, "type": "turn.ended", "seq": n + 1, "turn_id": format!("t{n}"), "index": n,
            "participant_id": who, "text": text, "start_ms": n * 20_000, "end_ms": n * 20_000 + 5_000}),
        );
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn live(now: u64, room: &str, minutes: u64, caller: Value, standing: Value) -> LiveChange {
    let mut call = json!({"room_name": room, "session_id": format!("live-{room}"), "started_ms": now - minutes * MINUTE,
        "caller": caller, "turns": 9, "threshold": 3, "window": 3, "streak": 0, "low": false, "with_human": false});
    call.as_object_mut().unwrap().extend(standing.as_object().unwrap().clone());
    let mut call: LiveCall = serde_json::from_value(call).unwrap();
    let last = call.ratings.last().zip(call.last_words.clone());
    call.last_turns =
        last.map(|(&sentiment, words)| LiveTurn { turn: 9, sentiment, low: call.low, words }).into_iter().collect();
    LiveChange::Stands(Box::new(call))
}

/// Fills the store; the id of the alert that is looked at. Who tells of the calls stays until the test ends.
pub(super) async fn furnish(pages: &Pages) -> (AlertId, Live) {
    let (store, now) = (pages.store().await, unix_ms());
    let alert = busy(now);
    let (id, session, room) = (alert.id.clone(), alert.session_id.clone(), alert.room_name.clone());
    store.session_started(&session, &room, now - 6 * MINUTE).await.unwrap();
    let webhook =
        Outgoing::webhook("https://hooks.example/alerts".parse().unwrap(), WebhookDetail::Full, Vec::new(), 5_000);
    let decided = StoreWrite::Alert {
        alert: Alert { outcome: None, steps: Vec::new(), ..alert.clone() },
        webhook: WebhookPlan::None,
        transfer_cap: None,
    };
    store.write(&decided, &[], now - 2 * MINUTE).await.unwrap();
    let settled = StoreWrite::Outcome { alert, webhook: WebhookPlan::None };
    store.write(&settled, &[webhook], now - 2 * MINUTE + 9_000).await.unwrap();
    store.session_ended(&session, &room, "caller hung up", 10, true, now - MINUTE).await.unwrap();
    let (recording, course) = (transcript(), Box::new(course(&id, now)));
    let kept = Change::Transcript { session_id: session, room_name: room, caller: None, recording, course };
    assert!(store.apply(&[kept], now).await[0].is_ok());
    for n in 0..14_u64 {
        let name = format!("calm-{n}");
        store.session_started(&name, "support-eu", now - n * 9 * MINUTE).await.unwrap();
        store.session_ended(&name, "support-eu", "caller hung up", 8, false, now).await.unwrap();
    }
    let alerted = |state: Value, delivery: &str| json!({"id": id, "severity": "critical", "action": "transfer", "shadow": false, "state": state, "delivery": delivery});
    let mut live_rows = store.live();
    let changes = [
        live(
            now,
            "support-eu-0421",
            4,
            json!({"name": "Maria Okafor", "number": "+442071838750"}),
            json!({
            "ratings": ratings(&[5.2, 4.9, 4.1, 3.4, 2.6, 2.2, 1.6]), "streak": 3, "low": true, "mean": 2.4,
            "last_words": "I have told this to three people now. Can I please just talk to someone?",
            "alert": alerted(json!({"state": "failed", "outcome": {"outcome": "busy"}}), "delivered")}),
        ),
        live(
            now,
            "support-eu-0419",
            11,
            json!({"number": "+14155550173"}),
            json!({
            "ratings": ratings(&[6.0, 5.5, 5.6, 4.0, 2.8, 2.4]), "streak": 2, "low": true, "mean": 3.1,
            "last_words": "No, that is not what I asked."}),
        ),
        live(
            now,
            "support-eu-0424",
            2,
            json!({"name": "Jo Lindqvist"}),
            json!({
            "ratings": ratings(&[4.4, 2.9]), "streak": 1, "low": true, "mean": 3.9, "last_words": "You already said that."}),
        ),
        live(
            now,
            "support-eu-0402",
            26,
            json!({"number": "+14155550119"}),
            json!({
            "ratings": ratings(&[3.0, 2.1, 1.9, 4.0, 5.5]), "with_human": true, "mean": 3.6,
            "last_words": "Ah, good, finally. Thank you.", "alert": alerted(json!({"state": "done"}), "none")}),
        ),
        live(now, "support-eu-0425", 1, json!({"number": "+14155550100"}), json!({"ratings": [], "turns": 0})),
        live(
            now,
            "support-eu-0426",
            3,
            json!({"name": "Priya N."}),
            json!({
            "ratings": ratings(&[5.0, 5.4, 6.1, 7.0]), "mean": 5.9, "last_words": "Perfect, that worked."}),
        ),
    ];
    live_rows.tell(&changes, now).await.unwrap();
    (id, live_rows)
}
