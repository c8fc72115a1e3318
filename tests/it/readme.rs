//! What the README shows is what the program says and reads.

use sentiment_sidecar::call::report::Report;
use sentiment_sidecar::room::message::{RoomMessage, SidecarMessage};

const README: &str = include_str!("../../README.md");

/// The lines of the fenced block whose text begins with `start`.
fn block(start: &str) -> Vec<&'static str> {
    let at = README.find(start).unwrap_or_else(|| panic!("the README has no block that begins with {start}"));
    README[at..].split("```").next().unwrap().lines().collect()
}

#[test]
fn the_events_in_the_readme_are_reports() {
    let lines = block(r#"{"type":"attached""#);
    assert!(lines.len() > 5, "{lines:?}");
    for line in lines {
        let report: Report = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let said: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_value(&report).unwrap(), said, "a field is missing or unknown");
    }
}

#[test]
fn the_frames_in_the_readme_are_messages() {
    // A long frame goes on in the next line.
    let text = block("sidecar → room   {").join("\n").replace("\n                 ", "");
    let (mut sent, mut heard) = (0, 0);
    for line in text.lines() {
        if let Some(frame) = line.strip_prefix("sidecar → room   ") {
            let message: SidecarMessage = serde_json::from_str(frame).unwrap_or_else(|e| panic!("{e}: {frame}"));
            let said: serde_json::Value = serde_json::from_str(frame).unwrap();
            assert_eq!(serde_json::to_value(&message).unwrap(), said, "a field is missing or unknown");
            sent += 1;
        } else {
            let frame = line.strip_prefix("room → sidecar   ").unwrap_or_else(|| panic!("who says this? {line}"));
            assert!(RoomMessage::parse(frame).unwrap_or_else(|e| panic!("{e}: {frame}")).is_some(), "{frame}");
            heard += 1;
        }
    }
    assert!(sent >= 4 && heard >= 4, "{sent} sent, {heard} heard");
}
