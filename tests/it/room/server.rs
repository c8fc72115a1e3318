//! Our room server, with our client and with a plain WebSocket client.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sentiment_sidecar::config::secret::Secret;
use sentiment_sidecar::room::error::RoomEvent;
use sentiment_sidecar::room::message::{CommandKind, CommandStatus, RoomMessage, SidecarMessage};
use sentiment_sidecar::room::script::{Script, Speed};
use sentiment_sidecar::room::server::{RoomServer, ServerEvent};
use sentiment_sidecar::room::{RoomHandle, Target};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::peer::{SUBPROTOCOL, brief, briefs, connect, ended, in_time, next, said};

fn script(messages: &[(u64, Value)]) -> Script {
    let messages = messages
        .iter()
        .map(|(at_ms, message)| (*at_ms, RoomMessage::from_value(message.clone()).unwrap().unwrap()))
        .collect();
    Script::new("room_abc123", messages, None, None)
}

async fn serve(messages: &[(u64, Value)], token: Option<&str>) -> (RoomServer, UnboundedReceiver<ServerEvent>) {
    let any = "127.0.0.1:0".parse().unwrap();
    let speed = Speed::new(100.0).unwrap();
    RoomServer::start(any, script(messages), speed, token.map(Secret::new)).await.unwrap()
}

fn join(server: &RoomServer) -> RoomHandle {
    connect(Target::native(server.url().parse().unwrap(), "room_abc123", None))
}

fn result(id: &str, status: &str) -> Value {
    json!({"type": "command.result", "command_id": id, "status": status})
}

fn command(id: &str, command: CommandKind) -> SidecarMessage {
    SidecarMessage::Command { command_id: id.to_owned(), command, deadline_ms: 60_000 }
}

fn transfer(id: &str) -> SidecarMessage {
    command(id, CommandKind::Transfer { target: "+14155551234".to_owned(), ringing_timeout_ms: 1 })
}

type Plain = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn dial(server: &RoomServer, protocol: &'static str, token: Option<&str>) -> Result<Plain, Error> {
    let mut request = server.url().into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

async fn hello(socket: &mut Plain, resume: Option<u64>) {
    let mut hello = json!({"type": "hello", "versions": [1], "about": {"name": "plain", "version": "0"},
                           "room_name": "room_abc123"});
    if let Some(last_seq) = resume {
        hello["resume"] = json!({"session_id": "session-room_abc123", "last_seq": last_seq});
    }
    socket.send(Message::text(hello.to_string())).await.unwrap();
}

async fn hear(socket: &mut Plain) -> Value {
    match in_time("message from the room", socket.next()).await {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
        Some(Ok(Message::Close(Some(close)))) => {
            json!({"close": u16::from(close.code), "why": close.reason.as_str()})
        }
        other => panic!("{other:?}"),
    }
}

async fn until_over(mut seen: UnboundedReceiver<ServerEvent>) -> Vec<ServerEvent> {
    let mut all = Vec::new();
    loop {
        let event = in_time("event from the room", seen.recv()).await.unwrap();
        if event == ServerEvent::Over {
            return all;
        }
        all.push(event);
    }
}

#[tokio::test]
async fn a_recording_is_played_in_time_and_ends_when_everything_was_acked() {
    let (server, seen) = serve(&[(0, said(7)), (2_000, said(7)), (5_000, ended(1))], None).await;
    let start = std::time::Instant::now();
    let mut room = join(&server);
    assert_eq!(briefs(&mut room, 4).await, ["welcome session-room_abc123", "1", "2", "ended"]);
    assert!(start.elapsed() >= Duration::from_millis(50), "5 s at a hundred times the speed");
    room.processed(3);
    let seen = until_over(seen).await;
    assert!(seen.contains(&ServerEvent::Heard(SidecarMessage::Ack { seq: 3 })));
    assert_eq!(brief(&mut room).await, "over");
}

#[tokio::test]
async fn a_result_waits_for_its_command_and_nothing_waits_for_the_result() {
    let script = [(0, result("c1", "accepted")), (0, result("c1", "done")), (100, said(1)), (30_000, ended(1))];
    let (server, _seen) = serve(&script, None).await;
    let mut room = join(&server);
    assert_eq!(briefs(&mut room, 2).await, ["welcome session-room_abc123", "1"]);
    room.send(transfer("c1"));
    for expected in [CommandStatus::Accepted, CommandStatus::Done] {
        let RoomEvent::Message(RoomMessage::CommandResult { command_id, status, .. }) = next(&mut room).await else {
            panic!("no result")
        };
        assert_eq!((command_id.as_str(), status), ("c1", expected));
    }
}

#[tokio::test]
async fn commands_that_the_recording_does_not_answer_are_answered_all_the_same() {
    let (server, mut seen) = serve(&[(60_000_000, ended(1))], None).await;
    let mut room = join(&server);
    assert_eq!(brief(&mut room).await, "welcome session-room_abc123");
    let [alert_id, severity, description] = ["a", "high", "d"].map(str::to_owned);
    room.send(command("c1", CommandKind::Say { text: "hello".to_owned() }));
    room.send(command("c2", CommandKind::SetFlag { alert_id, severity, description }));
    room.send(transfer("c3"));
    let mut results = Vec::new();
    for _ in 0..3 {
        let RoomEvent::Message(RoomMessage::CommandResult { command_id, status, code, .. }) = next(&mut room).await
        else {
            panic!("no result")
        };
        results.push((command_id, status, code));
    }
    let done = |id: &str| (id.to_owned(), CommandStatus::Done, None);
    let failed = ("c3".to_owned(), CommandStatus::Failed, Some("unsupported".to_owned()));
    assert_eq!(results, [done("c1"), done("c2"), failed]);
    // Whoever watches sees each answer behind what it answers.
    let mut told = Vec::new();
    while told.len() < 6 {
        match in_time("event from the room", seen.recv()).await.unwrap() {
            ServerEvent::Heard(SidecarMessage::Command { command_id, .. }) => told.push(format!("← {command_id}")),
            ServerEvent::Said(RoomMessage::CommandResult { command_id, .. }) => told.push(format!("→ {command_id}")),
            _ => {}
        }
    }
    assert_eq!(told, ["← c1", "→ c1", "← c2", "→ c2", "← c3", "→ c3"]);
}

#[tokio::test]
async fn whoever_has_no_token_or_speaks_another_protocol_is_turned_away() {
    let (server, mut seen) = serve(&[], Some("s3cret")).await;
    for (protocol, token, status) in
        [(SUBPROTOCOL, None, 401), (SUBPROTOCOL, Some("wrong"), 401), ("chat", Some("s3cret"), 400)]
    {
        let Err(Error::Http(answer)) = dial(&server, protocol, token).await else { panic!("let in") };
        assert_eq!(answer.status().as_u16(), status);
        assert!(matches!(seen.recv().await, Some(ServerEvent::TurnedAway { code, .. }) if code == status));
    }
    let token = Some(Secret::new("s3cret"));
    let config = Target::native(server.url().parse().unwrap(), "room_abc123", token);
    assert_eq!(brief(&mut connect(config)).await, "welcome session-room_abc123");
}

#[tokio::test]
async fn a_hello_with_resume_goes_on_and_one_without_gets_everything_again() {
    let (server, _seen) = serve(&[(0, said(1)), (0, said(2)), (0, said(3)), (60_000_000, ended(1))], None).await;
    for (resume, resumed, expected) in
        [(None, false, &[1, 2, 3][..]), (Some(2), true, &[3]), (None, false, &[1, 2, 3]), (Some(99), false, &[1, 2, 3])]
    {
        let mut socket = dial(&server, SUBPROTOCOL, None).await.unwrap();
        hello(&mut socket, resume).await;
        assert_eq!(hear(&mut socket).await["resumed"], resumed);
        for seq in expected {
            assert_eq!(hear(&mut socket).await["seq"], *seq);
        }
    }
}

#[tokio::test]
async fn the_older_of_two_connections_is_closed_with_4409() {
    let (server, _seen) = serve(&[(60_000_000, ended(1))], None).await;
    let mut older = dial(&server, SUBPROTOCOL, None).await.unwrap();
    hello(&mut older, None).await;
    hear(&mut older).await;
    let mut younger = dial(&server, SUBPROTOCOL, None).await.unwrap();
    hello(&mut younger, None).await;
    assert_eq!(hear(&mut older).await["close"], 4409);
    assert_eq!(hear(&mut younger).await["type"], "welcome");
}

#[tokio::test]
async fn what_is_no_hello_is_closed_with_4400_and_later_nonsense_is_answered() {
    let (server, _seen) = serve(&[(60_000_000, ended(1))], None).await;
    let mut rude = dial(&server, SUBPROTOCOL, None).await.unwrap();
    rude.send(Message::text("{\"type\":\"ack\",\"seq\":1}")).await.unwrap();
    assert_eq!(hear(&mut rude).await, json!({"close": 4400, "why": "hello comes first"}));
    let mut lost = dial(&server, SUBPROTOCOL, None).await.unwrap();
    let elsewhere =
        json!({"type": "hello", "versions": [1], "about": {"name": "plain", "version": "0"}, "room_name": "x"});
    lost.send(Message::text(elsewhere.to_string())).await.unwrap();
    assert_eq!(hear(&mut lost).await, json!({"close": 4400, "why": "hello asks for another room"}));
    let mut odd = dial(&server, SUBPROTOCOL, None).await.unwrap();
    hello(&mut odd, None).await;
    hear(&mut odd).await;
    odd.send(Message::text("nonsense")).await.unwrap();
    assert_eq!(hear(&mut odd).await["code"], "bad_frame");
    odd.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(hear(&mut odd).await["code"], "bad_frame");
}
