//! Ctrl-C while long work is under way: what there is by then is printed, and the program says how far it came.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::process::Child;
use tokio::sync::Notify;
use wiremock::{Request, Respond, ResponseTemplate};

use crate::llm::{good, server};
use crate::support::{Program, soon};

/// What the last call says, about which an LLM is asked that never answers.
const HANGS: &str = "It went dark on Tuesday and nobody ever came to look at it.";

/// So many calls come before it. As many are under way at a time at most, so that the last one is begun, on any number of
/// cores, only once there is a result of the first.
const BEFORE: usize = 64;

/// An LLM that thinks for ever about one turn, and says when it has begun to.
struct Thinks(Arc<Notify>);

impl Respond for Thinks {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        if !String::from_utf8_lossy(&request.body).contains(HANGS) {
            return good(2.0);
        }
        self.0.notify_one();
        ResponseTemplate::new(200).set_delay(Duration::from_secs(3600))
    }
}

/// The flags that let a program ask one question at a time, with calls to ask about.
fn asks(program: &Program, url: &str) -> Vec<String> {
    let calls: Vec<String> = (1..=BEFORE)
        .map(|call| format!("I have called {call} times and nobody rang me back."))
        .chain([HANGS.to_owned()])
        .enumerate()
        .map(|(id, text)| {
            let turns = json!([{"role": "caller", "text": text, "sentiment": 2}]);
            json!({"id": format!("call-{id}"), "escalate": true, "at": 0, "turns": turns}).to_string()
        })
        .collect();
    let file = program.folder.path().join("calls.jsonl");
    std::fs::write(&file, calls.join("\n")).unwrap();
    let set = |value: String| ["--set".to_owned(), value];
    let mut flags = vec![file.display().to_string()];
    flags.extend(set(format!("llmUrl={url}/v1")));
    flags.extend(set("llmMaxInFlight=1".to_owned()));
    flags
}

fn signal(child: &Child) {
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

/// Runs a command until the last question is asked, stops it, and returns its exit code and what it printed.
async fn stopped(command: &[&str]) -> (Option<i32>, String, String) {
    let thinks = Arc::new(Notify::new());
    let (server, program) = (server(Thinks(Arc::clone(&thinks))).await, Program::new());
    let tape = program.folder.path().join("tape.jsonl").display().to_string();
    let mut args: Vec<String> = command.iter().map(|arg| (*arg).to_owned()).collect();
    args.extend(asks(&program, &server.uri()));
    args.extend(["--record-cassette".to_owned(), tape]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut run = program.command(&args);
    run.env("SIDECAR_LLM_API_KEY", "k3y").stderr(Stdio::piped());
    let child = run.spawn().unwrap();
    soon("the last question", thinks.notified()).await;
    signal(&child);
    let output = soon("the program to stop", child.wait_with_output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn evaluate_prints_the_figures_of_what_it_has_measured() {
    let (code, printed, said) = stopped(&["evaluate"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("stopped: ") && said.contains(" measured, and others were yet to be"), "{said}");
    assert!(printed.contains("all"), "{printed}");
}

#[tokio::test]
async fn replay_prints_its_calls_and_their_count() {
    let (code, printed, said) = stopped(&["replay", "--format", "json"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("calls are replayed"), "{said}");
    let calls = printed.lines().filter(|line| line.contains(r#""type":"summary""#)).count();
    assert!((1..=BEFORE).contains(&calls) && said.contains(&format!("stopped: {calls} calls")), "{printed}{said}");
    let (code, printed, said) = stopped(&["replay", "--format", "junit"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(printed.trim_end().ends_with("</testsuites>"), "a report is whole: {printed}");
}

#[tokio::test]
async fn tune_tells_what_the_calls_say_that_it_has_rated() {
    let (code, printed, said) = stopped(&["tune", "--no-cache"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("stopped: this is what ") && printed.contains("STREAK ALONE"), "{printed}{said}");
}
