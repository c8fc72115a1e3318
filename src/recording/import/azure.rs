//! Azure: batch transcription (`recognizedPhrases[]`, ticks of 100 ns), fast transcription (`phrases[]`, ms), and
//! requests for conversation analysis (`conversationItems[]`, most often without times).

use std::collections::BTreeSet;

use super::call::{Call, Fault};
use super::json::Json;
use super::times::{millis, ticks, written};

pub(super) fn looks_batch(value: &Json) -> bool {
    value.get("recognizedPhrases").is_list()
}

/// Voices on channels of their own are told apart by them, those on one channel by number.
fn speaker(call: &mut Call, phrase: &Json, by_channel: bool) -> Option<usize> {
    let channel = || phrase.get("channel").name().map(|channel| format!("channel {channel}"));
    let voice = || phrase.get("speaker").name().map(|voice| format!("speaker {voice}"));
    let name = if by_channel { channel().or_else(voice) } else { voice() };
    name.map(|name| call.speaker(&name, None))
}

fn is_by_channel(phrases: &[Json]) -> bool {
    phrases.iter().filter_map(|phrase| phrase.get("channel").name()).collect::<BTreeSet<_>>().len() > 1
}

pub(super) fn read_batch(value: &Json) -> Result<Vec<Call>, Fault> {
    let phrases = value.get("recognizedPhrases").list();
    let by_channel = is_by_channel(phrases);
    let mut call = Call::default();
    for phrase in phrases {
        let failed = phrase.get("recognitionStatus").text().is_some_and(|status| status != "Success");
        let best = phrase.get("nBest").first();
        let Some(text) = best.any(&["display", "maskedITN", "itn", "lexical"]).text().filter(|_| !failed) else {
            continue;
        };
        let start = ticks(phrase.get("offsetInTicks"))
            .or_else(|| millis(phrase.get("offsetMilliseconds")))
            .or_else(|| written(phrase.get("offset")));
        let long = ticks(phrase.get("durationInTicks"))
            .or_else(|| millis(phrase.get("durationMilliseconds")))
            .or_else(|| written(phrase.get("duration")));
        let speaker = speaker(&mut call, phrase, by_channel);
        call.say(speaker, text, start, start.zip(long).map(|(start, long)| start + long));
    }
    Ok(vec![call])
}

pub(super) fn looks_fast(value: &Json) -> bool {
    value
        .get("phrases")
        .list()
        .iter()
        .any(|phrase| phrase.has("text") && (phrase.has("offsetMilliseconds") || phrase.has("offset")))
}

pub(super) fn read_fast(value: &Json) -> Result<Vec<Call>, Fault> {
    let phrases = value.get("phrases").list();
    let by_channel = is_by_channel(phrases);
    let mut call = Call::default();
    for phrase in phrases {
        let Some(text) = phrase.get("text").text() else { continue };
        let time = |names: &[&str]| millis(phrase.any(names)).or_else(|| written(phrase.any(names)));
        let start = time(&["offsetMilliseconds", "offset"]);
        let long = time(&["durationMilliseconds", "duration"]);
        let speaker = speaker(&mut call, phrase, by_channel);
        call.say(speaker, text, start, start.zip(long).map(|(start, long)| start + long));
    }
    Ok(vec![call])
}

fn conversations(value: &Json) -> &[Json] {
    if value.get("conversationItems").is_list() {
        return std::slice::from_ref(value);
    }
    let input = value.get("analysisInput");
    if input.is_object() { input.get("conversations").list() } else { value.get("conversations").list() }
}

pub(super) fn looks_conversation(value: &Json) -> bool {
    conversations(value).iter().any(|one| one.get("conversationItems").is_list())
}

pub(super) fn read_conversation(value: &Json) -> Result<Vec<Call>, Fault> {
    let read = |conversation: &Json| {
        let mut call = Call { id: conversation.get("id").name(), ..Call::default() };
        for item in conversation.get("conversationItems").list() {
            let Some(text) = item.any(&["text", "itn", "lexical"]).text() else { continue };
            let role = item.get("role").text().and_then(super::roles::party);
            let name = item.get("participantId").name().or_else(|| item.get("role").name());
            let speaker = name.map(|name| call.speaker(&name, role));
            let timing = item.get("conversationItemLevelTiming");
            let start = ticks(timing.get("offset"));
            call.say(speaker, text, start, start.zip(ticks(timing.get("duration"))).map(|(start, long)| start + long));
        }
        call
    };
    Ok(conversations(value).iter().map(read).collect())
}
