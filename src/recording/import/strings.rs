//! Lists of plain strings, each of which somebody says: `["Agent: Hello.", "Caller: Hi."]`.

use super::call::{Call, Fault};
use super::json::Json;
use super::plain;

pub(super) fn looks(value: &Json) -> bool {
    match value {
        // An element of the file's own list, whose others are yet to come.
        Json::Text(_) => true,
        // Any object may have a list of words; only what is labelled is a call.
        Json::List(strings) => strings.iter().all(|one| one.text().is_some()) && plain::looks(&lines(strings)),
        _ => false,
    }
}

pub(super) fn is_kept(_: &Json) -> bool {
    true
}

pub(super) fn read(strings: &[Json]) -> Result<Vec<Call>, Fault> {
    let strings = match strings {
        [Json::List(strings)] => strings,
        strings => strings,
    };
    if let Some(at) = strings.iter().position(|one| one.text().is_none()) {
        let problem =
            format!("is {}, where those before it are strings; make all of them strings", strings[at].shape());
        return Err(Fault::new(format!("[{at}]"), problem));
    }
    plain::read(&lines(strings))
}

/// A line for each string, and a blank one after it, so that strings without speakers are turns as well.
fn lines(strings: &[Json]) -> String {
    let mut text = String::new();
    for line in strings.iter().filter_map(Json::text).flat_map(|one| one.lines().chain([""])) {
        text.push_str(line);
        text.push('\n');
    }
    text
}
