//! What is shown of what others said: nothing that moves a terminal, no password, no caller's card.

use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Hook, Program, Room, Running, soon};

/// Escape, a forged line, the one-byte forms of CSI and OSC, a delete, and a mark that turns text around.
const HOSTILE: &str = "\u{1b}[31mred\r\nINFO forged\u{9b}2J\u{9d}0;x\u{7}\u{7f}\u{202e}back";

fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}')
}

async fn run(program: &Program, args: &[&str], env: &[(&str, &str)]) -> (Output, String) {
    let mut command = program.command(args);
    command.envs(env.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = soon("the program", command.output()).await.unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn what_a_room_says_moves_no_terminal_and_forges_no_line() {
    for format in ["text", "json"] {
        let (room, program) = (Room::start().await, Program::new());
        let log = program.folder.path().join("log");
        let mut command = program.attach_command(&room, json!({}));
        command.args(["--log-format", format]).env("SIDECAR_LOG", "debug").env_remove("NO_COLOR");
        command.stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
        let mut sidecar = Running::new(command);
        let (mut connection, _) = room.accept().await;
        connection.send(json!({"type": "error", "code": HOSTILE, "message": HOSTILE})).await;
        connection
            .send(json!({"type": "welcome", "version": 1, "session_id": HOSTILE, "room_name": HOSTILE,
                "participants": [{"id": "c", "role": "caller", "name": HOSTILE}]}))
            .await;
        sidecar.event("attached").await;
        connection.send(json!({"type": HOSTILE, "seq": 1})).await;
        connection.send(json!({"type": "agent.state", "seq": 2, "state": HOSTILE})).await;
        connection.send(json!({"type": "error", "code": HOSTILE, "message": HOSTILE})).await;
        sidecar.event("warning").await;
        connection.close(4401, "\u{1b}[31mno\r\nINFO forged\u{9b}2J").await;
        sidecar.exit().await;
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(is_plain(&log), "{format}: {log:?}");
        assert!(!log.lines().any(|line| line.starts_with("INFO forged")), "{log}");
        assert!(log.contains("the room goes by another name") && log.contains("red"), "{log}");
        if format == "json" {
            // The last line is the failure itself.
            let objects = log.lines().filter(|line| line.starts_with('{')).map(serde_json::from_str::<Value>);
            assert!(objects.map(Result::unwrap).fold(0, |count, _| count + 1) > 2, "{log}");
        }
    }
}

#[tokio::test]
async fn an_event_line_holds_no_control_character_and_says_the_same() {
    let (room, program) = (Room::start().await, Program::new());
    let mut command = program.attach_command(&room, json!({}));
    let out = program.folder.path().join("out");
    command.stdout(Stdio::from(std::fs::File::create(&out).unwrap()));
    let mut child = command.spawn().unwrap();
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    connection.turn(1, 0, &format!("this is useless {HOSTILE}")).await;
    connection.until("sentiment").await;
    connection.end(2).await;
    assert!(soon("the end", child.wait()).await.unwrap().success());
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(is_plain(&text), "{text:?}");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let turn = events.iter().find(|event| event["type"] == "turn").unwrap();
    assert!(turn["text"].as_str().unwrap().contains("\u{9b}2J"), "{turn}");
}

#[tokio::test]
async fn no_password_of_a_url_is_shown() {
    let program = Program::new();
    let agent = |settings: Value| {
        let file = program.folder.path().join("agent.json");
        let mut agent = json!({"sentimentEscalationEnabled": true});
        agent.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        std::fs::write(&file, agent.to_string()).unwrap();
        file.display().to_string()
    };
    let good = agent(json!({}));
    for (args, env) in [
        (vec!["attach", "--room-url", "wss://u:hunter2@host:99999/", "--room", "r"], vec![]),
        (vec!["attach", "--room-url", "wss://u:hunter2@host/", "--room", "r", "--agent", &good], vec![]),
        (vec!["attach", "--room-url", "wss://u:hun@ter2@host:x/", "--room", "r"], vec![]),
        (vec!["attach", "--room", "r"], vec![("SIDECAR_ROOM_URL", "wss://u:hunter2@host:99999/")]),
        (vec!["attach", "--help"], vec![("SIDECAR_ROOM_URL", "wss://u:hunter2@host/")]),
        (vec!["attach", "-h"], vec![("SIDECAR_STORE", "postgres://u:hunter2@db/x")]),
        (vec!["deliver", "--store", "postgres://u:hunter2@db/x"], vec![]),
        (vec!["deliver", "--help"], vec![("SIDECAR_STORE", "postgres://u:hunter2@db/x")]),
        (vec!["deliver"], vec![("SIDECAR_STORE", "sqlite://u:hunter2@host/x")]),
        (vec!["deliver", "https://u:hunter2@host/"], vec![]),
        (vec!["replay", "https://u:hunter2@host/x.jsonl"], vec![]),
        (vec!["doctor", "--room-url", "wss://u:hunter2@host/", "--room", "r", "--agent", &good], vec![]),
        (vec!["doctor", "--help"], vec![("SIDECAR_ROOM_URL", "wss://u:hunter2@host/")]),
        (vec!["doctor", "--agent", &good, "--sip=sip:u:hunter2@127.0.0.1 x"], vec![]),
        (vec!["doctor", "--set", "sentimentNotifyWebhook=https://u:hunter2@host/x"], vec![]),
        (vec!["doctor", "--set", "llmUrl=https://u:hunter2@host/v1"], vec![]),
        (vec!["doctor", "--set", "sentimentNotifyWebhook=ftp://u:hunter2@host/x"], vec![]),
    ] {
        let (_, said) = run(&program, &args, &env).await;
        assert!(!said.contains("hunter2") && !said.contains("ter2@"), "{args:?} {env:?}: {said}");
    }
}

#[tokio::test]
async fn a_log_in_a_file_has_no_colour() {
    let (room, program) = (Room::start().await, Program::new());
    let log = program.folder.path().join("log");
    let mut command = program.attach_command(&room, json!({}));
    command.env_remove("NO_COLOR").env("SIDECAR_LOG", "debug").env("TERM", "xterm-256color");
    command.stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
    let mut sidecar = Running::new(command);
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    sidecar.event("attached").await;
    connection.end(1).await;
    assert_eq!(sidecar.exit().await, Some(0));
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("DEBUG") && !log.contains('\u{1b}'), "{log:?}");
}

#[tokio::test]
async fn cards_and_long_numbers_are_masked_in_the_last_turns_and_no_word_is_lost() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let settings = json!({"sentimentEscalationAction": "notify", "sentimentNotifyWebhook": hook.url,
        "sentimentWebhookAllow": ["127.0.0.1"], "sentimentWebhookDetail": "full"});
    let mut sidecar = program.attach(&room, settings);
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    for (n, text) in [
        "this is ridiculous, my card is 4111 1111 1111 1111 and I said so 3 times",
        "useless: four one one one, one one one one and then I was cut off, call +44 20 7946-0018/mobile",
        "I want a human, oh, 98765432 or a manager, you said \"two days\"",
    ]
    .iter()
    .enumerate()
    {
        connection.turn(1 + n as u64, n, text).await;
    }
    let (_, body) = hook.attempt().await.accept().await;
    let turns: Vec<&str> = body["last_turns"].as_array().unwrap().iter().map(|t| t["text"].as_str().unwrap()).collect();
    assert_eq!(
        turns,
        [
            "this is ridiculous, my card is [number] and I said so 3 times",
            "useless: [number] and then I was cut off, call [number]/mobile",
            "I want a human, oh, [number] or a manager, you said \"two days\"",
        ]
    );
    connection.end(4).await;
    assert_eq!(sidecar.exit().await, Some(0));
    let stored = std::fs::read(program.store()).unwrap();
    let wal = std::fs::read(format!("{}-wal", program.store())).unwrap_or_default();
    for number in ["1111 1111", "7946-0018", "98765432"] {
        let found = |bytes: &[u8]| bytes.windows(number.len()).any(|window| window == number.as_bytes());
        assert!(!found(&stored) && !found(&wal), "{number} is in the store");
    }
}
