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

#[test]
fn every_transfer_that_the_readme_shows_has_its_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let files = std::fs::read_dir(folder.join("sip")).unwrap().map(|entry| entry.unwrap().path());
    let code: String = files
        .chain([folder.join("sip.rs"), folder.join("transfer.rs")])
        .map(|f| std::fs::read_to_string(f).unwrap())
        .collect();
    let table = README.split("**Shown to work**").nth(1).unwrap().split("\n**").next().unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() > 10, "{table}");
    for row in rows {
        let name = row.split('`').rev().nth(1).unwrap();
        assert!(code.contains(&format!("#[tokio::test]\nasync fn {name}()")), "no test {name}");
    }
}
