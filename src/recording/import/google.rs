//! Google: conversation uploads for CCAI (`entries[]`, µs), Insights conversations (`transcript.transcriptSegments[]`)
//! and Speech-to-Text answers (`results[]`, v1 and v2, channels from 1).

use super::call::{Call, Fault, Party};
use super::json::Json;
use super::roles::party;
use super::times::{micros, seconds, written};
use super::words::{self, Word};

pub(super) fn looks_entries(value: &Json) -> bool {
    value.get("entries").list().iter().any(|entry| entry.has("text") && (entry.has("role") || entry.has("user_id")))
}

pub(super) fn read_entries(value: &Json) -> Result<Vec<Call>, Fault> {
    let mut call = Call { id: value.any(&["conversation_id", "id"]).name(), ..Call::default() };
    for entry in value.get("entries").list() {
        let Some(text) = entry.get("text").text() else { continue };
        let role = entry.get("role").text();
        let name = entry.any(&["user_id", "userId"]).name().or_else(|| role.map(str::to_owned));
        let speaker = name.map(|name| call.speaker(&name, role.and_then(party)));
        let start = micros(entry.any(&["start_timestamp_usec", "startTimestampUsec"]));
        call.say(speaker, text, start, micros(entry.any(&["end_timestamp_usec", "endTimestampUsec"])));
    }
    Ok(vec![call])
}

fn insights_segments(value: &Json) -> &Json {
    let transcript = value.get("transcript");
    transcript.any(&["transcriptSegments", "transcript_segments"])
}

pub(super) fn looks_insights(value: &Json) -> bool {
    insights_segments(value).is_list()
}

pub(super) fn read_insights(value: &Json) -> Result<Vec<Call>, Fault> {
    let id = value.get("name").text().and_then(|name| name.rsplit('/').next());
    let began = written(value.any(&["startTime", "start_time"]));
    let mut call = Call { id: id.map(str::to_owned), began, ..Call::default() };
    let metadata = value.any(&["callMetadata", "call_metadata"]);
    let channel_is =
        |channel: &Json, names: &[&str]| channel.number().is_some() && metadata.any(names).number() == channel.number();
    let segments = insights_segments(value).list();
    let moments = segments.iter().all(|segment| written(segment.any(&["messageTime", "message_time"])).is_some());
    for segment in segments {
        let Some(text) = segment.get("text").text() else { continue };
        let participant = segment.any(&["segmentParticipant", "segment_participant"]);
        let channel = segment.any(&["channelTag", "channel_tag"]);
        let known = participant.get("role").text().and_then(party).or_else(|| {
            let customer = channel_is(channel, &["customerChannel", "customer_channel"]);
            let agent = channel_is(channel, &["agentChannel", "agent_channel"]);
            customer.then_some(Party::Caller).or(agent.then_some(Party::Agent))
        });
        let name = participant.any(&["userId", "user_id", "dialogflowParticipant", "role"]).name();
        let speaker = name.or_else(|| channel.name()).map(|name| call.speaker(&name, known));
        if let (Some(speaker), Some(channel)) = (speaker, channel.name()) {
            call.also(speaker, format!("channel {channel}"));
        }
        let words = segment.get("words").list();
        let offset = |word: Option<&Json>, names: &[&str]| word.and_then(|word| seconds(word.any(names)));
        let begin = offset(words.first(), &["startOffset", "start_offset"]);
        let end = offset(words.last(), &["endOffset", "end_offset"]);
        let moment = written(segment.any(&["messageTime", "message_time"]));
        let (start, end) = if moments {
            (moment, moment.zip(begin).zip(end).map(|((at, b), e)| at + (e - b).max(0)))
        } else {
            (begin, end)
        };
        call.say(speaker, text, start, end);
    }
    Ok(vec![call])
}

fn speech_results(value: &Json) -> &[Json] {
    let response = value.get("response");
    if response.is_object() { response.get("results").list() } else { value.get("results").list() }
}

pub(super) fn looks_speech(value: &Json) -> bool {
    speech_results(value).iter().any(|result| result.get("alternatives").is_list())
}

pub(super) fn read_speech(value: &Json) -> Result<Vec<Call>, Fault> {
    let mut call = Call::default();
    let results = speech_results(value);
    let heard = |result: &Json| result.get("alternatives").first().get("words").list().len();
    let tagged = |result: &Json| {
        let words = result.get("alternatives").first().get("words").list();
        words.iter().any(|word| word.any(&["speakerTag", "speaker_tag"]).number().is_some_and(|tag| tag > 0.0))
    };
    // The first version tells voices apart in its last result only, and says all words again there.
    let (last, before) = match results.split_last() {
        Some((last, before)) => (last, before),
        None => return Ok(vec![call]),
    };
    let again = tagged(last) && !before.iter().any(tagged) && heard(last) >= before.iter().map(heard).sum();
    let results = if again { std::slice::from_ref(last) } else { results };
    for result in results {
        say_result(&mut call, result);
    }
    Ok(vec![call])
}

fn say_result(call: &mut Call, result: &Json) {
    let best = result.get("alternatives").first();
    let text = best.get("transcript").text().unwrap_or_default();
    let channel = result.any(&["channelTag", "channel_tag"]).name().filter(|channel| channel != "0");
    let heard = best.get("words").list();
    let begin = |word: &Json| seconds(word.any(&["startTime", "startOffset", "start_time", "start_offset"]));
    let end = |word: &Json| seconds(word.any(&["endTime", "endOffset", "end_time", "end_offset"]));
    let voice = |word: &Json| word.any(&["speakerLabel", "speaker_label", "speakerTag", "speaker_tag"]).name();
    let mut speaker = |voice: Option<String>| match &channel {
        Some(channel) => Some(call.speaker(&format!("channel {channel}"), None)),
        None => voice.map(|voice| call.speaker(&format!("speaker {voice}"), None)),
    };
    if heard.len() >= words::count(text) && heard.iter().any(|word| voice(word).is_some()) {
        let said: Vec<Word<'_>> = heard
            .iter()
            .filter_map(|word| {
                let text = word.get("word").text()?;
                Some(Word { text, start: begin(word), end: end(word), speaker: speaker(voice(word)), glued: false })
            })
            .collect();
        words::say(call, said);
    } else {
        let who = speaker(heard.first().and_then(voice));
        let result_end =
            seconds(result.any(&["resultEndTime", "resultEndOffset", "result_end_time", "result_end_offset"]));
        call.say(who, text, heard.first().and_then(begin).or(result_end), result_end);
    }
}
