//! Logs of the OpenAI Realtime API. The caller's words arrive on their own, often after the answer to them, so the order
//! is that of the items, each of which names the one before it.

use std::collections::{BTreeMap, BTreeSet};

use super::call::{Call, Fault, Party};
use super::json::Json;
use super::messages::content;

const TRANSCRIBED: &str = "conversation.item.input_audio_transcription.completed";
const ADDED: [&str; 3] = ["conversation.item.added", "conversation.item.created", "conversation.item.done"];
const SAID: [&str; 4] = [
    "response.output_audio_transcript.done",
    "response.audio_transcript.done",
    "response.output_text.done",
    "response.text.done",
];

fn kind(event: &Json) -> &str {
    event.get("type").text().unwrap_or_default()
}

pub(super) fn looks(value: &Json) -> bool {
    let kind = kind(value);
    let families =
        ["session.", "input_audio_buffer.", "output_audio_buffer.", "conversation.item.", "response.", "rate_limits."];
    families.iter().any(|family| kind.starts_with(family))
        && (value.has("event_id") || value.has("item_id") || value.has("item"))
}

pub(super) fn is_kept(value: &Json) -> bool {
    let kind = kind(value);
    kind == TRANSCRIBED
        || ADDED.contains(&kind)
        || SAID.contains(&kind)
        || kind.starts_with("input_audio_buffer.")
        || matches!(kind, "response.output_item.added" | "response.output_item.done" | "response.done")
}

#[derive(Default)]
struct Item<'a> {
    party: Option<Party>,
    text: Option<String>,
    after: Option<&'a str>,
}

#[derive(Default)]
struct Log<'a> {
    /// In the order in which they are first heard of.
    order: Vec<&'a str>,
    items: BTreeMap<&'a str, Item<'a>>,
}

impl<'a> Log<'a> {
    fn item(&mut self, id: &'a str) -> &mut Item<'a> {
        self.items.entry(id).or_insert_with(|| {
            self.order.push(id);
            Item::default()
        })
    }
}

pub(super) fn read(events: &[Json]) -> Result<Vec<Call>, Fault> {
    let mut log = Log::default();
    // What a cancelled response began to say may not have been heard.
    let status = |event: &Json| event.at(&["response", "status"]).text().map(str::to_owned);
    let cancelled: BTreeSet<&str> = events
        .iter()
        .filter(|event| {
            kind(event) == "response.done"
                && status(event).is_some_and(|status| status == "cancelled" || status == "failed")
        })
        .filter_map(|event| event.at(&["response", "id"]).text())
        .collect();
    for event in events {
        take(&mut log, event, &cancelled);
    }
    let mut call = Call::default();
    let (caller, agent) = (call.speaker("user", Some(Party::Caller)), call.speaker("assistant", Some(Party::Agent)));
    for id in in_order(&log) {
        let Some(item) = log.items.get(id) else { continue };
        let speaker = match item.party {
            Some(Party::Caller) => caller,
            Some(Party::Agent) => agent,
            _ => continue,
        };
        // Only the caller's times are in the log; the items' order holds.
        call.say(Some(speaker), item.text.as_deref().unwrap_or_default(), None, None);
    }
    Ok(vec![call])
}

fn take<'a>(log: &mut Log<'a>, event: &'a Json, cancelled: &BTreeSet<&str>) {
    let kind = kind(event);
    let inner = event.get("item");
    let Some(id) = event.get("item_id").text().or_else(|| inner.get("id").text()) else { return };
    let dropped = event.get("response_id").text().is_some_and(|response| cancelled.contains(response));
    let item = log.item(id);
    if let Some(after) = event.get("previous_item_id").text() {
        item.after = Some(after);
    }
    match kind {
        TRANSCRIBED => {
            item.party = Some(Party::Caller);
            item.text = event.get("transcript").text().map(str::to_owned);
        }
        _ if SAID.contains(&kind) => {
            item.party = Some(Party::Agent);
            item.text = event.any(&["transcript", "text"]).text().filter(|_| !dropped).map(str::to_owned);
        }
        _ if inner.get("type").text().is_none_or(|kind| kind == "message") => {
            item.party = item.party.or_else(|| inner.get("role").text().and_then(super::roles::party));
            let text = content(inner.get("content"));
            // Text that a program put in; audio has its transcript later.
            if !text.is_empty() && !kind.starts_with("response.") {
                item.text.get_or_insert(text);
            }
        }
        _ => {}
    }
}

/// Each item after the one that it names; those that name none, in the order in which they were heard of.
fn in_order<'a>(log: &Log<'a>) -> Vec<&'a str> {
    let mut followers: BTreeMap<&str, Vec<&'a str>> = BTreeMap::new();
    let mut roots = Vec::new();
    for &id in &log.order {
        match log
            .items
            .get(id)
            .and_then(|item| item.after)
            .filter(|after| log.items.contains_key(after) && *after != id)
        {
            Some(after) => followers.entry(after).or_default().push(id),
            None => roots.push(id),
        }
    }
    let mut placed = BTreeSet::new();
    let mut order = Vec::new();
    // Those that name each other in a circle come last, as they were heard of.
    for root in roots.into_iter().chain(log.order.iter().copied()) {
        let mut next = vec![root];
        while let Some(id) = next.pop() {
            if placed.insert(id) {
                order.push(id);
                next.extend(followers.get(id).into_iter().flatten().rev().copied());
            }
        }
    }
    order
}
