//! Lists of timed segments, in seconds: Whisper and those around it, OpenAI's diarized answers, and the World
//! Transcription Format.

use super::call::{Call, Fault};
use super::json::Json;
use super::times::{millis, seconds, written};

/// Gladia's `transcription`, which looks like `AssemblyAI`'s answer and has its times in seconds.
fn gladia(value: &Json) -> &Json {
    let inner = value.at(&["result", "transcription"]);
    if inner.is_object() { inner } else { value.get("transcription") }
}

pub(super) fn looks_gladia(value: &Json) -> bool {
    gladia(value).get("utterances").is_list()
}

pub(super) fn read_gladia(value: &Json) -> Result<Vec<Call>, Fault> {
    let mut call = Call { id: value.get("id").name(), ..Call::default() };
    let utterances = gladia(value).get("utterances").list();
    let many = utterances.iter().any(|one| one.get("channel").number().is_some_and(|channel| channel > 0.0));
    for utterance in utterances {
        let Some(text) = utterance.get("text").text() else { continue };
        // Channels are parties where there are several; else voices are.
        let (kind, number) =
            if many { ("channel", utterance.get("channel")) } else { ("speaker", utterance.get("speaker")) };
        let speaker = number.name().map(|number| call.speaker(&format!("{kind} {number}"), None));
        call.say(speaker, text, seconds(utterance.get("start")), seconds(utterance.get("end")));
    }
    Ok(vec![call])
}

fn has_segments(value: &Json) -> bool {
    let segments = value.get("segments");
    segments.is_list() && (segments.list().is_empty() || segments.first().has("text"))
}

pub(super) fn looks_diarized(value: &Json) -> bool {
    has_segments(value)
        && value.get("segments").first().get("type").text().is_some_and(|kind| kind.starts_with("transcript.text"))
}

pub(super) fn looks_wtf(value: &Json) -> bool {
    has_segments(value) && (value.get("transcript").is_object() || value.get("speakers").is_object())
}

pub(super) fn looks(value: &Json) -> bool {
    has_segments(value) || spans(value).is_some() || cpp(value).is_some()
}

/// `chunks` (or `speakers`, which has who spoke) of `{"timestamp":[0.0,3.2],"text":…}`, as the transformers library
/// has them.
fn spans(value: &Json) -> Option<&[Json]> {
    let lists = ["speakers", "chunks"].map(|key| value.get(key).list());
    lists.into_iter().find(|list| list.first().is_some_and(|one| one.get("timestamp").is_list() && one.has("text")))
}

/// `transcription` with `offsets` in ms, as whisper.cpp has it.
fn cpp(value: &Json) -> Option<&[Json]> {
    let list = value.get("transcription").list();
    list.first().is_some_and(|one| one.has("text") && (one.has("offsets") || one.has("timestamps"))).then_some(list)
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let mut call = Call { id: value.get("id").name(), ..Call::default() };
    for segment in value.get("segments").list() {
        let Some(text) = segment.get("text").text() else { continue };
        let speaker = speaker(&mut call, segment, value.get("speakers"));
        call.say(speaker, text, seconds(segment.get("start")), seconds(segment.get("end")));
    }
    for span in spans(value).unwrap_or_default() {
        let Some(text) = span.get("text").text() else { continue };
        let speaker = span.get("speaker").name().map(|name| call.speaker(&name, None));
        let times = span.get("timestamp").list();
        call.say(speaker, text, times.first().and_then(seconds), times.get(1).and_then(seconds));
    }
    for line in cpp(value).unwrap_or_default() {
        let Some(text) = line.get("text").text() else { continue };
        let time =
            |key: &str| millis(line.get("offsets").get(key)).or_else(|| written(line.get("timestamps").get(key)));
        // Its tinydiarize mode marks where the voice changes, but not whose it is.
        let speaker = line.get("speaker").name().map(|name| call.speaker(&name, None));
        call.say(speaker, text, time("from"), time("to"));
    }
    if call.pieces.is_empty() {
        let text = value.at(&["transcript", "text"]).text().or_else(|| value.get("text").text());
        call.say(None, text.unwrap_or_default(), None, None);
    }
    Ok(vec![call])
}

/// The segment's speaker, else that of its words; with the name that the file's own list has for it.
fn speaker(call: &mut Call, segment: &Json, named: &Json) -> Option<usize> {
    let own = segment.get("speaker");
    let words = segment.get("words").list();
    let number = own
        .name()
        .or_else(|| own.any(&["id", "label", "name"]).name())
        .or_else(|| words.iter().find_map(|word| word.get("speaker").name()))?;
    let label = named.get(&number).any(&["label", "name"]).name();
    let speaker = call.speaker(label.as_deref().unwrap_or(&number), None);
    call.also(speaker, number);
    Some(speaker)
}
