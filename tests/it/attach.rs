//! `attach` against a room that someone else could have written.

use serde_json::json;

use crate::support::{Hook, PATIENCE, Program, Room, SEED_TURNS, soon};

fn notify(hook: &Hook) -> serde_json::Value {
    json!({"sentimentEscalationAction": "notify", "sentimentNotifyWebhook": hook.url, "sentimentWebhookAllow": ["127.0.0.1"]})
}

#[tokio::test]
async fn the_seeds_call_notifies_once_with_the_five_fields() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let mut sidecar = program.attach(&room, notify(&hook));
    let (mut connection, hello) = room.accept().await;
    assert_eq!(hello["room_name"], "room_abc123");
    connection.welcome(&[], false).await;
    assert_eq!(connection.until("tools.register").await["tools"][0]["name"], "escalate_sentiment");
    connection.seed_turns(1).await;
    let attempt = hook.attempt().await;
    attempt.verify();
    let body: serde_json::Value = serde_json::from_str(&attempt.body).unwrap();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert_eq!(body["event"], "sentiment.alert");
    assert_eq!(body["room_name"], "room_abc123");
    assert_eq!(body["action"], "notify");
    assert!(body["sentiment_score"].as_u64().unwrap() <= 2);
    attempt.answer(204).await;
    connection.end(4).await;
    assert_eq!(sidecar.exit().await, Some(0));
    assert_eq!((sidecar.count("turn"), sidecar.count("escalation"), sidecar.count("delivery")), (3, 1, 1));
    let end = sidecar.seen.iter().find(|e| e["type"] == "ended").unwrap();
    assert_eq!((&end["escalated"], &end["at_turn"]), (&json!(true), &json!(3)), "{end}");
    assert!(hook.is_quiet_for(std::time::Duration::from_millis(300)).await);
}

#[tokio::test]
async fn a_disabled_sidecar_says_so_and_does_not_join() {
    let (room, program) = (Room::start().await, Program::new());
    let mut sidecar = program.attach(&room, json!({"sentimentEscalationEnabled": false}));
    assert_eq!(sidecar.event("disabled").await["reason"], "sentimentEscalationEnabled is false");
    assert_eq!(sidecar.exit().await, Some(0));
}

#[tokio::test]
async fn cuts_duplicates_and_reordering_neither_lose_nor_double_anything() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let mut sidecar = program.attach(&room, notify(&hook));
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    connection.turn(1, 0, SEED_TURNS[0]).await;
    sidecar.event("turn").await;
    // Cut without a close frame, after one turn.
    drop(connection);
    let (mut connection, hello) = room.accept().await;
    assert_eq!(hello["resume"], json!({"session_id": "session-1", "last_seq": 1}));
    connection.welcome(&[], true).await;
    // The first again, the third before the second, everything twice.
    for (seq, n) in [(1, 0), (3, 2), (2, 1), (3, 2), (2, 1)] {
        connection.turn(seq, n, SEED_TURNS[n]).await;
    }
    let attempt = hook.attempt().await;
    attempt.verify();
    attempt.answer(200).await;
    sidecar.event("delivery").await;
    connection.end(4).await;
    assert_eq!(sidecar.exit().await, Some(0));
    assert_eq!((sidecar.count("turn"), sidecar.count("escalation")), (3, 1), "{:#?}", sidecar.seen);
    assert!(hook.is_quiet_for(std::time::Duration::from_millis(300)).await);
}

#[tokio::test]
async fn a_transfer_command_is_announced_carried_out_and_ends_rating() {
    let (room, program) = (Room::start().await, Program::new());
    let settings = json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234"});
    let mut sidecar = program.attach(&room, settings);
    let (mut connection, _) = room.accept().await;
    connection.welcome(&["transfer", "say"], false).await;
    connection.seed_turns(1).await;
    let say = connection.command("say").await;
    assert!(say["args"]["text"].as_str().unwrap().contains("connect you with a supervisor"));
    connection.result(4, &say, "done", None).await;
    let transfer = connection.command("transfer").await;
    assert_eq!(transfer["args"]["target"], "+14155551234");
    connection.result(5, &transfer, "accepted", None).await;
    connection.result(6, &transfer, "done", None).await;
    assert_eq!(sidecar.event("outcome").await["transfer"]["outcome"], "transferred");
    connection.turn(7, 3, "this is outrageous").await;
    connection.end(8).await;
    assert_eq!(sidecar.exit().await, Some(0));
    assert_eq!(sidecar.count("turn"), 3);
}

#[tokio::test]
async fn sigterm_rates_the_open_turn_and_leaves_with_zero() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let mut sidecar = program.attach(&room, notify(&hook));
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    for (n, text) in SEED_TURNS[..2].iter().enumerate() {
        connection.turn(n as u64 + 1, n, text).await;
        sidecar.event("turn").await;
    }
    connection
        .send(json!({"type": "transcript", "seq": 3, "segment_id": "s3", "participant_id": "c",
            "text": SEED_TURNS[2], "final": true}))
        .await;
    // The acknowledgement says that the open turn's words have arrived.
    while connection.until("ack").await["seq"] != 3 {}
    sidecar.signal("-TERM");
    let attempt = hook.attempt().await;
    attempt.verify();
    attempt.answer(200).await;
    connection.drain().await;
    assert_eq!(sidecar.exit().await, Some(0));
    assert_eq!((sidecar.count("escalation"), sidecar.count("delivery")), (1, 1));
}

#[tokio::test]
async fn bad_frames_are_answered_and_the_call_goes_on() {
    let (room, program) = (Room::start().await, Program::new());
    let mut sidecar = program.attach(&room, json!({}));
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    for frame in ["{not json", "[]", r#"{"type":"transcript","text":7}"#, r#"{"type":"news","x":1}"#] {
        let frame = tokio_tungstenite::tungstenite::Message::text(frame);
        futures_util::SinkExt::send(&mut connection.socket, frame).await.unwrap();
    }
    connection.until("error").await;
    connection.seed_turns(1).await;
    sidecar.event("escalation").await;
    connection.end(4).await;
    assert_eq!(sidecar.exit().await, Some(0));
}

#[tokio::test]
async fn exit_codes_tell_what_went_wrong() {
    let (room, program) = (Room::start().await, Program::new());
    let mut sidecar = program.attach(&room, json!({"sentimentThreshhold": 3}));
    assert_eq!(sidecar.exit().await, Some(6));
    let mut sidecar = program
        .attach(&room, json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+1 (415) DROP"}));
    assert_eq!(sidecar.exit().await, Some(6));
    let mut sidecar = program.attach(
        &room,
        json!({"sentimentEscalationAction": "notify", "sentimentNotifyWebhook": "http://169.254.169.254/latest"}),
    );
    assert_eq!(sidecar.exit().await, Some(6));
    std::fs::write(program.store(), "this is not a database, but it is long enough to look like one".repeat(100))
        .unwrap();
    let mut sidecar = program.attach(&room, json!({}));
    assert_eq!(sidecar.exit().await, Some(9));
    std::fs::remove_file(program.store()).unwrap();
    let mut sidecar = program.attach(&room, json!({}));
    let (mut connection, _) = room.accept().await;
    let refusal = json!({"type": "error", "code": "auth", "message": "no"});
    connection.send(refusal).await;
    let close = tokio_tungstenite::tungstenite::protocol::CloseFrame { code: 4401.into(), reason: "no".into() };
    connection.socket.close(Some(close)).await.unwrap();
    assert_eq!(sidecar.exit().await, Some(7));
}

#[tokio::test]
async fn an_event_line_is_written_even_when_nobody_reads_any_more() {
    let (room, program) = (Room::start().await, Program::new());
    let mut command = program.command(&[
        "attach",
        "--room-url",
        &room.url,
        "--room",
        "room_abc123",
        "--set",
        "sentimentEscalationEnabled=true",
    ]);
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let (mut connection, _) = room.accept().await;
    connection.welcome(&["set_flag"], false).await;
    connection.seed_turns(1).await;
    connection.command("set_flag").await;
    connection.end(4).await;
    let status = soon("the end", tokio::time::timeout(PATIENCE, child.wait())).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn the_journal_of_a_live_call_comes_out_the_same_again() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let journal = program.folder.path().join("journal").display().to_string();
    let mut command = program.attach_command(&room, notify(&hook));
    command.args(["--journal", &journal]);
    let mut sidecar = crate::support::Running::new(command);
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    connection.seed_turns(1).await;
    hook.attempt().await.answer(204).await;
    connection.end(4).await;
    assert_eq!(sidecar.exit().await, Some(0));
    let agent = program.folder.path().join("agent.json").display().to_string();
    let mut again = program.run(&["replay", "--journal", &journal, "--agent", &agent, "--format", "json"]);
    assert_eq!(again.event("journal").await["again"]["difference"], serde_json::Value::Null);
    assert_eq!(again.exit().await, Some(0));
    let mut other = program.run(&["replay", "--journal", &journal, "--threshold", "9", "--format", "json"]);
    assert!(other.event("journal").await["again"]["difference"]["line"].is_u64());
    assert_eq!(other.exit().await, Some(3));
}
