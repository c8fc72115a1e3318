//! What reads bytes from outside (frames of a room, recordings and other transcripts, agent documents), fed with what chance
//! makes of good ones: a typed error that may be printed, or something that stands being used, and never a panic.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use sentiment_sidecar::config::settings::Settings;
use sentiment_sidecar::config::{AgentFile, Layers, Loaded, load};
use sentiment_sidecar::recording::CutLine;
use sentiment_sidecar::recording::import::{self, Format, Options};
use sentiment_sidecar::replay::engine::replay;
use sentiment_sidecar::room::drive;
use sentiment_sidecar::room::message::{FrameError, RoomMessage};
use sentiment_sidecar::room::samples::room_messages;
use sentiment_sidecar::sentiment::lexical::LexicalRater;
use serde_json::{Value, json};

use crate::chance::{self, change_bytes, change_json};

/// What JSON, and what our formats give a meaning.
const WORDS: [&[u8]; 16] = [
    b"\n",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[[[[[[[[",
    b",",
    b":",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\\ud800",
    b"\\u0007",
    b"\x1b[2J",
    b"\xc3\x28",
];

fn files(folder: &str, extension: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    assert!(!paths.is_empty());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Changes a line somewhere: as JSON where it is that, or its bytes.
fn change_lines(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut Rng) {
    if rng.u8(0..4) == 0 {
        return change_bytes(bytes, corpus, &WORDS, rng);
    }
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (at, other) = (rng.usize(..lines.len()), rng.usize(..lines.len()));
    match rng.u8(0..6) {
        0 => lines.swap(at, other),
        1 => lines.insert(other, lines[at].clone()),
        2 => drop(lines.remove(at)),
        _ => {
            if let Ok(mut value) = serde_json::from_slice::<Value>(&lines[at]) {
                change_json(&mut value, rng);
                lines[at] = value.to_string().into_bytes();
            }
        }
    }
    *bytes = lines.join(&b'\n');
}

/// An error goes to a terminal and into a log as it is: on one line unless it says otherwise, and not for ever.
fn assert_printable(error: &impl Display, lines: usize) {
    let shown = error.to_string();
    assert!(!shown.is_empty() && shown.lines().count() <= lines, "{shown:?}");
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    assert!(shown.chars().count() < 500 * lines, "{} characters: {shown:?}", shown.chars().count());
}

#[test]
fn frames_made_by_chance_are_refused_in_a_line_or_can_be_written_again() {
    let mut corpus: Vec<Vec<u8>> = room_messages().iter().map(|m| serde_json::to_vec(m).unwrap()).collect();
    for file in files("fixtures", "jsonl") {
        corpus.extend(file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
    }
    let change = |bytes: &mut Vec<u8>, rng: &mut Rng| change_lines(bytes, &corpus, rng);
    chance::many("frames", &corpus, 20_000, change, |bytes| {
        match RoomMessage::parse(&String::from_utf8_lossy(bytes)) {
            Ok(None) => {}
            Ok(Some(message)) => {
                let written = serde_json::to_string(&message).unwrap();
                assert_eq!(RoomMessage::parse(&written).unwrap(), Some(message));
            }
            Err(error) => assert_printable(&error, 1),
        }
    });
}

/// The corpus of a fuzz target.
fn fuzzed(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // What a fuzzer adds has no name, only a number in hex.
    paths.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains('-')));
    paths.sort();
    assert!(paths.len() > 5);
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn what_dialects_hear_and_say_made_by_chance_passes_or_is_refused_in_a_line() {
    type Drive = fn(&[u8]) -> Vec<FrameError>;
    let targets: [(&str, Drive); 2] = [("realtime", drive::realtime), ("relayed", drive::relayed)];
    for (target, drive) in targets {
        let corpus = fuzzed(target);
        for bytes in &corpus {
            drive(bytes).iter().for_each(|error| assert_printable(error, 1));
        }
        let change = |bytes: &mut Vec<u8>, rng: &mut Rng| change_lines(bytes, &corpus, rng);
        chance::many(target, &corpus, 5_000, change, |bytes| {
            drive(bytes).iter().for_each(|error| assert_printable(error, 1));
        });
    }
}

#[test]
fn recordings_made_by_chance_are_refused_in_a_line_or_replay() {
    let mut corpus = files("fixtures", "jsonl");
    let call = r#"{"id":"c1","turns":[{"role":"caller","text":"no"},{"role":"agent","content":"why?"}]}"#;
    corpus.push(format!("{call}\n{call}\n").into_bytes());
    corpus.push(format!("[{call},\n{call}]").into_bytes());
    corpus.push(b"Caller: This is ridiculous!\nand more\nAgent: Sorry.\nSupervisor: Hello.\n".to_vec());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let change = |bytes: &mut Vec<u8>, rng: &mut Rng| change_lines(bytes, &corpus, rng);
    chance::many("recordings", &corpus, 3_000, change, |bytes| {
        let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
        for cut in [CutLine::Refuse, CutLine::LeaveOut] {
            for source in import::read(bytes, "call.jsonl", &Options { cut, ..Options::default() }) {
                match source {
                    Ok(source) => {
                        runtime.block_on(replay(&source.recording, &Settings::default(), &LexicalRater, None));
                    }
                    Err(error) => {
                        assert_printable(&error, 1);
                        assert!(error.to_string().starts_with("call.jsonl") && error.line <= lines, "{error}");
                    }
                }
            }
        }
    });
}

/// Good files of every format that is read.
fn transcripts() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    // Beside each stands what a person reads in it.
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "turns"));
    assert!(paths.len() > 90);
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn transcripts_in_every_format_made_by_chance_are_read_or_refused_in_a_line() {
    let corpus = transcripts();
    let names: Vec<&str> = Format::all().map(|(name, _)| name).collect();
    let change = |bytes: &mut Vec<u8>, rng: &mut Rng| match serde_json::from_slice::<Value>(bytes) {
        Ok(mut value) if rng.u8(0..3) > 0 => {
            change_json(&mut value, rng);
            *bytes = value.to_string().into_bytes();
        }
        _ => change_lines(bytes, &corpus, rng),
    };
    chance::many("transcripts", &corpus, 4_000, change, |bytes| {
        // As what it looks like, and as another format whatever it looks like.
        let other = bytes.iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        for format in [None, Format::named(names[other % names.len()])] {
            for source in import::read(bytes, "call", &Options { format, ..Options::default() }) {
                match source {
                    Ok(source) => {
                        let times: Vec<u64> = source.recording.messages.iter().map(|timed| timed.at.0).collect();
                        assert!(times.is_sorted(), "lines of a recording stand in order: {times:?}");
                        let mut written = Vec::new();
                        source.recording.write(&mut written).unwrap();
                        assert!(!written.is_empty());
                    }
                    Err(error) => assert_printable(&error, 1),
                }
            }
        }
    });
}

#[test]
fn an_error_tells_nothing_that_somebody_said() {
    let said = "I am furious";
    let header = json!({"type": "recording", "version": 1, "room_name": "r"}).to_string();
    let mended = json!({"type": "turn.ended", "turn_id": "u1", "participant_id": "c", "index": said});
    let mended = serde_json::to_string(&RoomMessage::from_value(mended).unwrap()).unwrap();
    assert!(mended.contains("`index` is no number") && !mended.contains(said), "{mended}");
    let turn = json!({"type": "turn.ended", "at_ms": 0, "turn_id": {"said": said}, "participant_id": "c"});
    assert!(!RoomMessage::parse(&turn.to_string()).unwrap_err().to_string().contains(said));
    for (file, right) in [
        (json!({"type": "recording", "version": 1, "room_name": "r", "participants": said}).to_string(), "a sequence"),
        (format!("{header}\n{turn}"), "expected a string"),
        (format!("{header}\n{}", json!({"type": "rating", "turn_id": "u1", "cues": said})), "a sequence"),
        (json!({"id": "1", "turns": said}).to_string(), "in no format"),
        (format!("[{}]", json!({"id": "1", "turns": [{"role": "caller", "text": [said]}]})), "a string"),
    ] {
        let read = import::read(file.as_bytes(), "call.jsonl", &Options::default());
        let error = read.collect::<Result<Vec<_>, _>>().err().unwrap().to_string();
        assert!(!error.contains(said) && error.contains(right), "{error}");
    }
}

#[test]
fn agent_documents_made_by_chance_are_refused_or_say_the_same_again() {
    let read = |text: String| {
        let agent = Some(AgentFile { path: Path::new("agent.json").to_owned(), text });
        load(&Layers { agent, ..Layers::default() })
    };
    let told = |loaded: &Loaded| -> Value {
        let told = loaded.explain().filter(|row| !row.value.is_null());
        told.map(|row| (row.key.to_owned(), row.value)).collect::<serde_json::Map<_, _>>().into()
    };
    // One that sets every key there is.
    let mut corpus = files("deploy", "json");
    let all: Value = told(&read("{}".to_owned()).unwrap());
    corpus.push(json!({"name": "Support", "nested": [{"settings": all}]}).to_string().into_bytes());
    let change = |bytes: &mut Vec<u8>, rng: &mut Rng| match serde_json::from_slice::<Value>(bytes) {
        Ok(mut value) if rng.u8(0..4) > 0 => {
            change_json(&mut value, rng);
            *bytes = value.to_string().into_bytes();
        }
        _ => change_bytes(bytes, &corpus, &WORDS, rng),
    };
    chance::many("agent documents", &corpus, 1_000, change, |bytes| {
        match read(String::from_utf8_lossy(bytes).into_owned()) {
            Ok(loaded) => {
                let again = read(told(&loaded).to_string()).unwrap();
                assert_eq!(again.settings, loaded.settings);
            }
            Err(errors) => {
                assert_ne!(errors.iter().count(), 0);
                errors.iter().for_each(|error| assert_printable(error, 1));
            }
        }
    });
}
