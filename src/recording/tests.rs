//! What is read, what is refused, and with which words.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use proptest::prelude::*;

use super::problem::RecordingError;
use super::*;
use crate::sentiment::Label;

const HEADER: &str = r#"{"type":"recording","version":1,"room_name":"r"}"#;

fn read(text: impl AsRef<[u8]>) -> Result<Recording, RecordingError> {
    Recording::read(text.as_ref(), "call.jsonl", CutLine::Refuse)
}

fn refused(lines: &[&str]) -> String {
    read(lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap_err().to_string()
}

#[test]
fn every_mistake_is_told_with_its_line_and_what_would_be_right() {
    let transcript = r#"{"at_ms":7,"type":"transcript","segment_id":"s1","participant_id":"c","text":"hi"}"#;
    let told = [
        refused(&[]),
        refused(&["", r#"{"type":"transcript"}"#]),
        refused(&[r#"{"version":1}"#]),
        refused(&[r#"{"type":"recording","version":2,"room_name":"r"}"#]),
        refused(&[r#"{"type":"recording","room_name":"r"}"#]),
        refused(&[r#"{"type":"recording","version":1}"#]),
        refused(&[r#"{"type":"recording","version":1,"room_name":""}"#]),
        refused(&[r#"{"type":"recording","version":1,"room_name":"r","agent":3}"#]),
        refused(&[HEADER, HEADER]),
        refused(&[HEADER, "[]"]),
        refused(&[HEADER, r#"{"at_ms":0}"#]),
        refused(&[HEADER, transcript, r#"{"at_ms":0,"type":"agent.state" "state":"speaking"}"#]),
        refused(&[HEADER, r#"{"type":"agent.state","state":"speaking"}"#]),
        refused(&[HEADER, r#"{"at_ms":1.5,"type":"agent.state","state":"speaking"}"#]),
        refused(&[HEADER, r#"{"at_ms":"now","type":"agent.state","state":"speaking"}"#]),
        refused(&[HEADER, transcript, "", r#"{"at_ms":6,"type":"agent.state","state":"speaking"}"#]),
        refused(&[HEADER, r#"{"at_ms":1,"type":"transcript","segment_id":"s1","text":"my secret words"}"#]),
        refused(&[HEADER, r#"{"at_ms":1,"type":"transcript","segment_id":"s1","text":["my secret words"]}"#]),
        refused(&[HEADER, r#"{"type":"rating","turn_id":"u1"}"#]),
        refused(&[HEADER, r#"{"type":"rating","turn_id":"u1","sentiment":11}"#]),
        refused(&[HEADER, r#"{"type":"rating","turn_id":"u1","sentiment":1,"unrated":true}"#]),
        refused(&[
            HEADER,
            r#"{"type":"rating","turn_id":"u1","sentiment":1}"#,
            r#"{"type":"rating","turn_id":"u1","sentiment":2}"#,
        ]),
        refused(&[HEADER, r#"{"type":"expect"}"#]),
        refused(&[HEADER, r#"{"type":"expect","escalate_at_trun":3}"#]),
        refused(&[HEADER, r#"{"type":"expect","escalate_at_turn":"third"}"#]),
        refused(&[HEADER, r#"{"type":"expect","escalate_at_turn":3,"action":"tranfer"}"#]),
        refused(&[HEADER, r#"{"type":"expect","outcome":"engaged"}"#]),
        refused(&[HEADER, r#"{"type":"expect","turns":1}"#, r#"{"type":"expect","turns":1}"#]),
        read(format!("{HEADER}\n{{\"type\":\"expect\",\"esca")).unwrap_err().to_string(),
        read([HEADER.as_bytes(), b"\n{\"type\":\"\xc3\x28\"}\n"].concat()).unwrap_err().to_string(),
        refused(&[HEADER, &"x".repeat(MAX_LINE + 1)]),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_is_unknown_is_ignored() {
    let recording = read(format!(
        "\u{feff}{HEADER}\r\n\r\n{}\n{}\n{}",
        r#"{"type":"dtmf","digits":"1"}"#,
        r#"{"at_ms":3,"type":"agent.state","state":"speaking","mood":"good"}"#,
        r#"{"type":"expect","escalate_at_turn":null,"weather":"fine"}"#,
    ))
    .unwrap();
    assert_eq!(recording.messages.len(), 1);
    assert!(recording.expectation.is_some());
}

#[test]
fn a_pinned_rating_follows_from_its_sentiment() {
    let recording = read(format!(
        "{HEADER}\n{}\n{}\n{}\n",
        r#"{"type":"rating","turn_id":"a","sentiment":1}"#,
        r#"{"type":"rating","turn_id":"b","sentiment":9.96,"frustration":0.5,"filler":true}"#,
        r#"{"type":"rating","turn_id":"c","unrated":true}"#,
    ))
    .unwrap();
    let a = recording.pinned["a"].clone().unwrap();
    assert_eq!((a.valence.value(), a.frustration.value(), a.label), (-1.0, 1.0, Label::Negative));
    let b = recording.pinned["b"].clone().unwrap();
    assert_eq!((b.sentiment.value(), b.frustration.value(), b.filler), (10.0, 0.5, true));
    assert!(recording.pinned["c"].is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), after_header in any::<bool>()) {
        let head = if after_header { format!("{HEADER}\n") } else { String::new() };
        let _ = read([head.as_bytes(), &bytes].concat());
    }

    #[test]
    fn no_damage_to_a_recording_makes_it_panic(at in any::<prop::sample::Index>(), with in any::<u8>(), cut: bool) {
        let mut bytes = include_bytes!("../../fixtures/agent-tool-call.jsonl").to_vec();
        let at = at.index(bytes.len());
        bytes[at] = with;
        if cut {
            bytes.truncate(at);
        }
        if let Err(error) = read(&bytes) {
            let line = 1 + bytes[..at].iter().filter(|b| **b == b'\n').count() as u64;
            // A line feed in the place of another byte breaks the line after it as well.
            prop_assert!(error.line == 0 || error.line.abs_diff(line) <= 1, "{error}: damaged at line {line}");
        }
    }
}
