//! A real LLM server: llama.cpp's, with the weights of SmolLM2-135M-Instruct. A model so small rates badly; what it shows
//! is that a server which nobody here wrote takes our requests, keeps to our schema, and is understood.
//!
//! `tests/setup.sh` installs both (`server.txt`). With `SIDECAR_TEST_NO_LLM_SERVER=1` it does not, and this file only
//! says so.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::support::{Program, soon};

/// Turns it off for developers; not in CI.
const OFF: &str = "SIDECAR_TEST_NO_LLM_SERVER";
const KEY: &str = "k3y-hunter2";
/// One turn takes a second or two on an idle core.
const PATIENCE: Duration = Duration::from_secs(180);
/// What the model can say something short about.
const TURNS: [&str; 3] =
    ["This is the fourth time I explain it.", "You people are useless.", "I want to speak to a manager."];

/// A running server, killed when dropped; it ends by itself when this process does.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts it and waits until it is healthy; none where it is turned off.
    #[expect(clippy::print_stderr, reason = "what is not tested has to be said")]
    async fn start() -> Option<Self> {
        if std::env::var_os(OFF).is_some_and(|value| value == "1") && std::env::var_os("CI").is_none() {
            eprintln!("NOT TESTED: a real LLM server, as {OFF}=1 says");
            return None;
        }
        let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("llm-server");
        let model = find(&home, "gguf").await;
        let script = format!("{}/tests/it/llm/serve.py", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(home.join("bin/python"));
        command.arg(script).arg(model).arg(KEY).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().expect("the LLM server starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = soon("the LLM server to listen", lines.next_line()).await.unwrap().expect("its address");
        let server = Self { child, url };
        soon("the LLM server to be healthy", async {
            while !server.health().await.starts_with("HTTP/1.1 200") {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        Some(server)
    }

    /// What its health endpoint answers.
    async fn health(&self) -> String {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).await.unwrap();
        let request = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// The one file of an ending below the server's home.
async fn find(home: &PathBuf, ending: &str) -> PathBuf {
    let found = Command::new("find").arg(home).args(["-name", &format!("*.{ending}")]).output().await.unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let file = found.lines().next().unwrap_or_else(|| {
        panic!("no LLM server in {}: run bash tests/setup.sh, or set {OFF}=1 to go without", home.display())
    });
    file.into()
}

/// Runs the program and returns what it prints on either stream.
async fn run(program: &Program, key: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = program.command(args);
    command.env("SIDECAR_LLM_API_KEY", key).stderr(Stdio::piped());
    let output = timeout(PATIENCE, command.output()).await.expect("the program ends in time").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_real_server_answers_in_our_schema_and_its_cassette_replays_the_same() {
    let Some(mut server) = Server::start().await else { return };
    let program = Program::new();
    let file = |name: &str| program.folder.path().join(name).display().to_string();
    let (calls, tape) = (file("calls.jsonl"), file("tape.jsonl"));
    let call =
        |n: usize, text: &str| format!("{{\"id\":\"{n}\",\"turns\":[{{\"role\":\"caller\",\"text\":\"{text}\"}}]}}\n");
    let text: String = TURNS.iter().enumerate().map(|(n, text)| call(n, text)).collect();
    std::fs::write(&calls, text).unwrap();
    let url = format!("llmUrl={}/v1", server.url);

    // Without the right key it lets nobody in.
    // It answers one question at a time: on a busy machine those that wait in its line would run out of time there.
    let one = "llmMaxInFlight=1";
    let wrong = ["replay", "--record-cassette", &tape, "--set", &url, "--set", one, "--format", "json", &calls];
    let (code, _, said) = run(&program, "wrong", &wrong).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("LLM: status 3 (HTTP 401); 0 answers on the cassette; 3 turns without"), "{said}");

    let (code, recorded, said) = run(&program, KEY, &wrong).await;
    assert_eq!(code, Some(0), "{said}");
    let answers = std::fs::read_to_string(&tape).unwrap();
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // On another processor the model may go on and on about one of them, which is cut off and counted.
    assert!(answers.len() >= 2, "{said}");
    let counted = format!(
        "answered {n}{}; {n} answers on the cassette",
        if answers.len() == 3 { "" } else { ", cut_off 1" },
        n = answers.len()
    );
    assert!(said.contains(&counted), "{said}");
    let blended = recorded.lines().filter(|line| line.contains(r#""source":"blend""#)).count();
    assert_eq!(blended, answers.len(), "{recorded}");

    server.child.kill().await.unwrap();
    let play = ["replay", "--llm-cassette", &tape, "--format", "json", &calls];
    let (code, played, said) = run(&program, "", &play).await;
    assert_eq!((code, &played), (Some(0), &recorded), "{said}");
    assert!(said.contains(&format!("LLM: {} answers from the cassette", answers.len())), "{said}");
}
