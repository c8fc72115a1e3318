//! `cloudevents`: a `CloudEvent` 1.0 in HTTP binary mode, whose data is the webhook's body.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::request::Rendered;
use crate::alert::notice::Told;
use crate::alert::payload;
use crate::clock::rfc3339_of;
use crate::config::settings::WebhookDetail;

/// What a header's value holds in percents only (HTTP protocol binding, section 3.1.3.2).
const IN_HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

pub(super) fn render(told: &Told, detail: WebhookDetail) -> Rendered {
    let alert = &told.alert;
    let source = format!("/sentiment-sidecar/rooms/{}", utf8_percent_encode(&alert.room_name, NON_ALPHANUMERIC));
    let header = |value: &str| utf8_percent_encode(value, IN_HEADER).to_string();
    let mut headers = vec![
        ("ce-specversion", "1.0".to_owned()),
        ("ce-type", "sentiment.alert".to_owned()),
        ("ce-source", header(&source)),
        ("ce-id", header(alert.id.as_str())),
    ];
    if let Some(decided_ms) = alert.about.as_ref().and_then(|about| about.decided_ms) {
        headers.push(("ce-time", rfc3339_of(decided_ms)));
    }
    let body = payload::body(alert, detail, told.link.clone());
    Rendered { content_type: "application/json", headers, body }
}
