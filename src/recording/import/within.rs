//! Calls that are wrapped: in envelopes such as `{"data":{…}}` and `{"calls":[…]}`, in objects that have calls by their
//! ids, and in a string with speaker labels, `{"id":1,"transcript":"Agent: …\nCaller: …"}`.

use super::call::{Call, Fault};
use super::formats::{Reads, importer_of, inner_calls};
use super::json::Json;
use super::plain;

/// Fields that may hold a whole transcript as text.
const TEXTS: [&str; 10] = [
    "transcript",
    "transcription",
    "conversation",
    "dialogue",
    "dialog",
    "text",
    "content",
    "body",
    "call_transcript",
    "transcript_text",
];
/// Fields that may name a call.
const IDS: [&str; 8] =
    ["call_id", "callId", "conversation_id", "conversationId", "contact_id", "interaction_id", "session_id", "id"];

fn text(value: &Json) -> Option<&str> {
    let texts = TEXTS.iter().filter_map(|field| value.get(field).text());
    texts.into_iter().find(|text| text.lines().count() > 1 && plain::looks(text))
}

pub(super) fn looks_text(value: &Json) -> bool {
    text(value).is_some()
}

pub(super) fn read_text(value: &Json) -> Result<Vec<Call>, Fault> {
    let id = value.any(&IDS).name();
    let calls = plain::read(text(value).unwrap_or_default())?.into_iter();
    Ok(calls.map(|call| Call { id: call.id.or_else(|| id.clone()), ..call }).collect())
}

/// The fields of an object that hold calls, or lists of them.
fn fields(value: &Json) -> impl Iterator<Item = (&str, &Json)> {
    // An object that is a part of a call is none by itself.
    let is_call = |value: &Json| {
        value.is_object() && importer_of(value).is_some_and(|importer| matches!(importer.reads, Reads::Calls { .. }))
    };
    let holds = move |value: &Json| match value {
        Json::List(elements) => importer_of(value).is_some() || elements.first().is_some_and(is_call),
        value => is_call(value),
    };
    value.fields().iter().filter(move |(_, value)| holds(value)).map(|(key, value)| (&**key, value))
}

pub(super) fn looks(value: &Json) -> bool {
    value.is_object() && fields(value).next().is_some()
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let mut calls = Vec::new();
    for (key, inner) in fields(value) {
        let at = |place: String| {
            move |fault: Fault| {
                let path = if fault.path.is_empty() { place } else { format!("{place}.{}", fault.path) };
                Fault { path, ..fault }
            }
        };
        let own = inner_calls(inner).map(|read| read.map_err(at(key.to_owned())));
        let elements = || {
            inner
                .list()
                .iter()
                .enumerate()
                .filter_map(|(n, one)| Some(inner_calls(one)?.map_err(at(format!("{key}[{n}]")))))
        };
        let read: Vec<Result<Vec<Call>, Fault>> = match own {
            Some(own) => vec![own],
            None => elements().collect(),
        };
        for read in read {
            let one = inner.is_object();
            let named = |call: Call| match call.id {
                None if one => Call { id: Some(key.to_owned()), ..call },
                _ => call,
            };
            calls.extend(read?.into_iter().map(named));
        }
    }
    // An envelope's own name says nothing of its one call.
    if let [call] = calls.as_mut_slice()
        && fields(value).any(|(key, _)| call.id.as_deref() == Some(key))
    {
        call.id = None;
    }
    if let [call] = calls.as_mut_slice() {
        call.id = call.id.take().or_else(|| value.any(&IDS).name());
    }
    Ok(calls)
}
