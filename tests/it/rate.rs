//! `rate` as users run it: a filter in a pipe.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use assert_cmd::Command as Run;
use serde_json::Value;

fn rate() -> Run {
    let mut run = Run::new(env!("CARGO_BIN_EXE_sentiment-sidecar"));
    run.arg("rate");
    run
}

fn lines(output: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(output).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn three_angry_lines_of_a_call_are_all_below_three() {
    let said = "This is ridiculous, I've been trying to fix this for three days!\nNobody at your company seems to care.\n\
                I want to speak to someone who can actually help.\n";
    for flags in [&[][..], &["--context"]] {
        let done = rate().args(flags).write_stdin(said).assert().success();
        let rated = lines(&done.get_output().stdout);
        assert_eq!(rated.len(), 3);
        assert!(rated.iter().all(|line| line["sentiment"].as_f64().unwrap() < 3.0), "{rated:?}");
        assert!(rated.iter().all(|line| line["label"] == "negative"), "{rated:?}");
    }
}

#[test]
fn a_bad_line_gives_an_error_line_and_exit_code_five_and_the_others_are_rated() {
    let done = rate().write_stdin("my card was stolen\n{\"txt\":1}\nthank you so much\n").assert().code(5);
    let rated = lines(&done.get_output().stdout);
    assert_eq!(rated.len(), 3);
    assert!(rated[1]["error"].as_str().unwrap().contains("line 2"), "{}", rated[1]);
    assert_eq!(rated[1]["line"], 2);
    assert_eq!(rated[2]["label"], "positive");
}

#[test]
fn each_answer_comes_before_the_next_line_is_given() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"))
        .arg("rate")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for text in ["yes", "you people are useless"] {
        writeln!(stdin, "{text}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["text"], text);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"))
        .arg("rate")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // The pipe to it may break once it has ended, which is what this is about.
    let _ = (0..10_000).try_for_each(|_| writeln!(stdin, "you people are useless"));
    drop(stdin);
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
}
