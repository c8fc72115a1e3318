//! `convert` and the import behind it through the binary: any transcript in, recordings and vCons out.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// What the working group's schema of the unsigned form says of all that `convert` writes: what is required, and the
/// types and forms. A path in `VCON_SCHEMA` puts the schema itself in its place.
const VCON_SCHEMA: &str = include_str!("vcon_schema.json");

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats")).env("NO_COLOR", "1");
    command
}

fn out(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn summaries(stdout: &str) -> Vec<Value> {
    let lines = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] != "turn" && line["type"] != "escalation").collect()
}

#[test]
fn a_converted_call_is_replayed_as_its_transcript_is() {
    for file in ["deepgram-words-1.json", "contact-lens-1.json", "zoom-1.vtt", "otter-1.txt", "vcon-signed-1.json"] {
        let (code, recording, _) = out(program().args(["convert", file]));
        assert_eq!(code, 0, "{file}");
        let turns = |stdout: &str| -> Vec<Value> {
            let lines = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            lines.filter(|line| line["type"] == "turn").map(|line| line["text"].clone()).collect()
        };
        let (_, before, _) = out(program().args(["replay", "--format", "json", file]));
        let (_, after, _) = out(program().args(["replay", "--format", "json", "-"]).write_stdin(recording.clone()));
        assert!(!turns(&before).is_empty(), "{file}");
        assert_eq!(turns(&after), turns(&before), "{file}");
        let (_, vcon, _) = out(program().args(["convert", "--to", "vcon", file]));
        let (_, after, _) = out(program().args(["replay", "--format", "json", "-"]).write_stdin(vcon));
        assert_eq!(turns(&after), turns(&before), "{file} as a vCon");
    }
}

#[test]
fn a_vcon_keeps_to_the_working_groups_schema_and_has_every_caller_turns_rating() {
    let own = std::env::var_os("VCON_SCHEMA").map(|path| std::fs::read_to_string(path).unwrap());
    let schema: Value = serde_json::from_str(own.as_deref().unwrap_or(VCON_SCHEMA)).unwrap();
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let (code, stdout, stderr) =
        out(program().args(["convert", "--to", "vcon", "labelled-1.jsonl", "contact-export-1.csv", "vapi-2.json"]));
    assert_eq!(code, 0, "{stderr}");
    let vcons: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(vcons.len(), 5);
    for vcon in &vcons {
        let problems: Vec<String> =
            schema.iter_errors(vcon).map(|error| format!("{} {error}", error.instance_path())).collect();
        assert!(problems.is_empty(), "{problems:?}\n{vcon}");
    }
    let analysis = &vcons[0]["analysis"][0];
    assert_eq!((&analysis["type"], &analysis["dialog"]), (&"sentiment".into(), &serde_json::json!([1, 2])));
    let turns = analysis["body"]["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 2);
    assert!(turns.iter().all(|turn| turn["sentiment"].is_number() && turn["dialog"].is_number()), "{analysis}");
    // The same call has the same id each time.
    let (_, again, _) = out(program().args(["convert", "--to", "vcon", "labelled-1.jsonl"]));
    let again: Value = serde_json::from_str(again.lines().next().unwrap()).unwrap();
    assert_eq!(again["uuid"], vcons[0]["uuid"]);
    assert!(vcons[4]["dialog"][0]["start"].as_str().unwrap().starts_with("2026-01-01T11:45:01.200"), "{}", vcons[4]);
}

#[test]
fn what_tells_who_somebody_is_is_taken_out_on_request() {
    let call =
        "Agent: Your number, Dana?\nCaller: It is +1 555 010 0199, I'm Dana, dana@example.org, account 5523118.\n";
    for to in ["recording", "vcon"] {
        let args = ["convert", "-", "--redact-name", "Dana", "--to", to];
        let (code, stdout, _) = out(program().args(args).write_stdin(call));
        assert_eq!(code, 0);
        for told in ["Dana", "555", "example.org", "5523118"] {
            assert!(!stdout.contains(told), "{told} in {stdout}");
        }
        assert!(
            stdout.contains("It is [PHONE], I'm [NAME], [EMAIL], account [PHONE].") || stdout.contains("[ACCOUNT]"),
            "{stdout}"
        );
    }
}

#[test]
fn whom_a_file_names_and_calls_is_in_neither_the_calls_nor_their_files_names() {
    let folder = tempfile::tempdir().unwrap();
    let call = "WEBVTT\n\n1\n00:00:01.000 --> 00:00:03.000\n<v Dana Cole>Good day, this is Dana, how can I help?\n\n\
                2\n00:00:04.000 --> 00:00:06.000\n<v Grace Moreau>Hi dana, Grace here, with good grace.\n";
    std::fs::write(folder.path().join("+15550100199.vtt"), call).unwrap();
    let to = folder.path().join("out");
    let mut command = program();
    command.arg("convert").arg(folder.path().join("+15550100199.vtt")).arg("--redact").arg("--out").arg(&to);
    let (code, _, stderr) = out(&mut command);
    assert_eq!(code, 0, "{stderr}");
    let written: Vec<_> = std::fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = written.as_slice() else { panic!("{written:?}") };
    let (name, text) = (file.file_name().unwrap().to_str().unwrap(), std::fs::read_to_string(file).unwrap());
    assert!(!name.contains("5550100199") && !text.contains("5550100199"), "{name}: {text}");
    for told in ["Good day, this is [NAME], how can I help?", "Hi [NAME], [NAME] here, with good grace."] {
        assert!(text.contains(told), "{text}");
    }
}

#[test]
fn each_call_gets_a_file_of_its_own_and_none_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    let (code, _, stderr) =
        out(program().args(["convert", "contact-export-1.csv", "openai-chat-1.jsonl", "--out", to]));
    assert_eq!(code, 0, "{stderr}");
    let mut names: Vec<String> =
        std::fs::read_dir(to).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "contact-export-1-7001.jsonl",
            "contact-export-1-7002.jsonl",
            "openai-chat-1-1.jsonl",
            "openai-chat-1-2.jsonl"
        ]
    );
    // A sign in a file's own name is none of a call's id.
    let signed = folder.path().join("Call #12.txt");
    std::fs::write(&signed, "Agent: Hello.\nCustomer: Hi.\n").unwrap();
    let (code, _, stderr) = out(program().arg("convert").arg(&signed).args(["--out", to]));
    assert!(code == 0 && folder.path().join("Call__12.jsonl").exists(), "{stderr}");
    let (code, _, stderr) = out(program().args(["convert", "contact-export-1.csv", "--out", to]));
    assert!(code == 1 && stderr.contains("nothing is overwritten"), "{stderr}");
    let (code, stdout, stderr) = out(program().args(["convert", "contact-export-1.csv"]));
    assert!(code == 2 && stderr.contains("--out"), "{stderr}");
    assert_eq!(stdout, "", "nothing is written of calls that do not fit into one recording");
}

#[cfg(unix)]
#[test]
fn a_files_name_does_not_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("esc\u{1b}[31mred.json");
    std::fs::write(&bad, "{}").unwrap();
    for command in ["convert", "replay"] {
        let (code, _, stderr) = out(program().arg(command).arg(&bad));
        assert!(code == 5 && !stderr.contains('\u{1b}') && stderr.contains("red.json"), "{command}: {stderr:?}");
    }
}

#[test]
fn a_guess_of_the_caller_is_said_and_overruled() {
    let run = |more: &[&str]| out(program().args(["replay", "--format", "json", "deepgram-words-1.json"]).args(more));
    let (code, stdout, stderr) = run(&[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("warning: deepgram-words-1.json: it does not say who is the caller"), "{stderr}");
    assert!(stdout.contains("Hi. I lost my key.") && stdout.contains("\"type\":\"warning\""), "{stdout}");
    let (code, stdout, stderr) = run(&["--caller", "0"]);
    assert_eq!((code, stderr.contains("warning")), (0, false), "{stderr}");
    assert!(stdout.contains("One moment.") && !stdout.contains("I lost my key"), "{stdout}");
    let (code, _, stderr) = run(&["--caller", "Dana"]);
    assert!(code == 5 && stderr.contains("has nobody called \"Dana\"") && stderr.contains("speaker 1"), "{stderr}");
}

#[test]
fn a_folder_of_every_format_is_read_and_what_cannot_be_is_told_at_its_place() {
    let (code, stdout, stderr) = out(program().args(["replay", "--format", "json", "."]));
    // One of them is encrypted, and beside each stands what a person reads in it.
    assert_eq!(code, 5, "{stderr}");
    assert!(
        stderr.contains("vcon-encrypted-1.json, line 1: \"ciphertext\" of this vcon transcript is encrypted"),
        "{stderr}"
    );
    assert!(summaries(&stdout).iter().filter(|line| line["type"] == "summary").count() > 60);
    let (code, _, stderr) = out(program().args(["replay", "--input-format", "deepgran", "x.json"]));
    assert!(
        code == 2 && stderr.contains("did you mean \"deepgram\"?") && stderr.contains("contact-lens-realtime"),
        "{stderr}"
    );
    let (code, stdout, _) = out(program().args(["replay", "--format", "json", "captions-*.vtt"]));
    assert_eq!((code, summaries(&stdout).iter().filter(|line| line["type"] == "summary").count()), (0, 2));
}

#[test]
fn evaluate_reads_any_format_and_takes_an_expectation_for_a_label() {
    let folder = tempfile::tempdir().unwrap();
    let recording = concat!(
        "{\"type\":\"recording\",\"version\":1,\"room_name\":\"r\"}\n",
        "{\"at_ms\":900,\"type\":\"turn.ended\",\"turn_id\":\"u1\",\"participant_id\":\"caller\",\"text\":\"Hello.\"}\n",
        "{\"type\":\"expect\",\"escalate_at_turn\":null}\n"
    );
    std::fs::write(folder.path().join("a.jsonl"), recording).unwrap();
    std::fs::write(folder.path().join("b.txt"), "Agent: Hi.\nCaller: Thanks a lot.\n").unwrap();
    std::fs::write(folder.path().join("c.json"), "{}").unwrap();
    let (code, stdout, stderr) = out(program().args(["evaluate", "--format", "json"]).arg(folder.path()));
    assert!(code == 5 && stderr.contains("c.json"), "{stderr}");
    let all: Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&all["figures"]["calls"], &all["figures"]["false_escalations"]["of"]), (&2.into(), &1.into()), "{all}");
}
