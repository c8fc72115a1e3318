//! Vapi: `artifact.messages[]` with `secondsFromStart`, in the webhook's envelope or as the API has a call.

use super::call::{Call, Fault, Party};
use super::json::Json;
use super::plain;
use super::roles::party;
use super::times::{millis, seconds, written};

/// The object that holds the report, and its messages.
fn report(value: &Json) -> Option<(&Json, &Json)> {
    let inner = value.get("message");
    let report = if inner.is_object() { inner } else { value };
    let artifact = report.get("artifact");
    let messages = if artifact.get("messages").is_list() { artifact.get("messages") } else { report.get("messages") };
    let timed = messages.list().iter().any(|message| message.has("secondsFromStart"));
    let ended = report.get("type").text() == Some("end-of-call-report");
    (artifact.is_object() || timed || ended).then_some((report, messages))
}

pub(super) fn looks(value: &Json) -> bool {
    report(value).is_some()
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let Some((report, messages)) = report(value) else {
        return Err(Fault::new("message.artifact", "is missing; it holds the messages of an end-of-call-report"));
    };
    let id = report.at(&["call", "id"]).name().or_else(|| report.get("id").name());
    let mut call = Call { id: id.clone(), began: written(report.get("startedAt")), ..Call::default() };
    for message in messages.list() {
        let role = message.get("role").text().unwrap_or_default();
        let known = party(role);
        let Some(text) = message.any(&["message", "content"]).text().filter(|_| known != Some(Party::Nobody)) else {
            continue;
        };
        let speaker = call.speaker(role, known);
        let start = seconds(message.get("secondsFromStart"));
        let long =
            millis(message.get("endTime")).zip(millis(message.get("time"))).map(|(end, start)| (end - start).max(0));
        call.say(Some(speaker), text, start, start.zip(long).map(|(start, long)| start + long));
    }
    if call.pieces.is_empty() {
        let text = report.at(&["artifact", "transcript"]).text().or_else(|| report.get("transcript").text());
        if let Some(Ok(calls)) = text.filter(|text| plain::looks(text)).map(plain::read) {
            return Ok(calls.into_iter().map(|call| Call { id: id.clone(), ..call }).collect());
        }
    }
    Ok(vec![call])
}
