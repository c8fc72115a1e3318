//! Amazon Transcribe Post-Call Analytics: `SpeechSegments[]` in seconds; who a speaker is says
//! `ConversationAnalytics.SpeakerLabels[]`.

use super::call::{Call, Fault};
use super::json::Json;
use super::roles::party_of_label;
use super::times::seconds;

pub(super) fn looks(value: &Json) -> bool {
    value.get("SpeechSegments").list().iter().any(|segment| segment.has("SegmentSpeaker"))
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let about = value.get("ConversationAnalytics");
    let named = |key: &str| about.get(key).name().filter(|name| name != "None");
    let mut call = Call { id: named("GUID"), ..Call::default() };
    for segment in value.get("SpeechSegments").list() {
        let Some(text) = segment.any(&["DisplayText", "OriginalText"]).text() else { continue };
        let speaker = segment.get("SegmentSpeaker").name().map(|voice| {
            let labels = about.get("SpeakerLabels").list();
            let label = labels.iter().find(|label| label.get("Speaker").text() == Some(&voice));
            let shown = label.and_then(|label| label.get("DisplayText").name());
            let speaker = call.speaker(&voice, shown.as_deref().and_then(party_of_label));
            call.also(speaker, shown.unwrap_or_default());
            speaker
        });
        call.say(speaker, text, seconds(segment.get("SegmentStartTime")), seconds(segment.get("SegmentEndTime")));
    }
    Ok(vec![call])
}
