//! Retell: `transcript_object[]` of a call, by itself or in a webhook's `call`; words in seconds.

use super::call::{Call, Fault, Party};
use super::json::Json;
use super::plain;
use super::roles::party;
use super::times::{millis, seconds};

fn call_of(value: &Json) -> &Json {
    let inner = value.get("call");
    if inner.has("transcript_object") || inner.has("transcript_with_tool_calls") { inner } else { value }
}

pub(super) fn looks(value: &Json) -> bool {
    let call = call_of(value);
    call.get("transcript_object").is_list()
        || call.get("transcript_with_tool_calls").is_list()
        || (call.has("call_id") && call.has("agent_id") && call.get("transcript").text().is_some())
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let object = call_of(value);
    let id = object.get("call_id").name();
    let mut call = Call { id: id.clone(), began: millis(object.get("start_timestamp")), ..Call::default() };
    let turns = object.get("transcript_object");
    let turns = if turns.is_list() { turns } else { object.get("transcript_with_tool_calls") };
    for turn in turns.list() {
        let role = turn.get("role").text().unwrap_or_default();
        let known = party(role);
        let Some(text) = turn.get("content").text().filter(|_| known != Some(Party::Nobody)) else { continue };
        let speaker = call.speaker(role, known);
        let words = turn.get("words").list();
        let time = |word: Option<&Json>, key: &str| word.and_then(|word| seconds(word.get(key)));
        call.say(Some(speaker), text, time(words.first(), "start"), time(words.last(), "end"));
    }
    if call.pieces.is_empty()
        && let Some(text) = object.get("transcript").text().filter(|text| plain::looks(text))
    {
        return Ok(plain::read(text)?.into_iter().map(|call| Call { id: id.clone(), ..call }).collect());
    }
    Ok(vec![call])
}
