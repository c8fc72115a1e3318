//! The commands `room` and `schema`, run as people run them.

use std::process::Stdio;

use assert_cmd::Command;
use sentiment_sidecar::room::Target;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::peer::{briefs, connect, in_time};

const RECORDING: &str = r#"{"type":"recording","version":1,"room_name":"room_abc123"}
{"at_ms":0,"type":"participant.joined","participant":{"id":"p","role":"caller"}}
{"at_ms":500,"type":"transcript","segment_id":"s1","participant_id":"p","text":"nobody seems to care","final":true}
{"at_ms":900,"type":"session.ended","reason":"caller hung up"}
"#;

fn recording(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[tokio::test]
async fn room_serves_a_recording_and_tells_both_sides_of_it() {
    let file = recording(RECORDING);
    let mut child = tokio::process::Command::new(assert_cmd::cargo::cargo_bin!("sentiment-sidecar"))
        .args(["room", file.path().to_str().unwrap(), "--speed", "50"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = in_time("first line", lines.next_line()).await.unwrap().unwrap();
    let url = first.strip_prefix("listening on ").expect("an address");
    let mut room = connect(Target::native(url.parse().unwrap(), "room_abc123", None));
    let events = briefs(&mut room, 4).await;
    assert_eq!((events[2].as_str(), events[3].as_str()), ("2", "ended"));
    room.processed(3);
    room.close().await;
    let mut rest = Vec::new();
    while let Some(line) = in_time("line", lines.next_line()).await.unwrap() {
        rest.push(line);
    }
    assert!(in_time("exit", child.wait()).await.unwrap().success());
    let told = rest.join("\n");
    for part in [
        "attach --room-url ws://",
        " joined",
        "→ transcript p final \"s1\": nobody seems to care",
        "← ack 3",
        "the call is over",
    ] {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
}

#[test]
fn room_refuses_what_is_no_recording_and_a_token_that_is_not_there() {
    let run = |text: &str, more: &[&str]| {
        let file = recording(text);
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("sentiment-sidecar"));
        command.env_remove("SIDECAR_ROOM_TOKEN").arg("room").arg(file.path()).args(more);
        command.output().unwrap()
    };
    let bad = run("{\"type\":\"recording\",\"version\":1,\"room_name\":\"r\"}\n{\"type\":\"transcript\"}\n", &[]);
    assert_eq!(bad.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("line 2"), "{bad:?}");
    assert_eq!(run(RECORDING, &["--token-from-env"]).status.code(), Some(6));
    assert_eq!(run(RECORDING, &["--speed", "0"]).status.code(), Some(2));
}

#[test]
fn schema_prints_json_for_every_topic() {
    for (topic, has) in [
        ("asyncapi", "/components/messages/sidecar.command/payload"),
        ("messages", "/room/oneOf"),
        ("rating", "/properties/sentiment"),
        ("recording", "/oneOf"),
        ("tool", "/parameters/properties/sentiment_score"),
    ] {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("sentiment-sidecar")).args(["schema", topic]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(document.pointer(has).is_some(), "{topic} has no {has}");
    }
}
