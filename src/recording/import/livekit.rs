//! LiveKit: a session report's `chat_history.items[]`, or a chat history by itself. `events` repeat the turns.

use super::call::{Call, Fault, Party};
use super::json::Json;
use super::messages::content;
use super::roles::party;
use super::times::seconds;

fn items(value: &Json) -> &Json {
    let history = value.get("chat_history");
    if history.is_object() { history.get("items") } else { value.get("items") }
}

pub(super) fn looks(value: &Json) -> bool {
    let items = items(value);
    let known = ["message", "function_call", "function_call_output", "agent_handoff", "agent_config_update"];
    items.is_list()
        && (value.has("chat_history")
            || items.list().iter().any(|item| item.get("type").text().is_some_and(|kind| known.contains(&kind))))
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let mut call = Call { id: value.any(&["room", "room_id", "job_id", "id"]).name(), ..Call::default() };
    let is_message = |item: &&Json| item.get("type").text().is_none_or(|kind| kind == "message");
    let messages: Vec<&Json> = items(value).list().iter().filter(is_message).collect();
    let began = |item: &Json| seconds(item.at(&["metrics", "started_speaking_at"]));
    // A user's message is created when it is over: only one of the two times orders all.
    let spoken = messages.iter().filter(|item| heard(item)).all(|item| began(item).is_some());
    for item in messages.into_iter().filter(|item| heard(item)) {
        let role = item.get("role").text().unwrap_or_default();
        let speaker = call.speaker(role, party(role));
        let start = if spoken { began(item) } else { seconds(item.get("created_at")) };
        let end = seconds(item.at(&["metrics", "stopped_speaking_at"])).filter(|_| spoken);
        call.say(Some(speaker), &content(item.get("content")), start, end);
    }
    Ok(vec![call])
}

fn heard(item: &Json) -> bool {
    item.get("role").text().and_then(party).is_some_and(|party| party != Party::Nobody)
}
