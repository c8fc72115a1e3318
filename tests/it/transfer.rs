//! From three angry turns to the human's phone, through the whole program: a room that hands over its SIP dialog, and
//! SIPp as the peer that gets the REFER.

use std::time::Duration;

use sentiment_sidecar::config::settings::SipTransport;
use serde_json::{Value, json};

use crate::sip::sipp::Sipp;
use crate::support::{Connection, Hook, Program, Room, Running};

fn settings(hook: &Hook, transport: SipTransport) -> Value {
    json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
        "sentimentNotifyWebhook": hook.url, "sentimentWebhookAllow": ["127.0.0.1"], "sentimentWebhookDetail": "full",
        "sentimentSipListen": "127.0.0.1:0", "sentimentSipTransport": transport,
        "sentimentRingingTimeoutMs": 2000, "sentimentTransferDeadlineMs": 4000, "sentimentSayDeadlineMs": 5000})
}

/// Attaches to a room that hands over a dialog with the peer, and lets the caller be angry until the handover
/// sentence is said.
async fn escalate(
    program: &Program,
    room: &Room,
    peer: &Sipp,
    settings: Value,
    cseq: Option<u32>,
) -> (Running, Connection) {
    let mut sidecar = program.attach(room, settings);
    let (mut connection, _) = room.accept().await;
    connection
        .send(json!({"type": "welcome", "version": 1, "session_id": "session-1", "room_name": "room_abc123",
            "capabilities": ["say"], "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}],
            "call": {"id": "call-1", "sip": {"call_id": "handed-over@127.0.0.1", "local_tag": "agent-tag", "remote_tag": "caller-tag",
                "local_uri": "sip:agent@127.0.0.1", "remote_uri": format!("sip:caller@{}", peer.address),
                "remote_target": format!("sip:caller@{}", peer.address), "cseq": cseq}}}))
        .await;
    sidecar.event("attached").await;
    connection.seed_turns(1).await;
    let say = connection.command("say").await;
    connection.result(4, &say, "done", None).await;
    (sidecar, connection)
}

#[tokio::test]
async fn a_human_who_answers_ends_the_rating_and_no_webhook_is_sent() {
    for transport in [SipTransport::Udp, SipTransport::Tcp] {
        let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
        let peer = Sipp::start("result", transport, 1, &[("final", "200 OK")]).await;
        let (mut sidecar, mut connection) = escalate(&program, &room, &peer, settings(&hook, transport), Some(7)).await;
        let outcome = sidecar.event("outcome").await;
        assert_eq!((&outcome["transfer"]["outcome"], &outcome["fallback"]), (&json!("transferred"), &json!(false)));
        let steps: Vec<&Value> =
            sidecar.seen.iter().filter(|e| e["type"] == "transfer").map(|e| &e["progress"]["step"]).collect();
        assert_eq!(steps, ["refer_sent", "accepted", "trying", "ringing", "result"]);
        connection.turn(5, 3, "you people are unbelievable").await;
        connection.end(6).await;
        assert_eq!(sidecar.exit().await, Some(0));
        assert_eq!(sidecar.count("turn"), 3, "a human has the caller");
        assert!(hook.is_quiet_for(Duration::from_millis(200)).await);
        assert!(peer.finish().await.passed);
    }
}

#[tokio::test]
async fn a_busy_human_comforts_the_caller_and_falls_back_to_the_webhook() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let peer = Sipp::start("result", SipTransport::Udp, 1, &[("final", "486 Busy Here")]).await;
    let (mut sidecar, mut connection) =
        escalate(&program, &room, &peer, settings(&hook, SipTransport::Udp), Some(7)).await;
    let comfort = connection.command("say").await;
    assert_eq!(comfort["command_id"], "say-fallback-u3");
    let attempt = hook.attempt().await;
    attempt.verify();
    let body: Value = serde_json::from_str(&attempt.body).unwrap();
    assert_eq!((&body["action"], &body["transfer"]["outcome"]), (&json!("transfer"), &json!("busy")), "{body}");
    attempt.answer(200).await;
    sidecar.event("delivery").await;
    connection.end(5).await;
    assert_eq!(sidecar.exit().await, Some(0));
}

#[tokio::test]
async fn accepted_and_then_silence_is_unknown_and_told() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let peer = Sipp::start("silence", SipTransport::Udp, 1, &[]).await;
    let (mut sidecar, connection) = escalate(&program, &room, &peer, settings(&hook, SipTransport::Udp), Some(7)).await;
    let attempt = hook.attempt().await;
    attempt.verify();
    attempt.answer(200).await;
    let outcome = sidecar.event("outcome").await;
    assert_eq!(outcome["transfer"]["outcome"], "unknown");
    connection.end(5).await;
    assert_eq!(sidecar.exit().await, Some(0));
}

#[tokio::test]
async fn without_a_reserved_cseq_the_dialog_is_named_from_outside() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let peer = Sipp::start("target_dialog", SipTransport::Udp, 1, &[]).await;
    let (mut sidecar, connection) = escalate(&program, &room, &peer, settings(&hook, SipTransport::Udp), None).await;
    assert_eq!(sidecar.event("outcome").await["transfer"]["outcome"], "transferred");
    connection.end(5).await;
    assert_eq!(sidecar.exit().await, Some(0));
    let seen = peer.finish().await;
    let refer = String::from_utf8_lossy(&seen.received[0]).into_owned();
    assert!(refer.contains("Target-Dialog: handed-over@127.0.0.1"), "{refer}");
}

#[tokio::test]
async fn a_dialog_that_would_break_out_of_its_field_sends_nothing() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let mut sidecar = program.attach(&room, settings(&hook, SipTransport::Udp));
    let (mut connection, _) = room.accept().await;
    connection
        .send(json!({"type": "welcome", "version": 1, "session_id": "session-1", "room_name": "room_abc123",
            "participants": [{"id": "c", "role": "caller"}],
            "call": {"sip": {"call_id": "abc\r\nX-Evil: 1", "local_tag": "a", "remote_tag": "b"}}}))
        .await;
    connection.seed_turns(1).await;
    let attempt = hook.attempt().await;
    attempt.verify();
    let body: Value = serde_json::from_str(&attempt.body).unwrap();
    assert_eq!(body["transfer"]["outcome"], "rejected", "{body}");
    attempt.answer(200).await;
    sidecar.event("delivery").await;
    connection.end(4).await;
    assert_eq!(sidecar.exit().await, Some(0));
}
