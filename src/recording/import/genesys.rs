//! Genesys Cloud: `transcripts[].phrases[]` with `participantPurpose`, in ms.

use super::call::{Call, Fault};
use super::json::Json;
use super::roles::party;
use super::times::millis;

pub(super) fn looks(value: &Json) -> bool {
    value.get("transcripts").list().iter().any(|transcript| transcript.get("phrases").is_list())
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let began = millis(value.get("conversationStartTime"));
    let mut call = Call { id: value.get("conversationId").name(), began, ..Call::default() };
    for phrase in value.get("transcripts").list().iter().flat_map(|transcript| transcript.get("phrases").list()) {
        let Some(text) = phrase.any(&["decoratedText", "text"]).text() else { continue };
        let purpose = phrase.get("participantPurpose").text();
        let speaker = purpose.map(|purpose| call.speaker(purpose, party(purpose)));
        // Moments in some files and offsets in others: only differences matter.
        let start = millis(phrase.get("startTimeMs"));
        let long = millis(phrase.get("duration").any(&["totalMilliseconds", "milliseconds"]));
        call.say(speaker, text, start, start.zip(long).map(|(start, long)| start + long));
    }
    Ok(vec![call])
}
