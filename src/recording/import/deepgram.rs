//! Deepgram: recorded answers, logs of the live API, and logs of Flux.
//!
//! Seconds. `results.utterances[]` if they were asked for, else the words of `results.channels[]`, else its paragraphs. With
//! several channels each is a party, as speaker numbers start again on each; with one, the words' speakers are.

use super::call::{Call, Fault};
use super::json::Json;
use super::times::seconds;
use super::words::{self, Word};

pub(super) fn looks(value: &Json) -> bool {
    value.at(&["results", "channels"]).is_list() || value.at(&["results", "utterances"]).is_list()
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let results = value.get("results");
    let channels = results.get("channels").list();
    let utterances = results.get("utterances").list();
    let many = channels.len() > 1 || utterances.iter().any(|one| one.get("channel").number().is_some_and(|n| n > 0.0));
    let mut call = Call::default();
    for utterance in utterances {
        let Some(text) = utterance.get("transcript").text() else { continue };
        // A second voice may be heard in it.
        let heard = utterance.get("words").list();
        let of_two = heard.windows(2).any(|pair| pair[0].get("speaker") != pair[1].get("speaker"));
        if !many && of_two && heard.len() >= words::count(text) {
            say_words(&mut call, heard, None);
            continue;
        }
        let channel = utterance.get("channel").name().unwrap_or_else(|| "0".to_owned());
        let speaker = speaker(&mut call, many.then_some(&channel), utterance.get("speaker"));
        call.say(speaker, text, seconds(utterance.get("start")), seconds(utterance.get("end")));
    }
    if utterances.is_empty() {
        for (at, channel) in channels.iter().enumerate() {
            let channel_name = many.then(|| at.to_string());
            alternative(&mut call, channel.get("alternatives").first(), channel_name.as_ref(), None);
        }
    }
    Ok(vec![call])
}

fn speaker(call: &mut Call, channel: Option<&String>, number: &Json) -> Option<usize> {
    match channel {
        Some(channel) => Some(call.speaker(&format!("channel {channel}"), None)),
        None => number.name().map(|number| call.speaker(&format!("speaker {number}"), None)),
    }
}

/// What was most likely said: word by word where all words are there, else by the sentence, else as a whole.
fn alternative(call: &mut Call, alternative: &Json, channel: Option<&String>, times: Option<(i64, i64)>) {
    let text = alternative.get("transcript").text().unwrap_or_default();
    let heard = alternative.get("words").list();
    if heard.len() >= words::count(text) && !heard.is_empty() {
        say_words(call, heard, channel);
    } else if let [_, ..] = alternative.at(&["paragraphs", "paragraphs"]).list() {
        paragraphs(call, alternative.at(&["paragraphs", "paragraphs"]).list(), channel);
    } else if !text.trim().is_empty() {
        let speaker = speaker(call, channel, heard.first().unwrap_or(&Json::Null).get("speaker"));
        let first = heard.first().and_then(|word| seconds(word.get("start")));
        let (start, end) = times.map_or((first, None), |(start, end)| (Some(start), Some(end)));
        call.say(speaker, text, start, end);
    }
}

fn say_words(call: &mut Call, heard: &[Json], channel: Option<&String>) {
    let mut said = Vec::with_capacity(heard.len());
    for word in heard {
        let Some(text) = word.any(&["punctuated_word", "word"]).text() else { continue };
        let speaker = speaker(call, channel, word.get("speaker"));
        let (start, end) = (seconds(word.get("start")), seconds(word.get("end")));
        said.push(Word { text, start, end, speaker, glued: false });
    }
    words::say(call, said);
}

/// Sentences by the paragraphs that they stand in, each of one voice.
fn paragraphs(call: &mut Call, paragraphs: &[Json], channel: Option<&String>) {
    for paragraph in paragraphs {
        let speaker = speaker(call, channel, paragraph.get("speaker"));
        for sentence in paragraph.get("sentences").list() {
            let Some(text) = sentence.get("text").text() else { continue };
            call.say(speaker, text, seconds(sentence.get("start")), seconds(sentence.get("end")));
        }
    }
}

const LIVE: [&str; 4] = ["Results", "UtteranceEnd", "SpeechStarted", "Metadata"];

pub(super) fn looks_live(value: &Json) -> bool {
    let kind = value.get("type").text().unwrap_or_default();
    LIVE.contains(&kind) && (value.has("channel") || value.has("channel_index") || value.has("request_id"))
}

pub(super) fn is_final(value: &Json) -> bool {
    value.get("type").text() == Some("Results") && value.get("is_final").flag() == Some(true)
}

pub(super) fn read_live(results: &[Json]) -> Result<Vec<Call>, Fault> {
    if results.is_empty() {
        return Err(Fault::new("is_final", "is true in none of its results, so nothing is sure to have been said"));
    }
    let of = |result: &Json| result.get("channel_index").list().get(1).and_then(Json::number).unwrap_or(1.0);
    let many = results.iter().any(|result| of(result) > 1.0);
    let mut call = Call::default();
    for result in results {
        let channel = result.get("channel_index").first().name().unwrap_or_else(|| "0".to_owned());
        let start = seconds(result.get("start"));
        let times = start.zip(seconds(result.get("duration"))).map(|(start, long)| (start, start + long));
        let best = result.at(&["channel", "alternatives"]).first();
        alternative(&mut call, best, many.then_some(&channel), times);
    }
    Ok(vec![call])
}

pub(super) fn looks_flux(value: &Json) -> bool {
    match value.get("type").text() {
        Some("TurnInfo") => true,
        Some("Connected") => value.has("request_id"),
        _ => false,
    }
}

pub(super) fn is_end_of_turn(value: &Json) -> bool {
    value.get("event").text() == Some("EndOfTurn")
}

pub(super) fn read_flux(turns: &[Json]) -> Result<Vec<Call>, Fault> {
    if turns.is_empty() {
        return Err(Fault::new("event", "is \"EndOfTurn\" in none of its messages, so no turn is sure to be whole"));
    }
    let mut call = Call::default();
    for turn in turns {
        let Some(text) = turn.get("transcript").text() else { continue };
        let heard = turn.get("words").list();
        let first = heard.first().and_then(|word| seconds(word.get("start")));
        let last = heard.last().and_then(|word| seconds(word.get("end")));
        let start = first.or_else(|| seconds(turn.get("audio_window_start")));
        let channel = turn.get("channel_index").first().name().or_else(|| turn.get("channel").name());
        let speaker = speaker(&mut call, channel.as_ref(), turn.get("speaker"));
        call.say(speaker, text, start, last.or_else(|| seconds(turn.get("audio_window_end"))));
    }
    Ok(vec![call])
}
