//! Attended transfers through the whole program: a room that hands over its SIP dialog, a human's phone that rings, and the
//! caller's side that gets the REFER.

use std::net::SocketAddr;

use sentiment_sidecar::config::settings::SipTransport;
use serde_json::{Value, json};

use crate::sip::human::Phone;
use crate::sip::peers::wav;
use crate::sip::sipp::Sipp;
use crate::sip::{but_acceptance, lies_ready};
use crate::support::{Connection, Hook, Program, Room, Running};

fn settings(hook: &Hook, human: SocketAddr) -> Value {
    json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
        "sentimentNotifyWebhook": hook.url, "sentimentWebhookAllow": ["127.0.0.1"], "sentimentWebhookDetail": "full",
        "sentimentTransferMode": "attended", "sentimentAcceptDigit": "5", "sentimentSipListen": "127.0.0.1:0",
        "sentimentSipTargetDomain": human.to_string(), "sentimentSayDeadlineMs": 5000})
}

/// Attaches to a room that offers a transfer of its own and hands over the dialog with the caller's side, and lets the
/// caller be angry until the handover sentence is said.
async fn escalate(program: &Program, room: &Room, caller: SocketAddr, settings: Value) -> (Running, Connection) {
    let mut sidecar = program.attach(room, settings);
    let (mut connection, _) = room.accept().await;
    connection
        .send(json!({"type": "welcome", "version": 1, "session_id": "session-1", "room_name": "room_abc123",
            "capabilities": ["say", "transfer"],
            "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}],
            "call": {"id": "call-1", "sip": {"call_id": "handed-over@127.0.0.1", "local_tag": "agent-tag",
                "remote_tag": "caller-tag", "local_uri": "sip:agent@127.0.0.1",
                "remote_uri": format!("sip:caller@{caller}"), "remote_target": format!("sip:caller@{caller}"), "cseq": 7}}}))
        .await;
    sidecar.event("attached").await;
    connection.seed_turns(1).await;
    let say = connection.command("say").await;
    connection.result(4, &say, "done", None).await;
    (sidecar, connection)
}

async fn step(sidecar: &mut Running, step: &str) {
    while sidecar.event("transfer").await["progress"]["step"] != step {}
}

#[tokio::test]
async fn a_human_who_presses_the_key_gets_the_caller() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let caller = Sipp::start("result", SipTransport::Udp, 1, &[("final", "200 OK")]).await;
    let phone = Phone::ring("127.0.0.1").await;
    let human = phone.address();
    let answering = tokio::spawn(async move {
        let call = phone.answer("human").await;
        assert!(call.hears_the_whisper().await);
        call.press(5, 1_000).await;
        call.is_hung_up().await;
    });
    let (mut sidecar, connection) = escalate(&program, &room, caller.address, settings(&hook, human)).await;
    let outcome = sidecar.event("outcome").await;
    assert_eq!((&outcome["transfer"]["outcome"], &outcome["fallback"]), (&json!("transferred"), &json!(false)));
    let steps: Vec<&Value> =
        sidecar.seen.iter().filter(|e| e["type"] == "transfer").map(|e| &e["progress"]["step"]).collect();
    assert_eq!(
        but_acceptance(steps, &&json!("accepted")),
        ["invite_sent", "ringing", "answered", "taken", "refer_sent", "trying", "ringing", "result"]
    );
    answering.await.unwrap();
    connection.end(5).await;
    assert_eq!(sidecar.exit().await, Some(0));
    assert!(caller.finish().await.passed);
}

#[tokio::test]
async fn a_human_who_declines_leaves_the_caller_with_the_agent_and_gets_the_alert() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let caller = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let human = Sipp::start("human_refuses", SipTransport::Udp, 1, &[("status", "603 Decline")]).await;
    let (mut sidecar, mut connection) =
        escalate(&program, &room, caller.local_addr().unwrap(), settings(&hook, human.address)).await;
    let comfort = connection.command("say").await;
    assert_eq!(comfort["command_id"], "say-fallback-u3");
    let attempt = hook.attempt().await;
    attempt.verify();
    let body: Value = serde_json::from_str(&attempt.body).unwrap();
    assert_eq!((&body["action"], &body["transfer"]["outcome"]), (&json!("transfer"), &json!("declined")), "{body}");
    attempt.answer(200).await;
    sidecar.event("delivery").await;
    connection.end(5).await;
    assert_eq!(sidecar.exit().await, Some(0));
    assert!(human.finish().await.passed);
    assert_eq!(lies_ready(&caller), None, "nothing went to the caller's side");
}

#[tokio::test]
async fn a_caller_who_hangs_up_ends_the_ringing_at_once() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let caller = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let human = Sipp::start("human_rings", SipTransport::Udp, 1, &[]).await;
    let (mut sidecar, mut connection) =
        escalate(&program, &room, caller.local_addr().unwrap(), settings(&hook, human.address)).await;
    step(&mut sidecar, "ringing").await;
    let hung_up = tokio::time::Instant::now();
    connection.send(json!({"type": "participant.left", "seq": 5, "participant": {"id": "c", "role": "caller"}})).await;
    let seen = human.finish().await;
    assert!(seen.passed, "{}", seen.errors);
    // The rule's two seconds of grace for a success have nothing to do with a phone that only rings.
    assert!(hung_up.elapsed().as_millis() < 1_900, "{:?}", hung_up.elapsed());
    assert_eq!(sidecar.event("outcome").await["transfer"]["outcome"], "caller_gone");
    let attempt = hook.attempt().await;
    attempt.verify();
    attempt.answer(200).await;
    sidecar.event("delivery").await;
    connection.end(6).await;
    assert_eq!(sidecar.exit().await, Some(0));
}

#[tokio::test]
async fn a_process_that_stops_ends_the_ringing_before_it_ends() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let caller = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let human = Sipp::start("human_rings", SipTransport::Udp, 1, &[]).await;
    let (mut sidecar, mut connection) =
        escalate(&program, &room, caller.local_addr().unwrap(), settings(&hook, human.address)).await;
    step(&mut sidecar, "ringing").await;
    sidecar.signal("-TERM");
    let drained = tokio::spawn(async move { connection.drain().await });
    assert_eq!(sidecar.event("outcome").await["transfer"]["outcome"], "cancelled");
    hook.attempt().await.answer(200).await;
    assert_eq!(sidecar.exit().await, Some(0));
    let seen = human.finish().await;
    assert!(seen.passed, "{}", seen.errors);
    drained.abort();
}

/// How loud a frame is, and how loud the part of it that is a tone of 1000 Hz, both as the amplitude of a tone.
fn loudness(frame: &[i16]) -> (f64, f64) {
    let (mut square, mut sine, mut cosine) = (0.0, 0.0, 0.0);
    for (n, sample) in frame.iter().map(|sample| f64::from(*sample)).enumerate() {
        let turn = std::f64::consts::TAU * n as f64 / 8.0;
        (square, sine, cosine) = (square + sample * sample, sine + sample * turn.sin(), cosine + sample * turn.cos());
    }
    let length = frame.len() as f64;
    ((2.0 * square / length).sqrt(), sine.hypot(cosine) * 2.0 / length)
}

#[tokio::test]
async fn a_whisper_of_the_settings_is_what_the_human_hears() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let caller = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let file = program.folder.path().join("whisper.wav");
    // A second of 1000 Hz, as loud as no word of the built-in prompt for long.
    let tone = (0..8000).map(|n| (9000.0 * (std::f64::consts::TAU * f64::from(n) / 8.0).sin()) as i16);
    std::fs::write(&file, wav(&tone.collect::<Vec<_>>())).unwrap();
    let phone = Phone::ring("127.0.0.1").await;
    let mut settings = settings(&hook, phone.address());
    settings["sentimentWhisperFile"] = json!(file);
    let answering = tokio::spawn(async move {
        let call = phone.answer("human").await;
        // A moment of silence, and then the tone.
        let heard = call.hears(90).await;
        call.press(2, 1_000).await;
        call.is_hung_up().await;
        heard
    });
    let (mut sidecar, connection) = escalate(&program, &room, caller.local_addr().unwrap(), settings).await;
    hook.attempt().await.answer(200).await;
    assert_eq!(sidecar.event("outcome").await["transfer"]["outcome"], "declined");
    sidecar.event("delivery").await;
    let frames = answering.await.unwrap();
    let loud: Vec<(f64, f64)> = frames.iter().map(|frame| loudness(frame)).filter(|(all, _)| *all > 100.0).collect();
    assert_eq!(loud.len(), 50, "a second: {loud:?}");
    for (all, tone) in loud {
        assert!((all - 9000.0).abs() < 300.0 && tone > 0.99 * all, "{all} {tone}");
    }
    connection.end(5).await;
    assert_eq!(sidecar.exit().await, Some(0));
}

#[tokio::test]
async fn a_whisper_that_cannot_be_played_is_refused_at_the_start() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let mut settings = settings(&hook, "127.0.0.1:9".parse().unwrap());
    settings["sentimentWhisperFile"] = json!("/nowhere/whisper.wav");
    let mut sidecar = program.attach(&room, settings);
    assert_eq!(sidecar.exit().await, Some(6));
}
