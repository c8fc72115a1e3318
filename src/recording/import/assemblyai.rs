//! AssemblyAI: `utterances[]` in ms, speakers `A`, `B` or channels `1`, `2`; without them the words.

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

fn speaker(call: &mut Call, value: &Json) -> Option<usize> {
    let channel = value.get("channel").name();
    let speaker = value.get("speaker").name().or_else(|| channel.clone()).map(|name| call.speaker(&name, None))?;
    call.also(speaker, channel.map(|channel| format!("channel {channel}")).unwrap_or_default());
    Some(speaker)
}
