//! Amazon Transcribe batch answers (`results.audio_segments[]`, else `results.items[]`, seconds as strings), logs of
//! its streaming (`Transcript.Results[]`, seconds; `UtteranceEvent`, ms), and Bedrock Data Automation
//! (`audio_segments[]`, ms).

use std::collections::{BTreeMap, BTreeSet};

use super::call::{Call, Fault};
use super::json::Json;
use super::roles::party;
use super::times::{millis, seconds};
use super::words::{self, Word};

pub(super) fn looks(value: &Json) -> bool {
    let results = value.get("results");
    results.is_object() && (results.get("items").is_list() || results.get("audio_segments").is_list())
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let results = value.get("results");
    let mut call = Call { id: value.get("jobName").name(), ..Call::default() };
    let segments = results.get("audio_segments").list();
    let by_channel = is_by_channel(segments.iter().map(|segment| segment.get("channel_label")));
    for segment in segments {
        let Some(text) = segment.get("transcript").text() else { continue };
        let label = label(segment, by_channel);
        let speaker = label.map(|label| call.speaker(label, None));
        call.say(speaker, text, seconds(segment.get("start_time")), seconds(segment.get("end_time")));
    }
    if segments.is_empty() {
        items(&mut call, results);
    }
    Ok(vec![call])
}

/// Voices on channels of their own are told apart by them; speaker numbers may start again on each.
fn is_by_channel<'a>(labels: impl Iterator<Item = &'a Json>) -> bool {
    labels.filter_map(Json::text).collect::<BTreeSet<_>>().len() > 1
}

fn label(value: &Json, by_channel: bool) -> Option<&str> {
    let order = if by_channel { ["channel_label", "speaker_label"] } else { ["speaker_label", "channel_label"] };
    value.any(&order).text()
}

fn items(call: &mut Call, results: &Json) {
    let channels = results.at(&["channel_labels", "channels"]).list();
    if channels.is_empty() {
        let by_time = by_start(results.at(&["speaker_labels", "segments"]));
        let items = results.get("items").list();
        let by_channel = is_by_channel(items.iter().map(|item| item.get("channel_label")));
        spoken(call, items, |item| {
            let own = label(item, by_channel);
            own.or_else(|| by_time.get(item.get("start_time").text()?).copied())
        });
    }
    for channel in channels {
        spoken(call, channel.get("items").list(), |_| channel.get("channel_label").text());
    }
}

/// Which speaker's word begins when, by the time as it is written.
fn by_start(segments: &Json) -> BTreeMap<&str, &str> {
    let items = segments.list().iter().flat_map(|segment| segment.get("items").list());
    items.filter_map(|item| Some((item.get("start_time").text()?, item.get("speaker_label").text()?))).collect()
}

fn spoken<'a>(call: &mut Call, items: &'a [Json], label: impl Fn(&'a Json) -> Option<&'a str>) {
    let mut said = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = item.get("alternatives").first().get("content").text() else { continue };
        let glued = item.get("type").text() == Some("punctuation");
        let speaker = label(item).map(|label| call.speaker(label, None));
        let (start, end) = (seconds(item.get("start_time")), seconds(item.get("end_time")));
        said.push(Word { text, start, end, speaker, glued });
    }
    words::say(call, said);
}

/// What an event of a stream holds, whichever of its envelopes stand around it.
fn event(value: &Json) -> &Json {
    let envelopes = ["TranscriptResultStream", "CallAnalyticsTranscriptResultStream", "TranscriptEvent"];
    envelopes.iter().fold(value, |value, envelope| if value.has(envelope) { value.get(envelope) } else { value })
}

pub(super) fn looks_live(value: &Json) -> bool {
    let event = event(value);
    event.at(&["Transcript", "Results"]).is_list() || event.has("UtteranceEvent") || event.has("CategoryEvent")
}

pub(super) fn is_heard(value: &Json) -> bool {
    !heard(value).is_empty()
}

/// The results and utterances of an event that are no guess any more.
fn heard(value: &Json) -> Vec<&Json> {
    let event = event(value);
    let utterance = Some(event.get("UtteranceEvent")).filter(|utterance| utterance.is_object());
    let results = event.at(&["Transcript", "Results"]).list().iter().chain(utterance);
    results.filter(|result| result.get("IsPartial").flag() != Some(true)).collect()
}

pub(super) fn read_live(events: &[Json]) -> Result<Vec<Call>, Fault> {
    let mut call = Call::default();
    for result in events.iter().flat_map(heard) {
        let best = result.get("Alternatives").first().get("Transcript");
        let Some(text) = best.text().or_else(|| result.get("Transcript").text()) else { continue };
        let role = result.get("ParticipantRole").text();
        let name = role.or_else(|| result.get("ChannelId").text());
        let speaker = name.map(|name| call.speaker(name, role.and_then(party)));
        let time = |seconds_key: &str, millis_key: &str| {
            seconds(result.get(seconds_key)).or_else(|| millis(result.get(millis_key)))
        };
        call.say(speaker, text, time("StartTime", "BeginOffsetMillis"), time("EndTime", "EndOffsetMillis"));
    }
    if call.pieces.is_empty() {
        return Err(Fault::new("IsPartial", "is true in all of its results, so nothing is sure to have been said"));
    }
    Ok(vec![call])
}

pub(super) fn looks_bedrock(value: &Json) -> bool {
    value.get("audio_segments").list().iter().any(|segment| segment.has("text"))
}

pub(super) fn read_bedrock(value: &Json) -> Result<Vec<Call>, Fault> {
    let mut call = Call::default();
    for segment in value.get("audio_segments").list() {
        let Some(text) = segment.get("text").text() else { continue };
        let (voice, channel) =
            (segment.at(&["speaker", "speaker_label"]).text(), segment.at(&["channel", "channel_label"]).text());
        let speaker = voice.or(channel).map(|label| call.speaker(label, None));
        if let (Some(speaker), Some(channel)) = (speaker, channel) {
            call.also(speaker, channel);
        }
        let time = |key: &str| millis(segment.get(key));
        call.say(speaker, text, time("start_timestamp_millis"), time("end_timestamp_millis"));
    }
    Ok(vec![call])
}
