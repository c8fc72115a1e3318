//! AssemblyAI: `utterances[]` in ms, speakers `A`, `B` or channels `1`, `2`; without them the words. Logs of its streaming
//! API have a message for each turn.

use super::call::{Call, Fault};
use super::json::Json;
use super::times::millis;
use super::words::{self, Word};

pub(super) fn looks(value: &Json) -> bool {
    let utterances = value.get("utterances");
    let own = [
        "audio_duration",
        "speaker_labels",
        "multichannel",
        "audio_channels",
        "acoustic_model",
        "redact_pii",
        "audio_url",
        "speech_model",
    ];
    let named = utterances.list().iter().any(|one| one.has("text") && (one.has("speaker") || one.has("channel")));
    named || (own.iter().any(|key| value.has(key)) && (utterances.is_list() || value.get("words").is_list()))
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    if value.get("status").text() == Some("error") {
        return Err(Fault::new("status", "is \"error\": the transcription failed, and nothing was heard"));
    }
    let mut call = Call { id: value.get("id").name(), ..Call::default() };
    let utterances = value.get("utterances").list();
    for utterance in utterances {
        let Some(text) = utterance.get("text").text() else { continue };
        let speaker = speaker(&mut call, utterance);
        call.say(speaker, text, millis(utterance.get("start")), millis(utterance.get("end")));
    }
    let heard = value.get("words").list();
    if utterances.is_empty() && heard.is_empty() {
        call.say(None, value.get("text").text().unwrap_or_default(), None, None);
    } else if utterances.is_empty() {
        let mut said = Vec::with_capacity(heard.len());
        for word in heard {
            let Some(text) = word.get("text").text() else { continue };
            let speaker = speaker(&mut call, word);
            said.push(Word {
                text,
                start: millis(word.get("start")),
                end: millis(word.get("end")),
                speaker,
                glued: false,
            });
        }
        words::say(&mut call, said);
    }
    Ok(vec![call])
}

/// What its streaming API says.
const LIVE: [&str; 3] = ["Begin", "Turn", "Termination"];

pub(super) fn looks_live(value: &Json) -> bool {
    let known = value.get("type").text().is_some_and(|kind| LIVE.contains(&kind));
    known && ["turn_order", "expires_at", "audio_duration_seconds"].iter().any(|key| value.has(key))
}

pub(super) fn is_end_of_turn(value: &Json) -> bool {
    value.get("end_of_turn").flag() == Some(true)
}

/// Turns of a log. A turn that is formatted comes a second time, and counts as it came last.
pub(super) fn read_live(turns: &[Json]) -> Result<Vec<Call>, Fault> {
    if turns.is_empty() {
        return Err(Fault::new("end_of_turn", "is true in none of its messages, so no turn is sure to be whole"));
    }
    let mut call = Call::default();
    for (at, turn) in turns.iter().enumerate() {
        let order = turn.get("turn_order").number();
        if turns.get(at + 1).is_some_and(|next| order.is_some() && next.get("turn_order").number() == order) {
            continue;
        }
        let Some(text) = turn.get("transcript").text() else { continue };
        let heard = turn.get("words").list();
        let speaker = turn.get("speaker_label").name().map(|name| call.speaker(&name, None));
        let start = heard.first().and_then(|word| millis(word.get("start")));
        let end = heard.last().and_then(|word| millis(word.get("end")));
        call.say(speaker, text, start, end);
    }
    Ok(vec![call])
}

fn speaker(call: &mut Call, value: &Json) -> Option<usize> {
    let channel = value.get("channel").name();
    let speaker = value.get("speaker").name().or_else(|| channel.clone()).map(|name| call.speaker(&name, None))?;
    call.also(speaker, channel.map(|channel| format!("channel {channel}")).unwrap_or_default());
    Some(speaker)
}
