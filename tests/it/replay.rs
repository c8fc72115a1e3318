//! `replay`: recordings through the binary, as QA and CI run it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use proptest::prelude::*;
use sentiment_sidecar::config::settings::Settings;
use sentiment_sidecar::config::{AgentFile, Layers, load};
use sentiment_sidecar::recording::{CutLine, Recording};
use sentiment_sidecar::replay::engine;
use sentiment_sidecar::replay::played::Played;
use sentiment_sidecar::room::message::RoomMessage;
use serde_json::{Value, json};

use crate::llm::Remembering;

/// The streams and the exit code of one run.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn replay(args: &[&str]) -> Ran {
    let mut command = Command::cargo_bin("sentiment-sidecar").unwrap();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("NO_COLOR", "1").arg("replay").args(args);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIDECAR_")) {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.jsonl"))).unwrap()
}

/// A recording in a folder of its own.
struct Saved {
    _folder: tempfile::TempDir,
    path: String,
}

fn saved(text: impl AsRef<[u8]>) -> Saved {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.jsonl");
    std::fs::write(&path, text).unwrap();
    Saved { path: path.to_str().unwrap().to_owned(), _folder: folder }
}

fn keys(line: &Value) -> BTreeSet<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_fixture_comes_out_as_it_expects() {
    let files = fixtures();
    assert!(files.len() >= 12);
    let ran = replay(&["fixtures"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let expected = format!("; {0} of {0} expectations met\n", files.len());
    assert!(ran.stdout.ends_with(&expected), "{}", ran.stdout);
}

#[test]
fn a_failed_expectation_ends_with_3_and_says_what_came_instead() {
    let wrong = fixture("seed-call")
        .replace(r#""escalate_at_turn":3,"action":"transfer""#, r#""escalate_at_turn":2,"action":"notify""#);
    let file = saved(wrong);
    for format in ["table", "json", "junit"] {
        let ran = replay(&[&file.path, "--format", format]);
        assert_eq!(ran.code, 3, "{format}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        let when = "expected an escalation at turn 2, found one at turn 3 (streak rule, action transfer)";
        assert!(said.contains(when), "{format}: {said}");
        assert!(said.contains("expected action notify, found action transfer"), "{format}: {said}");
    }
}

#[test]
fn a_call_that_never_escalates_tells_how_far_it_was() {
    let wrong = fixture("strictly-below").replace(r#""escalate_at_turn":null"#, r#""escalate_at_turn":4"#);
    let ran = replay(&[&saved(wrong).path]);
    assert_eq!(ran.code, 3);
    let said = "expected an escalation at turn 4, found none (the longest streak was 2 of 3)";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
}

#[test]
fn a_broken_line_17_is_named_and_the_others_are_replayed() {
    let mut lines: Vec<String> = fixture("seed-call").lines().map(str::to_owned).collect();
    lines[16] = lines[16].replacen("\"at_ms\":", "\"at_ms\";", 1);
    let broken = saved(lines.join("\n"));
    let ran = replay(&[&broken.path, "fixtures/recovers.jsonl", "--format", "json"]);
    assert_eq!(ran.code, 5);
    assert!(ran.stderr.contains("call.jsonl, line 17: not JSON at column 9"), "{}", ran.stderr);
    assert_eq!(json_lines(&ran.stdout).last().unwrap()["type"], "summary");
    assert!(ran.stderr.contains("1 call replayed, 0 escalated (0.0 %); 1 of 1 expectations met; 1 file could not"));
    assert_eq!(replay(&[&broken.path, "--format", "junit"]).code, 5);
}

#[test]
fn a_cut_last_line_is_refused_until_it_is_mended() {
    let whole = fixture("recovers");
    let kept = whole.rsplit_once("{\"type\":\"expect\"").unwrap().0;
    let cut = saved(&kept[..kept.len() - 20]);
    let ran = replay(&[&cut.path]);
    assert_eq!(ran.code, 5);
    assert!(ran.stderr.contains("--mend"), "{}", ran.stderr);
    assert_eq!(replay(&[&cut.path, "--mend"]).code, 0);
}

#[test]
fn what_cannot_be_read_ends_with_5_and_says_why() {
    let empty = tempfile::tempdir().unwrap();
    for (path, said) in [
        ("no/such/file.jsonl", "no/such/file.jsonl: it cannot be read"),
        (empty.path().to_str().unwrap(), "there are no files in it"),
        (&saved("").path, "it is empty; a recording begins with"),
        (
            &saved(b"{\"type\":\"recording\",\"version\":1,\"room_name\":\"r\"}\n\xff\xfe{}\n").path,
            "line 2: byte 1 is not UTF-8",
        ),
        (&saved(vec![b' '; 1 << 20]).path, "line 1: the line is longer than"),
    ] {
        let ran = replay(&[path]);
        assert_eq!((ran.code, ran.stderr.contains(said)), (5, true), "{}", ran.stderr);
    }
}

#[test]
fn json_lines_hold_to_their_contract() {
    let ran = replay(&["fixtures/seed-call.jsonl", "--format", "json"]);
    let lines = json_lines(&ran.stdout);
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["turn", "turn", "turn", "escalation", "summary"]);
    let turn = "type file turn text sentiment valence frustration urgency label confidence filler cues streak low";
    assert_eq!(keys(&lines[0]), turn.split(' ').collect());
    assert_eq!(keys(&lines[3]), "type file turn rule severity action description".split(' ').collect());
    assert_eq!(lines[2]["text"], "I want to speak to someone who can actually help.");
    assert_eq!((&lines[2]["streak"], &lines[2]["low"]), (&json!(3), &json!(true)));
    let summary = json!({"type":"summary","file":"fixtures/seed-call.jsonl","turns":4,"escalated":true,"at_turn":3});
    assert_eq!(lines[4], summary);
    assert!(lines.iter().all(|line| line["file"] == "fixtures/seed-call.jsonl"));
}

#[test]
fn an_unrated_turn_has_its_line_too() {
    let lines = json_lines(&replay(&["fixtures/unrated-turn.jsonl", "--format", "json"]).stdout);
    assert_eq!((&lines[1]["turn"], &lines[1]["sentiment"], &lines[1]["streak"]), (&json!(2), &Value::Null, &json!(1)));
    assert!(lines[1]["unrated"].as_str().unwrap().contains("the rater failed"));
}

#[test]
fn junit_has_one_suite_per_file_and_one_case_per_expectation() {
    let ran = replay(&["fixtures/seed-call.jsonl", "fixtures/recovers.jsonl", "--format", "junit"]);
    assert!(ran.stdout.starts_with("<?xml"), "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("<testsuite ").count(), 2);
    assert!(ran.stdout.contains(r#"<testcase name="escalate_at_turn" classname="fixtures/recovers.jsonl""#));
    assert!(ran.stdout.contains(r#"failures="0" errors="0""#));
    let times = ran.stdout.match_indices(" time=\"").filter(|(at, _)| !ran.stdout[at + 7..].starts_with("0.000\""));
    assert_eq!(times.count(), 4, "each suite and its first case: {}", ran.stdout);
}

#[test]
fn the_same_recording_gives_the_same_journal_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    for path in fixtures() {
        let journals = ["a", "b"].map(|name| {
            let journal = folder.path().join(format!("{name}-{}", path.file_stem().unwrap().display()));
            let ran = replay(&[path.to_str().unwrap(), "--journal", journal.to_str().unwrap()]);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            std::fs::read(journal).unwrap()
        });
        assert!(!journals[0].is_empty());
        assert!(journals[0] == journals[1], "{}", path.display());
    }
}

#[test]
fn a_journal_comes_out_the_same_again_or_says_where_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal").display().to_string();
    // Its ratings are pinned.
    assert_eq!(replay(&["fixtures/strictly-below.jsonl", "--journal", &journal]).code, 0);
    let agent = folder.path().join("agent.json").display().to_string();
    let header: Value = serde_json::from_str(fixture("strictly-below").lines().next().unwrap()).unwrap();
    std::fs::write(&agent, header["agent"].to_string()).unwrap();
    let ran = replay(&["--journal", &journal, "--agent", &agent]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("outputs, all as they were"), "{}", ran.stdout);

    let ran = replay(&["--journal", &journal, "--agent", &agent, "--threshold", "4", "--format", "json"]);
    assert_eq!(ran.code, 3);
    let told = &json_lines(&ran.stdout)[0];
    let line = usize::try_from(told["again"]["difference"]["line"].as_u64().unwrap()).unwrap();
    let text = std::fs::read_to_string(&journal).unwrap();
    assert_eq!(told["again"]["difference"]["was"], text.lines().nth(line - 1).unwrap());
    for format in ["table", "junit"] {
        let ran = replay(&["--journal", &journal, "--agent", &agent, "--threshold", "4", "--format", format]);
        assert_eq!(ran.code, 3);
        assert!(ran.stdout.contains(&format!("line {line}")), "{}", ran.stdout);
        assert!(ran.stdout.contains("first at out.event."), "the field that differs: {}", ran.stdout);
        let is_table = format == "table";
        assert!(!is_table || ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
        assert!(is_table || ran.stdout.contains(" time=\""), "{}", ran.stdout);
    }
    std::fs::write(&journal, &text[..text.len() - 2]).unwrap();
    let ran = replay(&["--journal", &journal, "--agent", &agent]);
    let cut = format!("breaks off within line {}", text.lines().count());
    let said = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(ran.code == 0 && said.contains(&cut) && said.contains("as they were up to there"), "{}", ran.stdout);
    assert_eq!(replay(&["--journal", "fixtures/strictly-below.jsonl"]).code, 5);
    assert_eq!(replay(&["--journal", "/no/such/journal"]).code, 5);
    assert_eq!(replay(&[]).code, 2);
}

#[test]
fn a_journal_that_is_there_is_not_overwritten_and_a_new_one_is_its_owners() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.journal");
    let journal = path.display().to_string();
    assert_eq!(replay(&["fixtures/recovers.jsonl", "--journal", &journal]).code, 0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = std::fs::read(&path).unwrap();
    let ran = replay(&["fixtures/seed-call.jsonl", "--journal", &journal]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "before anything is replayed");
    assert!(
        ran.stderr.contains("live.journal cannot be written") && ran.stderr.contains("name no call"),
        "{}",
        ran.stderr
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_breaks_off_counts_once() {
    let broken =
        saved("{\n \"transcript\": [\n  {\"role\":\"user\",\"content\":\"hi\"},\n  {\"role\": \"agent\" 1}\n ]\n}\n");
    let ran = replay(&[&broken.path, "--format", "junit"]);
    assert!(ran.code == 5 && ran.stderr.contains("1 file could not be read"), "{}", ran.stderr);
    assert!(ran.stdout.contains(r#"errors="1""#) && !ran.stdout.contains(r#"errors="2""#), "{}", ran.stdout);
    // Two calls of one file are two errors, and one file.
    let calls = saved("{\"turns\":[{\"role\":\"cat\"}]}\n{\"turns\":[{\"role\":\"cat\"}]}\n");
    let ran = replay(&[&calls.path]);
    assert_eq!((ran.code, ran.stderr.matches("error: ").count()), (5, 2), "{}", ran.stderr);
    assert!(ran.stdout.contains("1 file could not be read"), "{}", ran.stdout);
}

#[test]
fn a_journal_is_of_one_call() {
    let ran = replay(&["fixtures", "--journal", "/dev/null"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--journal takes one call"), "{}", ran.stderr);
}

#[test]
fn flags_go_before_the_recordings_own_settings() {
    // At window 2 the recovering caller would have been put through.
    let ran = replay(&["fixtures/recovers.jsonl", "--window", "2", "--format", "json"]);
    assert_eq!(ran.code, 3);
    assert_eq!(json_lines(&ran.stdout).last().unwrap()["at_turn"], 2);
    // At threshold 4 a 3.0 is low.
    let ran = replay(&["fixtures/strictly-below.jsonl", "--threshold", "4", "--format", "json"]);
    assert_eq!(json_lines(&ran.stdout).last().unwrap()["at_turn"], 3);
}

#[test]
fn an_agent_document_takes_the_place_of_the_recordings_own_settings() {
    let folder = tempfile::tempdir().unwrap();
    let agent = folder.path().join("agent.json");
    std::fs::write(&agent, r#"{"voice":{"sentimentThreshold":1,"sentimentEscalationAction":"flag"}}"#).unwrap();
    let ran = replay(&["fixtures/seed-call.jsonl", "--agent", agent.to_str().unwrap(), "--format", "json"]);
    assert_eq!(json_lines(&ran.stdout).last().unwrap()["escalated"], false);
}

#[test]
fn wrong_settings_are_told_by_where_they_stand() {
    let ran = replay(&["fixtures/seed-call.jsonl", "--threshold", "11"]);
    assert_eq!((ran.code, ran.stderr.contains("--threshold")), (6, true), "{}", ran.stderr);
    let own = fixture("seed-call").replace(r#""sentimentThreshold":3"#, r#""sentimentThreshold":"three""#);
    let ran = replay(&[&saved(own).path]);
    assert_eq!((ran.code, ran.stderr.contains("line 1: \"agent\" in the header")), (5, true), "{}", ran.stderr);
}

#[test]
fn plain_calls_and_text_transcripts_are_replayed_too() {
    let calls = concat!(
        r#"{"id":"a","escalate":true,"turns":[{"role":"agent","text":"hello"},"#,
        r#"{"role":"caller","text":"This is ridiculous, I've been trying to fix this for three days!"},"#,
        r#"{"role":"caller","text":"Nobody at your company seems to care."}]}"#,
        "\n",
        r#"{"turns":[{"role":"user","content":"how do i reset my password"}]}"#,
        "\n"
    );
    let file = saved(calls);
    let ran = replay(&[&file.path, "--window", "2", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines = json_lines(&ran.stdout);
    let summaries: Vec<_> = lines.iter().filter(|line| line["type"] == "summary").collect();
    assert_eq!(summaries[0]["file"], format!("{}#a", file.path));
    assert_eq!((&summaries[0]["at_turn"], &summaries[1]["at_turn"]), (&json!(2), &Value::Null));

    let text = saved("Agent: Hello.\nCustomer: how do i\nreset my password\n\nAgent: Like so.\n");
    let lines = json_lines(&replay(&[&text.path, "--format", "json"]).stdout);
    assert_eq!(lines[0]["text"], "how do i reset my password");

    let joined = saved("Agent: Hello.\nManager: I'll take over.\nCustomer: you people are useless\n");
    let lines = json_lines(&replay(&[&joined.path, "--format", "json"]).stdout);
    assert_eq!(lines.len(), 1, "nothing is rated while a human is on the call");

    let owner =
        saved("Manager: Thanks for calling, how can I help?\nCustomer: you people are useless\nManager: Sorry.\n");
    let lines = json_lines(&replay(&[&owner.path, "--format", "json"]).stdout);
    assert_eq!((&lines[1]["text"], &lines[1]["low"]), (&json!("you people are useless"), &json!(true)), "{lines:?}");
    assert!(lines[0]["detail"].as_str().is_some_and(|said| said.starts_with("\"Manager\" speaks before")), "{lines:?}");

    // Prompts, monitors and others are heard and are nobody whose words count.
    let menu = concat!(
        "IVR: This is ridiculous, to speak to a representative press zero.\nCustomer: hello\n",
        "Monitor: you people are useless liars\nAgent: How can I help?\nCustomer: My balance please.\n",
        "Other: worst company ever, you idiots\nCustomer: thanks\n"
    );
    let menu = saved(menu);
    let lines = json_lines(&replay(&[&menu.path, "--format", "json"]).stdout);
    let texts: Vec<_> = lines.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(texts, ["hello", "My balance please.", "thanks"], "{lines:?}");
    assert!(lines.iter().all(|line| line["type"] != "warning"), "{lines:?}");

    let wrong = saved("{\"turns\":[{\"role\":\"caller\",\"text\":\"hi\"}]}\n{\"turns\":[{\"role\":\"cat\"}]}\n");
    let ran = replay(&[&wrong.path]);
    assert_eq!(ran.code, 5);
    assert!(ran.stderr.contains("line 2: \"turns[0].role\" of this labelled transcript is \"cat\""), "{}", ran.stderr);
}

#[test]
fn the_table_shows_who_said_what_and_where_it_escalated() {
    let ran = replay(&["fixtures/transfer-busy-then-fallback.jsonl"]);
    let row = |part: &str| {
        let row = ran.stdout.lines().find(|line| line.contains(part)).map(str::to_owned);
        row.unwrap_or_else(|| panic!("no {part} in:\n{}", ran.stdout))
    };
    assert!(row("▲").contains("→ busy, webhook"));
    assert!(row("unbelievable").contains("3/3"));
    assert!(row("unbelievable").contains("low"));
    assert!(row("May I have your booking code?").contains("agent"));
    assert!(!ran.stdout.contains('\x1b'), "NO_COLOR is set");
    // Where there is no terminal, tables fit 80 columns.
    for line in replay(&["fixtures/unrated-turn.jsonl", "fixtures/transfer-busy-then-fallback.jsonl"]).stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

fn settings_of(recording: &Recording) -> Settings {
    let text = json!(recording.header.agent).to_string();
    let agent = Some(AgentFile { path: "header".into(), text });
    load(&Layers { agent, ..Layers::default() }).unwrap().settings
}

fn played(recording: &Recording, settings: &Settings) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(engine::replay(recording, settings, &Remembering, None))
}

/// What must not change: turns with their words and ratings, and escalations.
fn outcome(played: &Played) -> Value {
    let turn = |t: &&sentiment_sidecar::replay::played::PlayedTurn| {
        json!([t.number(), t.text(), t.rated().map(|r| json!([r.sentiment, r.streak, r.low]))])
    };
    json!({
        "turns": played.turns().iter().map(turn).collect::<Vec<_>>(),
        "escalations": played.escalations,
        "webhook": played.webhook,
        "tools_refused": played.tools_refused,
    })
}

/// Whether a message names what it is about by id, so that saying it again says nothing new.
fn has_id(message: &RoomMessage) -> bool {
    matches!(
        message,
        RoomMessage::Transcript(_)
            | RoomMessage::TurnEnded(_)
            | RoomMessage::ToolCall { .. }
            | RoomMessage::CommandResult { .. }
    )
}

fn loaded() -> Vec<(String, Recording, Settings, Value)> {
    let load = |path: PathBuf| {
        let name = path.display().to_string();
        let recording = Recording::read(fixture_bytes(&path).as_slice(), &name, CutLine::Refuse).unwrap();
        let settings = settings_of(&recording);
        let clean = outcome(&played(&recording, &settings));
        (name, recording, settings, clean)
    };
    fixtures().into_iter().map(load).collect()
}

fn fixture_bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_again_changes_nothing(
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12), 1..12),
    ) {
        thread_local! { static CALLS: Vec<(String, Recording, Settings, Value)> = loaded(); }
        CALLS.with(|calls| {
            for (name, recording, settings, clean) in calls {
                let mut repeated = recording.clone();
                for (pick, later) in &picks {
                    let at = pick.index(repeated.messages.len());
                    if has_id(&repeated.messages[at].message) {
                        let to = (at + 1 + later).min(repeated.messages.len());
                        let mut again = repeated.messages[at].clone();
                        again.at = repeated.messages[to - 1].at;
                        repeated.messages.insert(to, again);
                    }
                }
                prop_assert_eq!(&outcome(&played(&repeated, settings)), clean, "{}", name);
            }
            Ok(())
        })?;
    }

    #[test]
    fn segments_of_a_turn_may_arrive_in_any_order(swaps in prop::collection::vec(any::<prop::sample::Index>(), 1..20)) {
        thread_local! { static CALLS: Vec<(String, Recording, Settings, Value)> = loaded(); }
        CALLS.with(|calls| {
            for (name, recording, settings, clean) in calls {
                let mut shuffled = recording.clone();
                for swap in &swaps {
                    let at = swap.index(shuffled.messages.len() - 1);
                    let pair = [&shuffled.messages[at].message, &shuffled.messages[at + 1].message];
                    // Pieces of one turn lie next to each other, with less than a silence between them. The times of
                    // arrival stay where they were.
                    let [RoomMessage::Transcript(a), RoomMessage::Transcript(b)] = pair else { continue };
                    let apart = shuffled.messages[at + 1].at.0 - shuffled.messages[at].at.0;
                    if a.participant_id == b.participant_id && apart < settings.turn_silence_ms {
                        shuffled.messages.swap(at, at + 1);
                        let (before, after) = (shuffled.messages[at].at, shuffled.messages[at + 1].at);
                        shuffled.messages[at].at = before.min(after);
                        shuffled.messages[at + 1].at = before.max(after);
                    }
                }
                prop_assert_eq!(&outcome(&played(&shuffled, settings)), clean, "{}", name);
            }
            Ok(())
        })?;
    }
}

#[test]
fn many_calls_are_printed_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut wanted = Vec::new();
    for file in 0..10 {
        let calls: String = (0..3)
            .map(|n| {
                // Calls of very different length, so that later ones are done before earlier ones.
                let turns = 1 + (file * 7 + n * 11) % 40;
                let turn = r#"{"role":"caller","text":"This is the fourth time that I explain it."}"#;
                format!("{{\"id\":\"{n}\",\"turns\":[{}]}}\n", vec![turn; turns].join(","))
            })
            .collect();
        let path = folder.path().join(format!("{file:02}.jsonl"));
        std::fs::write(&path, calls).unwrap();
        wanted.extend((0..3).map(|n| format!("{}#{n}", path.display())));
    }
    let run = || {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"));
        let done = command.args(["replay", "--format", "json"]).arg(folder.path()).assert().success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    };
    let printed = run();
    let lines = printed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let files = lines.filter(|line| line["type"] == "summary").map(|line| line["file"].as_str().unwrap().to_owned());
    assert_eq!(files.collect::<Vec<_>>(), wanted);
    assert_eq!(run(), printed);
}
