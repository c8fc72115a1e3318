//! Cassettes, and the commands that ask an LLM without a phone call.

use serde_json::{Value, json};

use super::{TURN, good, server};
use crate::support::{Program, soon};

fn call_file(program: &Program, turns: &[&str]) -> String {
    let turns: Vec<Value> = turns.iter().map(|text| json!({"role": "caller", "text": text})).collect();
    let turns: Vec<Value> =
        turns.into_iter().flat_map(|turn| [turn, json!({"role": "agent", "text": "I see."})]).collect();
    let path = program.folder.path().join("calls.jsonl");
    std::fs::write(&path, json!({"id": "7", "turns": turns}).to_string()).unwrap();
    path.display().to_string()
}

/// Runs `replay --format json` and returns what it prints on either stream.
async fn replay(program: &Program, env: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String, String) {
    let args = [&["replay", "--format", "json"], args].concat();
    let mut command = program.command(&args);
    command.envs(env.iter().copied()).stderr(std::process::Stdio::piped());
    let output = soon("replay", command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_cassette_is_recorded_once_and_replays_the_same_for_free() {
    let server = server(good(1.0)).await;
    let program = Program::new();
    let calls = call_file(&program, &[TURN, "This is the fourth time I explain it.", "yeah"]);
    let tape = program.folder.path().join("tape.jsonl").display().to_string();
    let url = format!("llmUrl={}/v1", server.uri());
    let env = [("SIDECAR_LLM_API_KEY", "k3y-hunter2")];
    let record = ["--record-cassette", &tape, "--set", &url, &calls];
    let (code, recorded, said) = replay(&program, &env, &record).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("LLM: answered 2; 2 answers on the cassette"), "{said}");
    let (code, again, said) = replay(&program, &env, &record).await;
    assert_eq!((code, &again), (Some(0), &recorded));
    assert!(said.contains("LLM: from_cassette 2; 2 answers"), "{said}");
    assert_eq!(server.received_requests().await.unwrap().len(), 2, "what is on the cassette is not asked again");
    drop(server);

    let (code, played, said) = replay(&program, &[], &["--llm-cassette", &tape, &calls]).await;
    assert_eq!((code, &played), (Some(0), &recorded));
    assert!(said.contains("LLM: 2 answers from the cassette, 0 turns not on it"), "{said}");
    assert!(played.lines().next().unwrap().contains(r#""source":"blend""#), "{played}");
    let on_tape = std::fs::read_to_string(&tape).unwrap();
    for secret in ["k3y", "hunter2", "called three times", "127.0.0.1"] {
        assert!(!on_tape.contains(secret), "{secret} in {on_tape}");
    }

    // Another model, or another turn, is another question.
    let other = ["--llm-cassette", &tape, "--set", "llmModel=other", &calls];
    let (_, _, said) = replay(&program, &[], &other).await;
    assert!(said.contains("LLM: 0 answers from the cassette, 2 turns not on it"), "{said}");
    let (_, alone, _) = replay(&program, &[], &[&calls]).await;
    let (_, missed, _) = replay(&program, &[], &other).await;
    assert_eq!(alone, missed, "a miss is the embedded rating");
    let calls = call_file(&program, &[TURN, "Something else entirely happened yesterday."]);
    let (_, _, said) = replay(&program, &[], &["--llm-cassette", &tape, &calls]).await;
    assert!(said.contains("LLM: 1 answers from the cassette, 1 turns not on it"), "{said}");
}

#[tokio::test]
async fn a_replay_asks_nobody_unless_told_to() {
    let server = server(good(1.0)).await;
    let program = Program::new();
    let calls = call_file(&program, &[TURN]);
    let url = format!("llmUrl={}/v1", server.uri());
    assert_eq!(replay(&program, &[], &["--set", &url, &calls]).await.0, Some(0));
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
    let tape = program.folder.path().join("tape.jsonl").display().to_string();
    let (code, _, said) = replay(&program, &[], &["--record-cassette", &tape, &calls]).await;
    assert_eq!(code, Some(6));
    assert!(said.contains("llmUrl is not set"), "{said}");
    std::fs::write(&tape, "{}\n").unwrap();
    let (code, _, said) = replay(&program, &[], &["--llm-cassette", &tape, &calls]).await;
    assert_eq!(code, Some(5));
    assert!(said.contains("tape.jsonl:1: no answer of an LLM"), "{said}");
}
