//! The commands that ask an LLM while nobody is on the phone, and the cassettes that spare them asking.

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::{TURN, good, server};
use crate::support::{Program, soon};

const LABELLED: &str = concat!(
    r#"{"id":"1","escalate":true,"at":1,"turns":[{"role":"caller","text":"I have called three times now and nobody ever rang me back.","sentiment":2},"#,
    r#"{"role":"agent","text":"I see."},{"role":"caller","text":"This is the fourth time I explain it.","sentiment":2.5}]}"#,
    "\n",
    r#"{"id":"2","escalate":false,"turns":[{"role":"caller","text":"I would like to change my address, please.","sentiment":5},"#,
    r#"{"role":"agent","text":"Certainly."}]}"#,
    "\n",
);

fn call_file(program: &Program, turns: &[&str]) -> String {
    let turns: Vec<Value> = turns.iter().map(|text| json!({"role": "caller", "text": text})).collect();
    let turns: Vec<Value> =
        turns.into_iter().flat_map(|turn| [turn, json!({"role": "agent", "text": "I see."})]).collect();
    let path = program.folder.path().join("calls.jsonl");
    std::fs::write(&path, json!({"id": "7", "turns": turns}).to_string()).unwrap();
    path.display().to_string()
}

/// Runs the program with something to read, and returns what it prints on either stream.
async fn run(program: &Program, env: &[(&str, &str)], args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = program.command(args);
    let file = program.folder.path().join("input");
    std::fs::write(&file, input).unwrap();
    command.stdin(std::fs::File::open(file).unwrap());
    command.envs(env.iter().copied()).stderr(std::process::Stdio::piped());
    let output = soon(args[0], command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The same for `replay --format json`.
async fn replay(program: &Program, env: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String, String) {
    run(program, env, &[&["replay", "--format", "json"], args].concat(), "").await
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

#[tokio::test]
async fn evaluate_asks_the_llm_that_is_set_and_a_cassette_gives_the_same_figures_for_free() {
    let server = server(good(1.0)).await;
    let program = Program::new();
    let path = |name: &str| program.folder.path().join(name).display().to_string();
    let (calls, tape, url) = (path("labelled.jsonl"), path("tape.jsonl"), format!("llmUrl={}/v1", server.uri()));
    // Many calls at a time are too many for an LLM that takes one question at a time: they wait in line.
    let many = LABELLED.lines().cycle().take(40).enumerate();
    let many: String = many.map(|(n, line)| line.replace("I ", &format!("On day {n} I ")) + "\n").collect();
    std::fs::write(&calls, many).unwrap();
    let evaluate = ["evaluate", "--format", "json", "--window", "2", calls.as_str()];
    let asks = [&evaluate[..], &["--set", &url, "--set", "llmMaxInFlight=1"]].concat();
    let (code, asked, said) = run(&program, &[], &asks, "").await;
    assert_eq!((code, said.as_str()), (Some(0), "LLM: answered 60\n"));
    let (_, alone, said) = run(&program, &[], &evaluate, "").await;
    assert_eq!(said, "", "nobody is asked where no LLM is set");
    assert_ne!(asked, alone, "the LLM moves ratings");
    let (code, recorded, said) = run(&program, &[], &[&asks[..], &["--record-cassette", &tape]].concat(), "").await;
    assert_eq!(
        (code, recorded.as_str(), said.as_str()),
        (Some(0), asked.as_str(), "LLM: answered 60; 60 answers on the cassette\n")
    );
    drop(server);
    let (code, played, said) = run(&program, &[], &[&evaluate[..], &["--llm-cassette", &tape]].concat(), "").await;
    assert_eq!((code, played), (Some(0), recorded));
    assert!(said.starts_with("LLM: 60 answers from the cassette, 0 turns not on it"), "{said}");
}

#[tokio::test]
async fn rate_asks_the_llm_that_is_set_and_says_so() {
    let server = server(good(1.0)).await;
    let program = Program::new();
    let tape = program.folder.path().join("tape.jsonl").display().to_string();
    let input =
        format!("{TURN}\nyeah\nDas ist wirklich eine Unverschämtheit, ich warte seit drei Wochen auf den Techniker.\n");
    let env = [("SIDECAR_LLM_URL", &*format!("{}/v1", server.uri()))];
    let (code, rated, said) = run(&program, &env, &["rate", "--record-cassette", &tape], &input).await;
    assert_eq!((code, said.as_str()), (Some(0), "LLM: answered 2; 2 answers on the cassette\n"));
    let lines: Vec<Value> = rated.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sources: Vec<&Value> = lines.iter().map(|line| &line["source"]).collect();
    assert_eq!(sources, [&json!("blend"), &Value::Null, &json!("llm")], "{rated}");
    drop(server);
    let (code, played, _) = run(&program, &[], &["rate", "--llm-cassette", &tape], &input).await;
    assert_eq!((code, played), (Some(0), rated));
    let (code, alone, said) = run(&program, &[], &["rate"], &format!("{TURN}\n")).await;
    assert_eq!((code, said.as_str(), alone.contains("source")), (Some(0), "", false));
    let (code, _, said) = run(&program, &[], &["rate", "--set", "llmDeadlineMs=5"], &input).await;
    assert_eq!(code, Some(6));
    assert!(said.contains("llmDeadlineMs"), "{said}");
}

#[tokio::test]
async fn an_llm_that_answers_about_nothing_is_no_second_opinion() {
    let server = server(ResponseTemplate::new(401)).await;
    let program = Program::new();
    let url = format!("llmUrl={}/v1", server.uri());
    let (code, rated, said) = run(&program, &[], &["rate", "--set", &url], &format!("{TURN}\nyeah\n")).await;
    assert_eq!((code, rated.lines().count()), (Some(1), 2), "{said}");
    let told = "LLM: status 1 (HTTP 401); 1 turn without an answer has the embedded rating alone\n";
    assert!(said.starts_with(told) && said.contains("the LLM answered about no turn"), "{said}");
    // Nobody was asked about filler.
    let (code, _, said) = run(&program, &[], &["rate", "--set", &url], "yeah\n").await;
    assert_eq!((code, said.as_str()), (Some(0), "LLM: nothing asked\n"));
    let calls = program.folder.path().join("labelled.jsonl");
    std::fs::write(&calls, LABELLED).unwrap();
    let (code, figures, said) = run(&program, &[], &["evaluate", "--set", &url, calls.to_str().unwrap()], "").await;
    assert_eq!((code, figures.is_empty()), (Some(1), false), "{said}");
}

#[tokio::test]
async fn demo_asks_the_llm_that_is_set_and_shows_it() {
    let server = server(good(1.0)).await;
    let program = Program::new();
    let url = format!("llmUrl={}/v1?key=hunter2", server.uri());
    // The deadline leaves room for a busy machine.
    let set = ["--set", &url, "--set", "llmDeadlineMs=1900"];
    let args = [&["demo", "--speed", "40", "--action", "flag"], &set[..]].concat();
    let (code, shown, said) = run(&program, &[], &args, "").await;
    assert_eq!(code, Some(0), "{said}");
    assert!(shown.contains(&format!("llm      {}/v1", server.uri())) && shown.contains("gpt-4o-mini"), "{shown}");
    assert!(shown.contains("What came of asking the LLM\n  answered 3\n"), "{shown}");
    assert!(shown.contains("Promised calls never came"), "the alert has the LLM's words: {shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}
