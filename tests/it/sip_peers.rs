//! What a SIP peer may say, when, and from where, through the whole program: a room that hands over its dialog, and a
//! peer on a bare socket that says it.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::sip::hostile::Peer;
use crate::sip::sipp::free_port;
use crate::support::{Connection, Program, Room, Running, soon};

/// A transfer under way, and the peer that has its REFER.
struct Transfer {
    sidecar: Running,
    connection: Connection,
    peer: Peer,
    refer: String,
    program: Program,
}

/// The dialog with a peer, with a reserved CSeq.
fn dialog(peer: SocketAddr) -> Value {
    json!({"call_id": "handed-over@127.0.0.1", "local_tag": "agent-tag", "remote_tag": "caller-tag",
        "local_uri": "sip:agent@127.0.0.1", "remote_uri": format!("sip:caller@{peer}"),
        "remote_target": format!("sip:caller@{peer}"), "cseq": 7})
}

fn welcome(sip: &Value) -> Value {
    json!({"type": "welcome", "version": 1, "session_id": "session-1", "room_name": "room_abc123", "capabilities": ["say"],
        "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}],
        "call": {"id": "call-1", "sip": sip}})
}

fn settings(listen: SocketAddr) -> Value {
    json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
        "sentimentSipListen": listen.to_string(), "sentimentRingingTimeoutMs": 20_000,
        "sentimentTransferDeadlineMs": 25_000, "sentimentHandoverSentence": ""})
}

impl Transfer {
    /// Lets the caller be angry until the REFER has come, with settings beside those of a transfer.
    async fn begin(further: &Value, change: impl FnOnce(&mut Value)) -> Self {
        let (room, program) = (Room::start().await, Program::new());
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let peer = Peer::bind("127.0.0.1", listen).await;
        let mut settings = settings(listen);
        settings.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        let mut command = program.attach_command(&room, settings);
        command.stderr(Stdio::from(std::fs::File::create(program.folder.path().join("log")).unwrap()));
        let mut sidecar = Running::new(command);
        let (mut connection, _) = room.accept().await;
        let mut sip = dialog(peer.address());
        change(&mut sip);
        connection.send(welcome(&sip)).await;
        sidecar.event("attached").await;
        connection.seed_turns(1).await;
        let refer = peer.receive().await;
        assert!(refer.starts_with("REFER "), "{refer}");
        Self { sidecar, connection, peer, refer, program }
    }

    /// The same, with the REFER accepted.
    async fn accepted() -> Self {
        let transfer = Self::begin(&json!({}), |_| {}).await;
        transfer.peer.respond(&transfer.refer, "202 Accepted", "").await;
        transfer
    }

    /// Waits for a step.
    async fn step(&mut self, step: &str) {
        while self.sidecar.event("transfer").await["progress"]["step"] != step {}
    }

    async fn outcome(&mut self) -> Value {
        self.sidecar.event("outcome").await["transfer"].clone()
    }

    fn steps(&self) -> Vec<&str> {
        let transfers = self.sidecar.seen.iter().filter(|event| event["type"] == "transfer");
        transfers.map(|event| event["progress"]["step"].as_str().unwrap()).collect()
    }

    /// Ends the call; returns what was logged.
    async fn end(mut self) -> String {
        self.connection.end(4).await;
        assert_eq!(self.sidecar.exit().await, Some(0));
        std::fs::read_to_string(self.program.folder.path().join("log")).unwrap()
    }
}

#[tokio::test]
async fn a_bye_that_overtakes_the_news_of_success_hides_nothing() {
    let mut transfer = Transfer::accepted().await;
    assert_eq!(transfer.peer.ask("BYE", 2, "", "").await, 200);
    // RFC 3261 section 12.2.2 has it refused; what it says is true all the same.
    assert_eq!(transfer.peer.notify(1, "terminated;reason=noresource", "SIP/2.0 200 OK").await, 500);
    assert_eq!(transfer.outcome().await["outcome"], "transferred");
    transfer.end().await;
}

#[tokio::test]
async fn a_bye_that_is_overtaken_is_noticed() {
    let mut transfer = Transfer::accepted().await;
    assert_eq!(transfer.peer.notify(3, "active", "SIP/2.0 180 Ringing").await, 200);
    assert_eq!(transfer.peer.ask("BYE", 2, "", "").await, 500);
    let asked = Instant::now();
    assert_eq!(transfer.outcome().await["outcome"], "caller_gone");
    assert!(asked.elapsed() < Duration::from_secs(20), "before the deadline");
    transfer.end().await;
}

#[tokio::test]
async fn a_notification_that_ends_too_early_leaves_time_for_the_result() {
    let mut transfer = Transfer::accepted().await;
    assert_eq!(transfer.peer.notify(1, "terminated;reason=noresource", "SIP/2.0 100 Trying").await, 200);
    transfer.step("trying").await;
    // The room has been told of it by now, and nothing is decided.
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(transfer.peer.notify(2, "terminated;reason=noresource", "SIP/2.0 200 OK").await, 200);
    assert_eq!(transfer.outcome().await["outcome"], "transferred");
    transfer.end().await;
}

#[tokio::test]
async fn a_notification_that_ends_too_early_is_unknown_after_one_time_to_settle() {
    let mut transfer = Transfer::accepted().await;
    let told = Instant::now();
    assert_eq!(transfer.peer.notify(1, "terminated;reason=noresource", "SIP/2.0 100 Trying").await, 200);
    assert_eq!(transfer.outcome().await["outcome"], "unknown");
    let took = told.elapsed();
    assert!(took >= Duration::from_millis(4_500), "{took:?}");
    transfer.end().await;
}

#[tokio::test]
async fn a_refer_that_collides_with_a_request_of_the_other_side_is_sent_again() {
    let mut transfer = Transfer::begin(&json!({}), |_| {}).await;
    for collisions in 1..=2 {
        // The other side called, so that the Call-ID is its own, and it is not kept waiting: 0 to 2 s.
        transfer.peer.respond(&transfer.refer, "491 Request Pending", "").await;
        let again = soon("the REFER again", async {
            loop {
                let refer = transfer.peer.receive().await;
                // One that was on its way again before the answer came.
                if refer.contains(&format!("CSeq: {} REFER\r\n", 7 + collisions)) {
                    return refer;
                }
            }
        })
        .await;
        transfer.refer = again;
    }
    transfer.peer.respond(&transfer.refer, "202 Accepted", "").await;
    assert_eq!(transfer.peer.notify(1, "terminated", "SIP/2.0 200 OK").await, 200);
    assert_eq!(transfer.outcome().await["outcome"], "transferred");
    assert_eq!(
        transfer.steps(),
        ["refer_sent", "request_pending", "refer_sent", "request_pending", "refer_sent", "accepted", "result"]
    );
    transfer.end().await;
}

#[tokio::test]
async fn a_refer_of_our_own_dialog_that_collides_leaves_the_other_side_time() {
    let mut transfer = Transfer::begin(&json!({}), |sip| sip["cseq"] = Value::Null).await;
    assert!(transfer.refer.contains("Target-Dialog: "), "{}", transfer.refer);
    let sent = Instant::now();
    transfer.peer.respond(&transfer.refer, "491 Request Pending", "").await;
    let again = soon("the REFER again", async {
        loop {
            let refer = transfer.peer.receive().await;
            if refer.contains("CSeq: 2 REFER\r\n") {
                return refer;
            }
        }
    })
    .await;
    let waited = sent.elapsed();
    // The Call-ID is ours: 2.1 to 4 s.
    assert!(waited >= Duration::from_millis(2_100), "{waited:?}");
    let call_id = |refer: &str| refer.lines().find(|line| line.starts_with("Call-ID:")).map(str::to_owned);
    assert_eq!(call_id(&again), call_id(&transfer.refer));
    transfer.peer.respond(&again, "603 Decline", "").await;
    assert_eq!(transfer.outcome().await["code"], "603");
    transfer.end().await;
}

#[tokio::test]
async fn a_bye_of_a_peer_that_took_the_refer_and_notified_nothing_is_unknown() {
    for the_room_says_so in [false, true] {
        let mut transfer = Transfer::accepted().await;
        transfer.step("accepted").await;
        if the_room_says_so {
            let left = json!({"type": "participant.left", "seq": 4, "participant": {"id": "c", "role": "caller"}});
            transfer.connection.send(left).await;
        } else {
            assert_eq!(transfer.peer.ask("BYE", 1, "", "").await, 200);
        }
        // The caller may well be with the human: nobody has said that they are not.
        assert_eq!(transfer.outcome().await["outcome"], "unknown", "the room says so: {the_room_says_so}");
        transfer.connection.end(5).await;
        assert_eq!(transfer.sidecar.exit().await, Some(0));
    }
}

const REFUSED: &str = "not the peer's";

#[tokio::test]
async fn what_comes_from_another_port_is_not_the_peers_unless_it_is_listed() {
    let mut transfer = Transfer::accepted().await;
    transfer.step("accepted").await;
    let other = Peer::bind("127.0.0.1", transfer.peer.agent()).await;
    assert_eq!(other.notify(1, "terminated", "SIP/2.0 200 OK").await, 403);
    assert_eq!(other.ask("BYE", 2, "", "").await, 403);
    assert_eq!(transfer.peer.notify(3, "terminated", "SIP/2.0 486 Busy Here").await, 200);
    assert_eq!(transfer.outcome().await["outcome"], "busy");
    let other = other.address();
    let log = transfer.end().await;
    let line = log.lines().find(|line| line.contains(REFUSED) && line.contains("NOTIFY"));
    let line = line.unwrap_or_else(|| panic!("no line says so: {log}"));
    assert!(line.contains("INFO") && line.contains(&other.to_string()), "{line}");

    let listed = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    for entry in [listed.to_string(), "127.0.0.0/8".to_owned()] {
        let mut transfer = Transfer::begin(&json!({"sentimentSipPeers": [entry]}), |_| {}).await;
        transfer.peer.respond(&transfer.refer, "202 Accepted", "").await;
        let other = Peer::bind_to(listed, transfer.peer.agent()).await;
        assert_eq!(other.notify(1, "terminated", "SIP/2.0 200 OK").await, 200);
        assert_eq!(transfer.outcome().await["outcome"], "transferred");
        transfer.end().await;
    }
}

#[tokio::test]
async fn an_answer_from_another_port_is_none() {
    let mut transfer = Transfer::begin(&json!({}), |_| {}).await;
    let other = Peer::bind("127.0.0.1", transfer.peer.agent()).await;
    other.respond(&transfer.refer, "603 Decline", "").await;
    // It was taken for nothing: what comes behind it on the same socket is answered first.
    assert_eq!(other.ask("OPTIONS", 1, "", "").await, 200);
    transfer.peer.respond(&transfer.refer, "202 Accepted", "").await;
    assert_eq!(transfer.peer.notify(3, "terminated", "SIP/2.0 200 OK").await, 200);
    assert_eq!(transfer.outcome().await["outcome"], "transferred");
    let log = transfer.end().await;
    assert!(log.lines().any(|line| line.contains(REFUSED) && line.contains("603")), "{log}");
}

#[tokio::test]
async fn a_dialog_that_cannot_be_used_is_told_when_it_arrives() {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    for (field, value) in [
        ("remote_tag", json!("")),
        ("call_id", json!("abc\r\nX-Evil: 1")),
        ("remote_target", json!("sip:caller@h x")),
        ("remote_uri", Value::Null),
    ] {
        let (room, program) = (Room::start().await, Program::new());
        let mut sidecar = program.attach(&room, settings(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
        let (mut connection, _) = room.accept().await;
        let mut sip = dialog(peer);
        sip[field] = value;
        connection.send(welcome(&sip)).await;
        let warning = sidecar.event("warning").await["detail"].as_str().unwrap().to_owned();
        assert!(warning.contains(field), "{warning} names {field}");
        connection.end(1).await;
        assert_eq!(sidecar.exit().await, Some(0));
        assert_eq!((sidecar.count("warning"), sidecar.count("escalation")), (1, 0));
    }
    // One that can, and one that is not needed.
    for (sip, action) in [(dialog(peer), "transfer"), (json!({"call_id": ""}), "flag")] {
        let (room, program) = (Room::start().await, Program::new());
        let mut settings = settings(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        settings["sentimentEscalationAction"] = json!(action);
        let mut sidecar = program.attach(&room, settings);
        let (mut connection, _) = room.accept().await;
        connection.send(welcome(&sip)).await;
        connection.end(1).await;
        assert_eq!(sidecar.exit().await, Some(0));
        assert_eq!(sidecar.count("warning"), 0, "{:?}", sidecar.seen);
    }
}
