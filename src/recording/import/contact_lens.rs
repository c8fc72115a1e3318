//! Amazon Connect Contact Lens (voice and chat, after the call and in real time) and Amazon Transcribe Call Analytics.
//!
//! `Transcript[]` of `Content` with offsets in ms or, in chats, an `AbsoluteTime`; the role stands on the item or in
//! `Participants[]` by `ParticipantId`, which may be any string. Of the real-time stream only `Transcript` segments
//! are final; `Utterance`s are parts of them.

use std::collections::BTreeMap;

use super::call::{Call, Fault};
use super::json::Json;
use super::roles::party;
use super::times::{millis, written};

pub(super) fn looks(value: &Json) -> bool {
    has_content(value) && value.get("Participants").list().iter().any(|one| one.has("ParticipantId"))
}

pub(super) fn looks_analytics(value: &Json) -> bool {
    has_content(value)
}

fn has_content(value: &Json) -> bool {
    let transcript = value.get("Transcript");
    transcript.is_list()
        && (value.has("Participants")
            || transcript
                .list()
                .iter()
                .any(|item| item.has("Content") && (item.has("ParticipantRole") || item.has("ParticipantId"))))
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let id =
        value.at(&["CustomerMetadata", "ContactId"]).name().or_else(|| value.any(&["ContactId", "JobName"]).name());
    let mut call = Call { id, ..Call::default() };
    for item in value.get("Transcript").list() {
        // Chats have events too.
        if item.get("Type").text().is_none_or(|kind| kind == "MESSAGE") {
            say(&mut call, item, value.get("Participants"));
        }
    }
    Ok(vec![call])
}

fn say(call: &mut Call, item: &Json, participants: &Json) {
    let Some(text) = item.get("Content").text() else { return };
    let id = item.get("ParticipantId").name();
    let known = participants.list().iter().find(|one| id.is_some() && one.get("ParticipantId").name() == id);
    let role = item.get("ParticipantRole").text().or_else(|| known?.get("ParticipantRole").text());
    let name = id.or_else(|| role.map(str::to_owned));
    let speaker = name.map(|name| {
        let speaker = call.speaker(&name, role.and_then(party));
        if let Some(shown) = item.get("DisplayName").text().or_else(|| known?.get("DisplayName").text()) {
            call.also(speaker, shown);
        }
        speaker
    });
    let start = millis(item.get("BeginOffsetMillis"))
        .or_else(|| written(item.get("AbsoluteTime")))
        .or_else(|| written(item.at(&["Time", "AbsoluteTime"])));
    call.say(speaker, text, start, millis(item.get("EndOffsetMillis")));
}

pub(super) fn looks_realtime(value: &Json) -> bool {
    let is_segment = |one: &Json| one.has("Transcript") || one.has("Utterance") || one.has("Categories");
    let event = value.get("EventType").text();
    event.is_some_and(|_| value.has("ContactId") || value.has("Segments"))
        || value.get("Segments").list().iter().any(is_segment)
}

pub(super) fn is_segments(value: &Json) -> bool {
    !value.get("Segments").list().is_empty()
}

pub(super) fn read_realtime(events: &[Json]) -> Result<Vec<Call>, Fault> {
    let mut order: Vec<Call> = Vec::new();
    let mut by_contact: BTreeMap<Option<String>, usize> = BTreeMap::new();
    for event in events {
        let contact = event.get("ContactId").name();
        let at = *by_contact.entry(contact.clone()).or_insert_with(|| {
            order.push(Call { id: contact, ..Call::default() });
            order.len() - 1
        });
        for segment in event.get("Segments").list() {
            say(&mut order[at], segment.get("Transcript"), &Json::Null);
        }
    }
    if order.is_empty() {
        return Err(Fault::new("Segments", "is in none of its events; log the SEGMENTS events as well"));
    }
    Ok(order)
}
