//! `slack`: a message of Block Kit, as an incoming webhook takes it.

use serde_json::{Value, json};

use super::request::Rendered;
use super::words;
use crate::alert::notice::Told;
use crate::config::settings::WebhookDetail;

/// Longest header, in characters.
const HEADER_CHARS: usize = 150;
/// Longest text of a section, in characters.
const SECTION_CHARS: usize = 3_000;
/// Most fields of a section.
const FIELDS: usize = 10;

pub(super) fn render(told: &Told, detail: WebhookDetail) -> Rendered {
    let title = words::title(told, detail);
    let said = words::said(told);
    let mut blocks = vec![
        json!({"type": "header", "text": plain(&words::cut(&title, HEADER_CHARS))}),
        json!({"type": "section", "text": plain(&said)}),
    ];
    let fields: Vec<Value> = words::facts(told, detail)
        .into_iter()
        .take(FIELDS)
        .map(|(name, value)| json!({"type": "mrkdwn", "text": format!("*{name}*\n{}", escaped(&value))}))
        .collect();
    blocks.push(json!({"type": "section", "fields": fields}));
    let turns: Vec<String> =
        words::turns(told, detail).into_iter().map(|(who, text)| format!("{who}: {text}")).collect();
    if !turns.is_empty() {
        let text: String = turns.join("\n").chars().take(SECTION_CHARS).collect();
        blocks.push(json!({"type": "section", "text": plain(&text)}));
    }
    if let Some(link) = words::link(told) {
        let button = json!({"type": "button", "text": plain("Open the call"), "url": link, "style": "primary",
            "action_id": "open"});
        blocks.push(json!({"type": "actions", "elements": [button]}));
    }
    blocks.push(json!({"type": "context", "elements": [plain(told.alert.id.as_str())]}));
    // Notifications show this text, in which mentions would work as well.
    let text = escaped(&format!("{title}: {said}"));
    Rendered::json(json!({"text": text, "blocks": blocks}).to_string())
}

/// Text that is shown as it is: what a caller says makes no mention, link or picture.
fn plain(text: &str) -> Value {
    let text = if text.is_empty() { "…" } else { text };
    json!({"type": "plain_text", "text": text, "emoji": false})
}

/// The three characters that make mentions and links.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
