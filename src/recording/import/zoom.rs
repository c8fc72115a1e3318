//! Zoom Phone: `timeline[]` with `ts` as a clock.

use super::call::{Call, Fault};
use super::json::Json;
use super::times::written;

pub(super) fn looks(value: &Json) -> bool {
    value.get("timeline").list().iter().any(|item| item.has("text") && item.has("ts"))
}

pub(super) fn read(value: &Json) -> Result<Vec<Call>, Fault> {
    let mut call = Call { id: value.any(&["call_id", "recording_id", "meeting_id"]).name(), ..Call::default() };
    for item in value.get("timeline").list() {
        let Some(text) = item.get("text").text() else { continue };
        let user = item.get("users").first();
        let name = item.any(&["username", "user_name"]).name().or_else(|| user.any(&["username", "user_id"]).name());
        let speaker = name.map(|name| call.speaker(&name, None));
        call.say(speaker, text, written(item.get("ts")), written(item.get("end_ts")));
    }
    Ok(vec![call])
}
