//! `teams`: an Adaptive Card in a message, as a workflow takes it that is triggered by webhook requests.

use serde_json::{Value, json};

use super::request::Rendered;
use super::words;
use crate::alert::Severity;
use crate::alert::notice::Told;
use crate::config::settings::WebhookDetail;

/// The version of cards that Teams shows everywhere, phones included.
const VERSION: &str = "1.4";
/// Largest message, in bytes. Teams refuses above 28 KB, and its own wrapping counts.
const MOST_BYTES: usize = 20_000;

pub(super) fn render(told: &Told, detail: WebhookDetail) -> Rendered {
    let turns = words::turns(told, detail);
    // The oldest turns go first where it would be too large.
    for from in 0..=turns.len() {
        let body = message(told, detail, &turns[from..]).to_string();
        if body.len() <= MOST_BYTES || from == turns.len() {
            return Rendered::json(body);
        }
    }
    Rendered::json(message(told, detail, &[]).to_string())
}

fn message(told: &Told, detail: WebhookDetail, turns: &[(String, String)]) -> Value {
    let color = match told.alert.severity {
        _ if detail == WebhookDetail::Seed => "attention",
        Severity::Critical | Severity::High => "attention",
        Severity::Medium => "warning",
        Severity::Low => "default",
    };
    let title = json!({"type": "TextBlock", "text": words::title(told, detail), "size": "large", "weight": "bolder",
        "wrap": true, "color": color});
    let facts: Vec<Value> = words::facts(told, detail)
        .into_iter()
        .map(|(name, value)| json!({"title": name, "value": unlinked(&value)}))
        .collect();
    let mut body = vec![title, run(&[(None, &words::said(told))]), json!({"type": "FactSet", "facts": facts})];
    body.extend(turns.iter().map(|(who, text)| run(&[(Some("bolder"), &format!("{who}: ")), (None, text)])));
    body.push(json!({"type": "TextBlock", "text": told.alert.id.as_str(), "isSubtle": true, "size": "small"}));
    let mut card = json!({"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard",
        "version": VERSION, "body": body, "msteams": {"width": "Full"}});
    if let Some(link) = words::link(told) {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Open the call", "url": link}]);
    }
    json!({"type": "message", "attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card,
    }]})
}

/// Text that is shown as it is, where a `TextBlock` would read Markdown: what a caller says makes no link.
fn run(parts: &[(Option<&str>, &str)]) -> Value {
    let runs: Vec<Value> = parts
        .iter()
        .map(|(weight, text)| json!({"type": "TextRun", "text": text, "weight": weight.unwrap_or("default")}))
        .collect();
    json!({"type": "RichTextBlock", "inlines": runs})
}

/// A value in which Markdown finds no link.
fn unlinked(value: &str) -> String {
    value.replace('[', "(").replace(']', ")")
}
