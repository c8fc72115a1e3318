//! `compare`: two agent documents over the same calls.

use serde_json::{Value, json};

use crate::support::{Program, soon};

async fn compare(program: &Program, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = program.command(&[&["compare"], args].concat());
    let output = soon("the end", command.stderr(std::process::Stdio::piped()).output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A call whose ratings are pinned.
fn call(program: &Program, name: &str, ratings: &[f64], expected: Value) {
    let mut lines = vec![json!({"type": "recording", "version": 1, "room_name": name})];
    lines.extend(ratings.iter().enumerate().map(|(at, _)| {
        json!({"type": "turn.ended", "at_ms": 1000 * at, "seq": at + 1, "turn_id": format!("t{at}"),
            "participant_id": "caller", "text": format!("line {} of {name}", at + 1)})
    }));
    lines.extend(
        ratings
            .iter()
            .enumerate()
            .map(|(at, sentiment)| json!({"type": "rating", "turn_id": format!("t{at}"), "sentiment": sentiment})),
    );
    lines.push(json!({"type": "expect", "escalate_at_turn": expected}));
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let folder = program.folder.path().join("calls");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.jsonl")), text).unwrap();
}

fn agent(program: &Program, name: &str, settings: Value) -> String {
    let path = program.folder.path().join(name);
    std::fs::write(&path, settings.to_string()).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn the_calls_that_flip_are_told_with_the_turn_that_decided() {
    let program = Program::new();
    call(&program, "angry", &[2.0, 2.0, 5.0, 2.0], json!(2));
    call(&program, "calm", &[5.0, 6.0], Value::Null);
    call(&program, "long", &[2.0, 2.0, 2.0], json!(3));
    call(&program, "sour", &[3.5, 3.5, 3.5], Value::Null);
    let a = agent(&program, "a.json", json!({"sentimentThreshold": 3, "sentimentWindowTurns": 3}));
    let b = agent(&program, "b.json", json!({"sentimentThreshold": 3, "sentimentWindowTurns": 2}));
    let calls = program.folder.path().join("calls").display().to_string();

    let (code, text, _) = compare(&program, &[&a, &b, &calls, "--format", "json"]).await;
    assert_eq!(code, Some(0));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let file = |name: &str| format!("{calls}/{name}.jsonl");
    let decided = |turn: u32, name: &str| json!({"turn": turn, "rule": "streak", "sentiment": 2.0, "text": format!("line {turn} of {name}")});
    let flip =
        |name: &str, a: Value, b: Value| json!({"type": "flip", "file": file(name), "escalate": true, "a": a, "b": b});
    assert_eq!(lines[0], flip("angry", Value::Null, decided(2, "angry")));
    assert_eq!(lines[1], flip("long", decided(3, "long"), decided(2, "long")));
    assert_eq!(lines.len(), 4);
    assert_eq!(
        (&lines[2]["side"], &lines[2]["rate"]["count"], &lines[2]["recall"]["count"]),
        (&json!("A"), &json!(1), &json!(1))
    );
    assert_eq!(
        (&lines[3]["side"], &lines[3]["rate"]["count"], &lines[3]["recall"]["of"]),
        (&json!("B"), &json!(2), &json!(2))
    );

    let (code, table, said) = compare(&program, &[&a, &b, &calls]).await;
    assert_eq!(code, Some(0));
    for document in [&a, &b] {
        assert!(said.contains(&format!("sentimentEscalationEnabled is off in {document}")), "{said}");
    }
    let on = agent(&program, "on.json", json!({"sentimentEscalationEnabled": true}));
    assert_eq!(compare(&program, &[&on, &on, &calls]).await.2, "");
    for part in
        ["ESCALATE UNDER B ALONE  1", "ESCALATE AT ANOTHER TURN  1", "turn 2, streak rule, rated 2.0", "2 calls flip"]
    {
        assert!(table.contains(part), "no {part} in:\n{table}");
    }
    assert!(!table.contains("UNDER A ALONE"));
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_so_are_wrong_settings() {
    let program = Program::new();
    call(&program, "calm", &[5.0], Value::Null);
    let good = agent(&program, "a.json", json!({}));
    let bad = agent(&program, "b.json", json!({"sentimentThreshold": 11}));
    let calls = program.folder.path().join("calls").display().to_string();
    let (code, _, said) = compare(&program, &[&good, &bad, &calls]).await;
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("b.json") && said.contains("sentimentThreshold"), "{said}");
    let (code, text, said) = compare(&program, &[&good, &good, &calls, "/no/such/call"]).await;
    assert_eq!((code, said.contains("/no/such/call")), (Some(5), true), "{said}");
    assert!(text.contains("0 calls flip"), "{text}");
    assert_eq!(compare(&program, &[&good, &good]).await.0, Some(2));
}
