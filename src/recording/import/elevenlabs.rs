//! ElevenLabs: `transcript[]` with `time_in_call_secs`, by itself or in a webhook's `data`; messages of tool turns are
//! null.

use super::call::{Call, Fault};
use super::json::Json;
use super::roles::party;
use super::times::seconds;

fn conversation(value: &Json) -> &Json {
    let inner = value.get("data");
    if inner.get("transcript").is_list() { inner } else { value }
}

pub(super) fn looks(value: &Json) -> bool {
    let conversation = conversation(value);
    let turns = conversation.get("transcript");
    turns.is_list()
        && turns
            .list()
            .iter()
            .any(|turn| turn.has("time_in_call_secs") || (turn.has("message") && turn.has("tool_calls")))
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let conversation = conversation(value);
    let began = seconds(conversation.at(&["metadata", "start_time_unix_secs"]));
    let mut call = Call { id: conversation.get("conversation_id").name(), began, ..Call::default() };
    for turn in conversation.get("transcript").list() {
        // What an interrupted agent was going to say stands in `original_message`; this is what was heard.
        let Some(text) = turn.get("message").text() else { continue };
        let role = turn.get("role").text().unwrap_or_default();
        let speaker = call.speaker(role, party(role));
        call.say(Some(speaker), text, seconds(turn.get("time_in_call_secs")), None);
    }
    Ok(vec![call])
}
