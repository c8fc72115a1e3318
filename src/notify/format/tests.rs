//! What every format keeps to, on ordinary alerts and on the worst.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use serde_json::Value;

use super::*;
use crate::alert::about::About;
use crate::alert::outcome::Outcome;
use crate::alert::payload::tests::told as told_alert;
use crate::alert::payload::{self};
use crate::alert::{Alert, AlertTurn, Severity};
use crate::config::settings::{ActionKind, WebhookDetail};
use crate::sentiment::{Sentiment, Speaker};

const LINK: &str = "https://board.example.com/alerts/alert_1";

fn told() -> Told {
    Told { alert: told_alert("t3"), link: Some(LINK.to_owned()), test: false }
}

/// An alert in which all that comes from outside is as long and as awkward as it may be.
fn worst(fill: &str) -> Told {
    let long = |chars: usize| fill.chars().cycle().take(chars).collect::<String>();
    let turn = |speaker| AlertTurn { speaker, text: long(60_000), sentiment: Some(Sentiment::clamped(1.0)) };
    let about = About {
        call_id: Some(long(128)),
        number: Some(long(128)),
        name: Some(long(128)),
        participant: Some(long(128)),
        ..*told_alert("t3").about.unwrap()
    };
    let alert = Alert {
        room_name: long(4_000),
        session_id: long(4_000),
        description: long(200),
        reason: long(4_000),
        action: ActionKind::Transfer,
        outcome: Some(Outcome::Rejected { code: long(4_000), reason: long(4_000) }),
        history: vec![Sentiment::clamped(1.0); 10_000],
        last_turns: [Speaker::Agent, Speaker::Caller].into_iter().cycle().take(6).map(turn).collect(),
        mean: Some(1.0),
        human_requests: Some(3),
        about: Some(Box::new(about)),
        ..told_alert("t3")
    };
    Told { alert, link: Some(format!("https://x/{}", "y".repeat(5_000))), test: true }
}

fn outgoing(format: NotifyFormat, detail: WebhookDetail) -> Outgoing {
    Outgoing { format, detail, ..Outgoing::webhook("https://example.com/".parse().unwrap(), detail, Vec::new(), 1) }
}

fn body(told: &Told, format: NotifyFormat, detail: WebhookDetail) -> Value {
    let key = Secret::new("R0UTINGKEY");
    let rendered = render(told, NoticeEvent::Alert, &outgoing(format, detail), Some(&key));
    serde_json::from_str(&rendered.body).unwrap()
}

/// Every string in a JSON value, with where it stands.
fn strings(value: &Value, at: &str, each: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => each(at, text),
        Value::Array(all) => all.iter().for_each(|one| strings(one, at, each)),
        Value::Object(all) => all.iter().for_each(|(key, one)| strings(one, key, each)),
        _ => {}
    }
}

#[test]
fn slack_keeps_to_its_limits_whatever_is_said() {
    for fill in ["x", "&", "\u{1f620}", "\"", "é ", "<!channel> "] {
        let message = body(&worst(fill), NotifyFormat::Slack, WebhookDetail::Full);
        let blocks = message["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50);
        let mut all = 0;
        for block in blocks {
            let mut longest = 0;
            strings(block, "", &mut |_, text| {
                longest = longest.max(text.chars().count());
                all += text.chars().count();
            });
            assert!(longest <= if block["type"] == "header" { 150 } else { 3_000 }, "{longest} in {}", block["type"]);
            let fields = block["fields"].as_array().map_or(&[][..], Vec::as_slice);
            assert!(fields.len() <= 10);
            assert!(fields.iter().all(|field| field["text"].as_str().unwrap().chars().count() <= 2_000));
        }
        assert!(all <= 12_000, "{all} characters");
        // Nobody is called by what a caller says, and too long a link is left out.
        strings(&message, "", &mut |_, text| {
            assert!(!text.contains("<!channel>") || plain_text(blocks, text), "{text}")
        });
        assert!(!message.to_string().contains("https://x/"));
    }
}

/// Whether a text stands only where Slack shows it as it is.
fn plain_text(blocks: &[Value], text: &str) -> bool {
    let json = Value::from(text).to_string();
    blocks.iter().all(|block| !block.to_string().contains(&format!(r#""text":{json},"type":"mrkdwn""#)))
}

#[test]
fn teams_keeps_to_its_limit_and_shows_what_is_said_as_it_is() {
    for fill in ["x", "\u{1f620}", "\"", "\\", "[now](https://evil.example) "] {
        let rendered =
            render(&worst(fill), NoticeEvent::Alert, &outgoing(NotifyFormat::Teams, WebhookDetail::Full), None);
        assert!(rendered.body.len() <= 20_000, "{} bytes", rendered.body.len());
        let message: Value = serde_json::from_str(&rendered.body).unwrap();
        let card = &message["attachments"][0]["content"];
        // Only these read Markdown.
        let read = |element: &&Value| matches!(element["type"].as_str(), Some("TextBlock" | "FactSet"));
        for element in card["body"].as_array().unwrap().iter().filter(read) {
            assert!(!element.to_string().contains("](https://evil"), "{element}");
        }
    }
}

#[test]
fn pagerduty_makes_one_incident_of_an_alert_and_resolves_that() {
    let event = body(&told(), NotifyFormat::PagerDuty, WebhookDetail::Full);
    assert_eq!(event["dedup_key"], told().alert.id.as_str());
    assert_eq!((&event["event_action"], &event["routing_key"]), (&"trigger".into(), &"R0UTINGKEY".into()));
    for (severity, theirs) in [
        (Severity::Critical, "critical"),
        (Severity::High, "error"),
        (Severity::Medium, "warning"),
        (Severity::Low, "info"),
    ] {
        let alert = Alert { severity, ..told_alert("t3") };
        let event = body(&Told { alert, ..told() }, NotifyFormat::PagerDuty, WebhookDetail::Seed);
        assert_eq!(event["payload"]["severity"], theirs);
    }
    let over = render(
        &told(),
        NoticeEvent::Resolved,
        &outgoing(NotifyFormat::PagerDuty, WebhookDetail::Full),
        Some(&Secret::new("R0UTINGKEY")),
    );
    let over: Value = serde_json::from_str(&over.body).unwrap();
    let wanted =
        serde_json::json!({"routing_key": "R0UTINGKEY", "event_action": "resolve", "dedup_key": told().alert.id});
    assert_eq!(over, wanted);
    let worst = body(&worst("\u{1f620}"), NotifyFormat::PagerDuty, WebhookDetail::Full);
    assert!(worst["payload"]["summary"].as_str().unwrap().chars().count() <= 1_024);
    assert!(worst["dedup_key"].as_str().unwrap().len() <= 255 && worst.to_string().len() < 512 * 1024);
}

#[test]
fn a_cloud_event_has_its_attributes_in_headers_and_the_webhooks_body() {
    let alert = Alert { room_name: "room \"é\"\r\nX: 1".to_owned(), ..told_alert("t3") };
    let rendered = render(
        &Told { alert: alert.clone(), ..told() },
        NoticeEvent::Alert,
        &outgoing(NotifyFormat::CloudEvents, WebhookDetail::Full),
        None,
    );
    let header = |name: &str| rendered.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    assert_eq!(header("ce-specversion"), Some("1.0"));
    assert_eq!((header("ce-id"), header("ce-type")), (Some(alert.id.as_str()), Some("sentiment.alert")));
    assert_eq!(header("ce-time"), Some("2024-02-29T00:00:00.500Z"));
    assert!(
        rendered.headers.iter().all(|(_, value)| value.bytes().all(|b| b.is_ascii_graphic())),
        "{:?}",
        rendered.headers
    );
    assert_eq!(rendered.body, payload::body(&alert, WebhookDetail::Full, Some(LINK.to_owned())));
}

#[test]
fn the_seeds_detail_tells_no_more_than_the_seeds_fields() {
    for format in [NotifyFormat::Slack, NotifyFormat::Teams, NotifyFormat::PagerDuty] {
        let text = body(&told(), format, WebhookDetail::Seed).to_string();
        for secret in ["4155550123", "Dana", "actually help", "CA7", "2024-02-28"] {
            assert!(!text.contains(secret), "{}: {secret} in {text}", format.name());
        }
        let full = body(&told(), format, WebhookDetail::Full).to_string();
        for wanted in ["+14155550123", "Dana Cole", "actually help", "CA7", LINK, "3 low in a row"] {
            assert!(full.contains(wanted), "{}: no {wanted} in {full}", format.name());
        }
    }
}

#[test]
fn a_test_says_that_it_is_one() {
    for format in [NotifyFormat::Slack, NotifyFormat::Teams, NotifyFormat::PagerDuty] {
        let alert = Alert::test(ActionKind::Notify, 1_709_164_800_500);
        let text = body(&Told { alert, link: None, test: true }, format, WebhookDetail::Seed).to_string();
        assert!(text.contains("TEST, no call behind it."), "{text}");
    }
}
