//! Rev.ai: `monologues[]` of `elements[]`; blanks and marks are elements, so their values are put together as they are.

use super::call::{Call, Fault};
use super::json::Json;
use super::times::seconds;

pub(super) fn looks(value: &Json) -> bool {
    value.get("monologues").is_list()
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let mut call = Call { id: value.any(&["job_id", "id"]).name(), ..Call::default() };
    for monologue in value.get("monologues").list() {
        let elements = monologue.get("elements").list();
        let text: String = elements.iter().filter_map(|element| element.get("value").text()).collect();
        let number = monologue.get("speaker").name();
        let shown = monologue.at(&["speaker_info", "display_name"]).name();
        let speaker = shown.or_else(|| number.as_ref().map(|number| format!("Speaker {number}"))).map(|name| {
            let speaker = call.speaker(&name, None);
            call.also(speaker, number.clone().unwrap_or_default());
            speaker
        });
        let start = elements.iter().find_map(|element| seconds(element.get("ts")));
        let end = elements.iter().rev().find_map(|element| seconds(element.get("end_ts")));
        call.say(speaker, &text, start, end);
    }
    Ok(vec![call])
}
