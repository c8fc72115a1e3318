//! Speechmatics: finished jobs (json-v2) and logs of its real-time API. Seconds; words and marks stand one by one.
//!
//! Channels are parties where there are several, by the labels that the job gave them; else the voices `S1`, `S2` are.
//! `UU` is a voice that it could not tell.

use std::collections::BTreeSet;

use super::call::{Call, Fault};
use super::json::Json;
use super::times::seconds;
use super::words::{self, Word};

pub(super) fn looks(value: &Json) -> bool {
    let results = value.get("results");
    results.list().iter().take(8).any(is_result) && (value.has("job") || value.has("format") || value.has("metadata"))
}

/// A word or a mark, with what was understood of it.
fn is_result(value: &Json) -> bool {
    value.get("type").text().is_some() && value.has("start_time") && value.get("alternatives").is_list()
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let id = value.at(&["job", "id"]).name();
    let mut call = Call { id, ..Call::default() };
    said(&mut call, value.get("results").list().iter());
    Ok(vec![call])
}

/// What its real-time API says, either way.
const LIVE: [&str; 7] = [
    "RecognitionStarted",
    "AddTranscript",
    "AddPartialTranscript",
    "AudioAdded",
    "EndOfUtterance",
    "EndOfTranscript",
    "SpeakersResult",
];

pub(super) fn looks_live(value: &Json) -> bool {
    let known = value.get("message").text().is_some_and(|message| LIVE.contains(&message));
    known && ["results", "id", "seq_no", "metadata", "speakers"].iter().any(|key| value.has(key))
}

pub(super) fn is_final(value: &Json) -> bool {
    value.get("message").text() == Some("AddTranscript")
}

pub(super) fn read_live(messages: &[Json]) -> Result<Vec<Call>, Fault> {
    if messages.is_empty() {
        return Err(Fault::new(
            "message",
            "is \"AddTranscript\" in none of them, so nothing is sure to have been said",
        ));
    }
    let mut call = Call::default();
    said(&mut call, messages.iter().flat_map(|message| message.get("results").list()));
    Ok(vec![call])
}

fn said<'a>(call: &mut Call, results: impl Iterator<Item = &'a Json> + Clone) {
    let channels: BTreeSet<&str> = results.clone().filter_map(|result| result.get("channel").text()).collect();
    if channels.len() < 2 {
        return say(call, results, voice);
    }
    // People talk at the same time, and the words of one channel stand between those of another.
    for channel in channels {
        say(call, results.clone().filter(|result| result.get("channel").text() == Some(channel)), |_| Some(channel));
    }
}

fn say<'a>(call: &mut Call, results: impl Iterator<Item = &'a Json>, who: impl Fn(&'a Json) -> Option<&'a str>) {
    let mut said = Vec::new();
    // Whether the mark before holds to what follows it, as an opening quote does.
    let mut held = false;
    for result in results {
        let Some(text) = result.get("alternatives").first().get("content").text() else { continue };
        let attaches = result.get("attaches_to").text().unwrap_or_default();
        let glued = held || matches!(attaches, "previous" | "both");
        held = matches!(attaches, "next" | "both");
        let speaker = who(result).map(|name| call.speaker(name, None));
        let (start, end) = (seconds(result.get("start_time")), seconds(result.get("end_time")));
        said.push(Word { text, start, end, speaker, glued });
    }
    words::say(call, said);
}

fn voice(result: &Json) -> Option<&str> {
    result.get("alternatives").first().get("speaker").text().filter(|voice| *voice != "UU")
}
