//! Chat messages: `{"messages":[{"role":…,"content":…}]}` as OpenAI has them, and plain lists or lines of `{role,
//! content}` as Pipecat and many programs write them.

use super::call::{Call, Fault, Party};
use super::json::Json;
use super::roles::party;
use super::rows;
use super::stamps::{unitless, when};

pub(super) fn looks_chat(value: &Json) -> bool {
    let messages = value.get("messages");
    messages.is_list() && messages.list().iter().all(is_message)
}

pub(super) fn read_chat(value: &Json) -> Result<Vec<Call>, Fault> {
    let id = value.any(&["conversation_id", "call_id", "session_id", "id"]).name();
    Ok(vec![Call { id, ..said(value.get("messages").list(), "messages")? }])
}

pub(super) fn looks(value: &Json) -> bool {
    match value {
        Json::List(messages) => {
            !messages.is_empty() && messages.iter().all(|message| message.is_object() && looks(message))
        }
        // Messages of several calls are rows.
        message => is_message(message) && message.has("content") && !rows::names_its_call(message),
    }
}

pub(super) fn is_message(value: &Json) -> bool {
    value.get("role").text().is_some()
        && (value.has("content") || value.has("tool_calls") || value.has("function_call"))
}

pub(super) fn read(messages: &[Json]) -> Result<Vec<Call>, Fault> {
    match messages {
        [Json::List(messages)] => Ok(vec![said(messages, "")?]),
        messages => Ok(vec![said(messages, "")?]),
    }
}

fn said(messages: &[Json], path: &str) -> Result<Call, Fault> {
    let mut call = Call::default();
    for (at, message) in messages.iter().enumerate() {
        let role = message.get("role").text().unwrap_or_default();
        let Some(party) = party(role) else {
            let problem = format!("is \"{role}\"; give user or assistant, caller or agent");
            return Err(Fault::new(format!("{path}[{at}].role"), problem));
        };
        if party == Party::Nobody {
            continue;
        }
        let speaker = call.speaker(role, Some(party));
        call.say(Some(speaker), &content(message.get("content")), time(message), None);
    }
    Ok(call)
}

/// When a message was sent. A small number may count anything; a large one can only be a moment.
fn time(message: &Json) -> Option<i64> {
    let moment = |value: &Json| value.number().filter(|number| *number > EARLIEST).and_then(|_| unitless(value));
    when(message.any(&["timestamp", "created_at", "createdAt"]), moment)
}

/// The year 2001 in seconds since 1970.
const EARLIEST: f64 = 1e9;

/// The words of a content: a string, or parts of which only texts and transcripts are words.
pub(super) fn content(value: &Json) -> String {
    let part = |part: &Json| part.text().or_else(|| part.any(&["text", "transcript"]).text()).map(str::to_owned);
    match value {
        Json::List(parts) => {
            let mut words = String::new();
            for text in parts.iter().filter_map(part) {
                let apart = !text.starts_with(['.', ',', '!', '?', ';', ':', ' ']) && !words.ends_with(' ');
                if !words.is_empty() && apart {
                    words.push(' ');
                }
                words.push_str(&text);
            }
            words
        }
        value => part(value).unwrap_or_default(),
    }
}
