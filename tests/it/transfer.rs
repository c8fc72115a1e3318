//! From three angry turns to the human's phone, through the whole program: a room that hands over its SIP dialog, and
//! SIPp as the peer that gets the REFER.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sentiment_sidecar::config::settings::SipTransport;
use serde_json::{Value, json};

use crate::sip::but_acceptance;
use crate::sip::peers::{Answers, Baresip, Kamailio};
use crate::sip::sipp::{Sipp, free_port};
use crate::sip::ua::Call;
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
    escalate_in(program, room, dialog(peer, cseq), settings).await
}

fn dialog(peer: &Sipp, cseq: Option<u32>) -> Value {
    let address = peer.address;
    json!({"call_id": "handed-over@127.0.0.1", "local_tag": "agent-tag", "remote_tag": "caller-tag",
        "local_uri": "sip:agent@127.0.0.1", "remote_uri": format!("sip:caller@{address}"),
        "remote_target": format!("sip:caller@{address}"), "cseq": cseq})
}

/// The same in any dialog.
async fn escalate_in(program: &Program, room: &Room, dialog: Value, settings: Value) -> (Running, Connection) {
    anger(program.attach(room, settings), room, dialog).await
}

/// The same with a program that runs already.
async fn anger(mut sidecar: Running, room: &Room, dialog: Value) -> (Running, Connection) {
    let (mut connection, _) = room.accept().await;
    connection
        .send(json!({"type": "welcome", "version": 1, "session_id": "session-1", "room_name": "room_abc123",
            "capabilities": ["say"], "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}],
            "call": {"id": "call-1", "sip": dialog}}))
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
        assert_eq!(but_acceptance(steps, &&json!("accepted")), ["refer_sent", "trying", "ringing", "result"]);
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
    let steps = body["transfer_steps"].as_array().unwrap().clone();
    assert_eq!(
        json!(but_acceptance(steps, &json!({"step": "accepted", "sip_status": 202}))),
        json!([{"step": "refer_sent"}, {"step": "trying", "sip_status": 100}, {"step": "ringing", "sip_status": 180},
            {"step": "result", "sip_status": 486}])
    );
    attempt.answer(200).await;
    sidecar.event("delivery").await;
    connection.end(5).await;
    assert_eq!(sidecar.exit().await, Some(0));
}

#[tokio::test]
async fn each_step_is_in_the_log_and_in_the_journal_with_its_sip_status() {
    for (mode, scenario, status, expected) in [
        (
            "blind",
            "result",
            ("final", "486 Busy Here"),
            json!([{"step": "refer_sent"}, {"step": "trying", "sip_status": 100}, {"step": "ringing", "sip_status": 180},
                {"step": "result", "sip_status": 486}]),
        ),
        (
            "attended",
            "human_refuses",
            ("status", "603 Decline"),
            json!([{"step": "invite_sent"}, {"step": "ringing", "sip_status": 180},
                {"step": "refused", "sip_status": 603}]),
        ),
    ] {
        let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
        let peer = Sipp::start(scenario, SipTransport::Udp, 1, &[status]).await;
        let mut settings = settings(&hook, SipTransport::Udp);
        settings["sentimentTransferMode"] = json!(mode);
        settings["sentimentSipTargetDomain"] = json!(peer.address.to_string());
        settings["sentimentTransferDeadlineMs"] = json!(60_000);
        let [log, journal] = ["log", "journal"].map(|name| program.folder.path().join(name));
        let mut command = program.attach_command(&room, settings);
        command.args(["--log-format", "json", "--journal"]).arg(&journal).stderr(std::fs::File::create(&log).unwrap());
        // Whatever is asked of the SIP stack's own logs, which hold whole messages.
        command.env("SIDECAR_LOG", "info,rsipstack::transport=trace,rsipstack::transaction=trace");
        let (mut sidecar, connection) = anger(Running::new(command), &room, dialog(&peer, Some(7))).await;
        hook.attempt().await.answer(200).await;
        sidecar.event("delivery").await;
        connection.end(5).await;
        assert_eq!(sidecar.exit().await, Some(0));

        let accepted = json!({"step": "accepted", "sip_status": 202});
        let told = |steps: Vec<Value>| json!(if mode == "blind" { but_acceptance(steps, &accepted) } else { steps });
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(!text.contains("4155551234"), "a phone number: {text}");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let logged = lines.filter(|line| line["fields"]["message"] == "transfer");
        let logged = logged.map(|mut line| {
            assert_eq!(line["level"], "INFO");
            line["fields"].as_object_mut().unwrap().remove("message");
            line["fields"].take()
        });
        assert_eq!(told(logged.collect()), expected, "{mode}");

        let text = std::fs::read_to_string(&journal).unwrap();
        let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let entries = entries.filter(|entry| entry["in"]["event"]["input"] == "transfer_progress");
        let noted = entries.map(|mut entry| entry["in"]["event"]["progress"].take());
        assert_eq!(told(noted.collect()), expected, "{mode}");
    }
}

/// One of two calls whose callers are angry at the same moment; how its transfer ended.
async fn race(program: &Program, session: &str, settings: Value) -> (Value, bool) {
    let room = Room::start().await;
    let mut sidecar = program.attach(&room, settings);
    let (mut connection, _) = room.accept().await;
    connection
        .send(json!({"type": "welcome", "version": 1, "session_id": session, "room_name": "room_abc123",
            "capabilities": ["transfer"], "participants": [{"id": "c", "role": "caller"}]}))
        .await;
    sidecar.event("attached").await;
    connection.seed_turns(1).await;
    let ring = async {
        let command = connection.command("transfer").await;
        connection.result(4, &command, "done", None).await;
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = sidecar.event("outcome") => outcome["transfer"].clone(),
        () = ring => Value::Null,
    };
    let rung = outcome["outcome"] == "transferred";
    connection.end(5).await;
    assert_eq!(sidecar.exit().await, Some(0));
    (outcome, rung)
}

#[tokio::test]
async fn two_processes_that_race_for_the_last_place_of_the_hour_transfer_one_caller() {
    let (hook, program) = (Hook::start().await, Program::new());
    let mut settings = settings(&hook, SipTransport::Udp);
    settings["sentimentTransferHourlyCap"] = json!(1);
    settings["sentimentHandoverSentence"] = json!("");
    let told = async {
        let attempt = hook.attempt().await;
        attempt.verify();
        let body: Value = serde_json::from_str(&attempt.body).unwrap();
        attempt.answer(200).await;
        body
    };
    let (one, two, body) = tokio::join!(
        race(&program, "session-1", settings.clone()),
        race(&program, "session-2", settings.clone()),
        told
    );
    assert!(one.1 != two.1, "exactly one: {one:?} {two:?}");
    let refused = if one.1 { two.0 } else { one.0 };
    assert_eq!((&refused["outcome"], &refused["code"]), (&json!("rejected"), &json!("hourly_cap")), "{refused}");
    assert_eq!(body["transfer"], refused, "its supervisors are told");
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

/// What a user gets: the room, the program with its settings, a proxy that wants credentials, and two phones.
#[tokio::test]
async fn an_angry_caller_talks_to_a_human_and_one_who_is_busy_is_told_of() {
    let (room, hook, mut program) = (Room::start().await, Hook::start().await, Program::new());
    program.secrets.push(("SIDECAR_SIP_PASSWORD", "p"));
    let (kamailio, mut caller, mut human) = tokio::join!(
        Kamailio::start(),
        Baresip::start("caller", Answers::Itself, ""),
        Baresip::start("+14155551234", Answers::WhenTold, "call_max_calls 1")
    );
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut settings = settings(&hook, SipTransport::Udp);
    for (key, value) in [
        ("sentimentSipListen", json!(listen.to_string())),
        ("sentimentSipUser", json!("kam")),
        ("sentimentSipRealm", json!("kam")),
        ("sentimentSipTargetDomain", json!(human.address.to_string())),
        ("sentimentTransferDeadlineMs", json!(20_000)),
        ("sentimentRingingTimeoutMs", json!(15_000)),
    ] {
        settings[key] = value;
    }
    for outcome in ["busy", "transferred"] {
        let mut call = Call::place(SipTransport::Udp, kamailio.address, &caller.uri(), Some(listen)).await;
        let other = if outcome == "busy" {
            let (address, uri) = (human.address, human.uri());
            let (call, ()) = tokio::join!(Call::place(SipTransport::Udp, address, &uri, None), async {
                human.event("CALL_INCOMING").await;
                human.command("accept", "").await;
            });
            Some(call)
        } else {
            None
        };
        let dialog = serde_json::to_value(call.hand_over()).unwrap();
        let (mut sidecar, mut connection) = escalate_in(&program, &room, dialog, settings.clone()).await;
        if let Some(mut other) = other {
            connection.command("say").await;
            let attempt = hook.attempt().await;
            let body: Value = serde_json::from_str(&attempt.body).unwrap();
            assert_eq!(body["transfer"]["outcome"], outcome, "{body}");
            attempt.answer(200).await;
            other.hang_up().await;
            human.event("CALL_CLOSED").await;
        } else {
            human.event("CALL_INCOMING").await;
            human.command("accept", "").await;
            caller.event("CALL_RTPESTAB").await;
            human.event("CALL_RTPESTAB").await;
        }
        assert_eq!(sidecar.event("outcome").await["transfer"]["outcome"], outcome);
        connection.end(5).await;
        assert_eq!(sidecar.exit().await, Some(0));
        call.hang_up().await;
    }
}
