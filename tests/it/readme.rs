//! What the manual shows is what the program says and reads, and the README is short enough to be read.

use sentiment_sidecar::call::report::Report;
use sentiment_sidecar::manual;
use sentiment_sidecar::room::message::{RoomMessage, SidecarMessage};

const README: &str = include_str!("../../README.md");

/// The lines of the fenced block of a page whose text begins with `start`.
fn block(topic: &str, start: &str) -> Vec<&'static str> {
    let page = manual::page(topic).unwrap().text;
    let at = page.find(start).unwrap_or_else(|| panic!("{topic} has no block that begins with {start}"));
    page[at..].split("```").next().unwrap().lines().collect()
}

#[test]
fn the_readme_has_at_most_200_lines_and_its_links_lead_somewhere() {
    assert!(README.lines().count() <= 200);
    let links: Vec<&str> = README.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()).collect();
    for link in &links {
        assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link}");
    }
    for page in manual::PAGES {
        let file = std::path::Path::new("src/manual").join(page.file).display().to_string().replace("manual/../", "");
        assert!(links.contains(&file.as_str()), "the README does not lead to {file}");
    }
}

#[test]
fn the_events_in_the_readme_are_reports() {
    let lines = block("attach", r#"{"type":"attached""#);
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
    let text = block("rooms", "sidecar → room   {").join("\n").replace("\n                 ", "");
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
    let table = manual::page("transfer").unwrap().text.split("## Shown to work").nth(1).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() > 10, "{table}");
    for row in rows {
        let name = row.split('`').rev().nth(1).unwrap();
        assert!(code.contains(&format!("#[tokio::test]\nasync fn {name}()")), "no test {name}");
    }
}
