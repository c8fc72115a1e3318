//! `pagerduty`: an event of the Events API v2. The alert's id is the dedup key, so that however often it comes it makes one
//! incident, and the end of a call that ended well resolves that one.

use serde_json::{Map, Value, json};

use super::request::Rendered;
use super::words;
use crate::alert::Severity;
use crate::alert::notice::{NoticeEvent, Told};
use crate::clock::rfc3339_of;
use crate::config::secret::Secret;
use crate::config::settings::WebhookDetail;

/// Longest summary, in characters.
const SUMMARY_CHARS: usize = 1_024;
/// Longest source, and group, in characters.
const NAME_CHARS: usize = 200;

pub(super) fn render(told: &Told, event: NoticeEvent, detail: WebhookDetail, key: Option<&Secret>) -> Rendered {
    let routing_key = key.map(Secret::expose).unwrap_or_default();
    let dedup_key = told.alert.id.as_str();
    let body = match event {
        NoticeEvent::Resolved => {
            json!({"routing_key": routing_key, "event_action": "resolve", "dedup_key": dedup_key})
        }
        NoticeEvent::Alert => trigger(told, detail, routing_key),
    };
    Rendered::json(body.to_string())
}

fn trigger(told: &Told, detail: WebhookDetail, routing_key: &str) -> Value {
    let alert = &told.alert;
    let mut details: Map<String, Value> =
        words::facts(told, detail).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let turns: Vec<Value> =
        words::turns(told, detail).into_iter().map(|(who, text)| format!("{who}: {text}").into()).collect();
    if !turns.is_empty() {
        details.insert("Last turns".to_owned(), turns.into());
    }
    let summary = format!("{}: {}", words::title(told, detail), words::said(told));
    let mut payload = json!({
        "summary": words::cut(&summary, SUMMARY_CHARS),
        "source": words::cut(&alert.room_name, NAME_CHARS),
        "severity": severity(alert.severity),
        "component": "voice call",
        "class": alert.rule.name(),
        "custom_details": details,
    });
    if let Some(decided_ms) = alert.about.as_ref().and_then(|about| about.decided_ms) {
        payload["timestamp"] = rfc3339_of(decided_ms).into();
    }
    let mut event = json!({"routing_key": routing_key, "event_action": "trigger", "dedup_key": alert.id.as_str(),
        "client": "sentiment-sidecar", "payload": payload});
    if let Some(link) = words::link(told) {
        event["client_url"] = link.into();
        event["links"] = json!([{"href": link, "text": "Open the call"}]);
    }
    event
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "info",
    }
}
