//! What the client makes of a room that is cut, repeats itself, talks nonsense, falls silent or refuses.

use std::time::Duration;

use futures_util::SinkExt;
use sentiment_sidecar::room::RoomHandle;
use sentiment_sidecar::room::error::RoomEvent;
use sentiment_sidecar::room::message::tool::escalate_sentiment;
use sentiment_sidecar::room::message::{CommandKind, RoomMessage, SidecarMessage};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::peer::{Peer, brief, briefs, connect, ended, in_time, next, place, place_with, said, turn_away, welcome};

fn say(id: &str) -> SidecarMessage {
    SidecarMessage::Command {
        command_id: id.to_owned(),
        command: CommandKind::Say { text: "one moment".to_owned() },
        deadline_ms: 60_000,
    }
}

/// A client that has joined, and the room's side of its connection.
async fn joined() -> (TcpListener, RoomHandle, Peer) {
    let (listener, config) = place().await;
    let room = connect(config);
    let (peer, _) = Peer::welcomed(&listener, "one", false).await;
    (listener, room, peer)
}

fn tool_result(id: &str) -> SidecarMessage {
    SidecarMessage::ToolResult { call_id: id.to_owned(), ok: true, output: Value::Null }
}

#[tokio::test]
async fn the_client_introduces_itself_with_its_token_and_its_room() {
    let (listener, config) = place_with("ws", Some("s3cret")).await;
    let mut room = connect(config);
    let (peer, hello) = Peer::welcomed(&listener, "one", false).await;
    assert_eq!(peer.authorization.as_deref(), Some("Bearer s3cret"));
    assert_eq!(
        hello,
        json!({"type": "hello", "versions": [1], "room_name": "room_abc123",
               "about": {"name": "sentiment-sidecar", "version": env!("CARGO_PKG_VERSION")}})
    );
    assert_eq!(brief(&mut room).await, "welcome one");
}

#[tokio::test]
async fn after_a_cut_in_mid_stream_the_session_goes_on_where_it_was() {
    let (listener, mut room, mut peer) = joined().await;
    for seq in 1..=3 {
        peer.say(&said(seq)).await;
    }
    assert_eq!(briefs(&mut room, 4).await, ["welcome one", "1", "2", "3"]);
    drop(peer);
    let (mut peer, hello) = Peer::welcomed(&listener, "one", true).await;
    assert_eq!(hello["resume"], json!({"session_id": "one", "last_seq": 3}));
    for seq in [3, 4] {
        peer.say(&said(seq)).await;
    }
    assert_eq!(briefs(&mut room, 3).await, ["lost", "welcome one", "4"]);
}

#[tokio::test]
async fn a_room_that_cannot_resume_says_everything_again() {
    let (listener, mut room, mut peer) = joined().await;
    for seq in 1..=2 {
        peer.say(&said(seq)).await;
    }
    assert_eq!(briefs(&mut room, 3).await, ["welcome one", "1", "2"]);
    drop(peer);
    let (mut peer, _) = Peer::welcomed(&listener, "one", false).await;
    peer.say(&said(1)).await;
    assert_eq!(briefs(&mut room, 3).await, ["lost", "welcome one", "1"]);
    drop(peer);
    // "resumed" under another name is no resumption either.
    let (mut peer, hello) = Peer::welcomed(&listener, "two", true).await;
    assert_eq!(hello["resume"]["last_seq"], 1);
    peer.say(&said(1)).await;
    assert_eq!(briefs(&mut room, 3).await, ["lost", "welcome two", "1"]);
}

#[tokio::test]
async fn repeats_are_dropped_and_small_reorderings_put_right() {
    let (_listener, mut room, mut peer) = joined().await;
    for seq in [1, 3, 3, 2, 2, 1, 6, 5, 4, 7] {
        peer.say(&said(seq)).await;
    }
    assert_eq!(briefs(&mut room, 8).await, ["welcome one", "1", "2", "3", "4", "5", "6", "7"]);
}

#[tokio::test]
async fn a_number_that_never_comes_stalls_nothing_and_is_asked_for_again_after_a_cut() {
    let (listener, mut room, mut peer) = joined().await;
    for seq in [1, 3, 4] {
        peer.say(&said(seq)).await;
    }
    assert_eq!(briefs(&mut room, 4).await, ["welcome one", "1", "3", "4"]);
    drop(peer);
    let (mut peer, hello) = Peer::welcomed(&listener, "one", true).await;
    assert_eq!(hello["resume"]["last_seq"], 1);
    for seq in [2, 3, 4, 5] {
        peer.say(&said(seq)).await;
    }
    assert_eq!(briefs(&mut room, 4).await, ["lost", "welcome one", "2", "5"]);
}

#[tokio::test]
async fn only_what_was_dealt_with_is_acked() {
    let (_listener, mut room, mut peer) = joined().await;
    for seq in 1..=3 {
        peer.say(&said(seq)).await;
    }
    assert_eq!(briefs(&mut room, 4).await, ["welcome one", "1", "2", "3"]);
    // Were anything acked on arrival, that ack would come before this result.
    room.send(tool_result("t"));
    assert_eq!(peer.hear().await["type"], "tool.result");
    room.processed(2);
    assert_eq!(peer.hear().await, json!({"type": "ack", "seq": 2}));
    room.processed(3);
    assert_eq!(peer.hear().await, json!({"type": "ack", "seq": 3}));
}

#[tokio::test]
async fn nonsense_is_answered_with_an_error_and_the_connection_goes_on() {
    let (_listener, mut room, mut peer) = joined().await;
    for frame in ["{\"type\":", "[1]", "null", "{\"type\":7}", ""] {
        peer.socket.send(Message::text(frame)).await.unwrap();
    }
    peer.say(&json!({"type": "transcript", "seq": 1, "segment_id": 5, "text": "my secret words"})).await;
    peer.socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    peer.say(&json!({"type": "weather", "seq": 2, "sunny": true})).await;
    peer.say(&said(3)).await;
    let events = briefs(&mut room, 9).await;
    assert_eq!((events[0].as_str(), events[8].as_str()), ("welcome one", "3"));
    for event in &events[1..8] {
        assert!(event.starts_with("bad: ") && !event.contains("secret words"), "{event}");
    }
    for _ in 0..7 {
        let error = peer.hear().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("bad_frame")));
    }
    // The bad one and the unknown one count as arrived, and need no one's work.
    assert_eq!(peer.hear().await, json!({"type": "ack", "seq": 2}));
    room.processed(3);
    assert_eq!(peer.hear().await, json!({"type": "ack", "seq": 3}));
}

#[tokio::test]
async fn a_frame_that_is_too_large_closes_with_1009_and_is_passed_over_at_the_second_time() {
    let (listener, mut room, mut peer) = joined().await;
    let mut large = said(2);
    large["text"] = json!("x".repeat(64 * 1024));
    peer.say(&said(1)).await;
    peer.say(&large).await;
    assert_eq!(peer.hear_close().await, 1009);
    assert_eq!(briefs(&mut room, 2).await, ["welcome one", "1"]);
    assert!(brief(&mut room).await.starts_with("bad: frame of 65"));
    let (mut peer, hello) = Peer::welcomed(&listener, "one", true).await;
    assert_eq!(hello["resume"]["last_seq"], 1);
    peer.say(&large).await;
    assert_eq!(peer.hear_close().await, 1009);
    let (mut peer, hello) = Peer::welcomed(&listener, "one", true).await;
    assert_eq!(hello["resume"]["last_seq"], 2);
    peer.say(&said(3)).await;
    let events = briefs(&mut room, 6).await;
    assert_eq!(
        [&events[0], &events[1], &events[3], &events[4], &events[5]],
        ["lost", "welcome one", "lost", "welcome one", "3"]
    );
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_with_1007_and_the_client_comes_back() {
    let (listener, mut room, mut peer) = joined().await;
    let frame = Frame::message(vec![b'"', 0xff, b'"'], OpCode::Data(Data::Text), true);
    peer.socket.send(Message::Frame(frame)).await.unwrap();
    assert_eq!(peer.hear_close().await, 1007);
    let (_peer, _) = Peer::welcomed(&listener, "one", true).await;
    let events = briefs(&mut room, 4).await;
    assert!(events[1].starts_with("bad: "), "{events:?}");
    assert_eq!([&events[2], &events[3]], ["lost", "welcome one"]);
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_given_up_and_dialled_again() {
    let (listener, mut config) = place().await;
    config.patience.heartbeat = Duration::from_millis(30);
    let mut room = connect(config);
    // It is never read again, so its pongs are never sent, while TCP looks well.
    let (_silent, _) = Peer::welcomed(&listener, "one", false).await;
    assert_eq!(brief(&mut room).await, "welcome one");
    let RoomEvent::Lost { detail, .. } = next(&mut room).await else { panic!("not lost") };
    assert_eq!(detail, "the room left 2 pings unanswered");
    let (_peer, _) = Peer::welcomed(&listener, "one", true).await;
    assert_eq!(brief(&mut room).await, "welcome one");
}

#[tokio::test]
async fn a_peer_that_answers_pings_is_kept_however_quiet_it_is() {
    let (listener, mut config) = place().await;
    config.patience.heartbeat = Duration::from_millis(10);
    let mut room = connect(config);
    let (mut peer, _) = Peer::welcomed(&listener, "one", false).await;
    let pinged = async {
        use futures_util::StreamExt;
        for _ in 0..20 {
            assert!(matches!(peer.socket.next().await, Some(Ok(Message::Ping(_)))));
        }
        peer.say(&said(1)).await;
    };
    let (events, ()) = tokio::join!(briefs(&mut room, 2), pinged);
    assert_eq!(events, ["welcome one", "1"]);
}

#[tokio::test]
async fn a_refused_token_is_final() {
    for status in [401, 403, 404] {
        let (listener, config) = place().await;
        let mut room = connect(config);
        turn_away(&listener, status).await;
        assert_eq!(
            briefs(&mut room, 3).await,
            [format!("refused: the room answered HTTP {status}").as_str(), "over", "over"]
        );
    }
}

#[tokio::test]
async fn a_room_that_is_only_busy_is_tried_again() {
    let (listener, config) = place().await;
    let mut room = connect(config);
    turn_away(&listener, 503).await;
    turn_away(&listener, 502).await;
    let _peer = Peer::welcomed(&listener, "one", false).await;
    let mut events = vec![brief(&mut room).await];
    while events.last().is_some_and(|event| event == "lost") {
        events.push(brief(&mut room).await);
    }
    assert_eq!(events.last().map(String::as_str), Some("welcome one"));
}

#[tokio::test]
async fn the_dialects_own_close_codes_are_final() {
    for code in [4400, 4401, 4409] {
        let (listener, config) = place().await;
        let mut room = connect(config);
        let (mut peer, _) = Peer::welcomed(&listener, "one", false).await;
        peer.close(code).await;
        assert_eq!(brief(&mut room).await, "welcome one");
        assert_eq!(brief(&mut room).await, format!("refused: the room closed the connection with {code}"));
        assert_eq!(brief(&mut room).await, "over");
    }
}

#[tokio::test]
async fn close_1000_ends_a_call_only_after_session_ended() {
    let (listener, mut room, mut peer) = joined().await;
    peer.close(1000).await;
    let (mut peer, _) = Peer::welcomed(&listener, "one", true).await;
    peer.say(&ended(1)).await;
    peer.close(1000).await;
    assert_eq!(briefs(&mut room, 5).await, ["welcome one", "lost", "welcome one", "ended", "over"]);
}

#[tokio::test]
async fn an_end_that_waits_for_an_earlier_message_still_ends_the_call() {
    let (_listener, mut room, mut peer) = joined().await;
    peer.say(&ended(2)).await;
    peer.close(1000).await;
    assert_eq!(briefs(&mut room, 4).await, ["welcome one", "begins with 2", "ended", "over"]);
}

#[tokio::test]
async fn another_version_or_subprotocol_is_refused() {
    let (listener, config) = place().await;
    let mut room = connect(config);
    let mut peer = Peer::accept(&listener).await;
    peer.hear().await;
    let mut odd = welcome("one", false);
    odd["version"] = json!(2);
    peer.say(&odd).await;
    assert_eq!(peer.hear_close().await, 4400);
    let refused = "refused: the room chose version 2 of the dialect, but only 1 was offered";
    assert_eq!(brief(&mut room).await, refused);

    let (listener, config) = place().await;
    let mut room = connect(config);
    let (stream, _) = listener.accept().await.unwrap();
    tokio_tungstenite::accept_async(stream).await.unwrap();
    let refused = "refused: the room does not speak the subprotocol sentiment-sidecar.room.v1";
    assert_eq!(brief(&mut room).await, refused);
}

#[tokio::test]
async fn a_room_that_never_says_welcome_is_tried_again() {
    let (listener, mut config) = place().await;
    config.patience.welcome_timeout = Duration::from_millis(50);
    let mut room = connect(config);
    let _mute = Peer::accept(&listener).await;
    let RoomEvent::Lost { detail, .. } = next(&mut room).await else { panic!("not lost") };
    assert_eq!(detail, "no welcome within 50 ms");
    let _peer = Peer::welcomed(&listener, "one", false).await;
    assert_eq!(brief(&mut room).await, "welcome one");
}

#[tokio::test]
async fn a_room_that_is_gone_for_too_long_is_given_up() {
    let (listener, mut config) = place().await;
    drop(listener);
    config.patience.give_up_after = Duration::from_millis(100);
    let mut room = connect(config);
    let last = loop {
        match brief(&mut room).await.as_str() {
            "lost" => {}
            other => break other.to_owned(),
        }
    };
    assert!(last.starts_with("gave up: the room cannot be reached"), "{last}");
    assert_eq!(brief(&mut room).await, "over");
}

#[tokio::test]
async fn what_the_room_has_not_answered_is_said_again_after_a_cut() {
    let (listener, config) = place().await;
    let mut room = connect(config);
    room.send(SidecarMessage::ToolsRegister { tools: vec![escalate_sentiment()] });
    room.send(say("c1"));
    room.send(say("c2"));
    let (mut peer, _) = Peer::welcomed(&listener, "one", false).await;
    assert_eq!(peer.hear().await["type"], "tools.register");
    assert_eq!(peer.hear().await["command_id"], "c1");
    assert_eq!(peer.hear().await["command_id"], "c2");
    peer.say(&json!({"type": "command.result", "seq": 1, "command_id": "c1", "status": "done"})).await;
    peer.say(&json!({"type": "command.result", "seq": 2, "command_id": "c2", "status": "accepted"})).await;
    for _ in 0..3 {
        next(&mut room).await;
    }
    drop(peer);
    assert_eq!(brief(&mut room).await, "lost");
    room.send(tool_result("t1"));
    let (mut peer, _) = Peer::welcomed(&listener, "one", true).await;
    assert_eq!(peer.hear().await["type"], "tools.register");
    assert_eq!(peer.hear().await["command_id"], "c2");
    assert_eq!(peer.hear().await["call_id"], "t1");
}

#[tokio::test]
async fn closing_says_what_is_queued_acks_what_was_done_and_says_goodbye() {
    let (_listener, mut room, mut peer) = joined().await;
    peer.say(&ended(1)).await;
    assert_eq!(briefs(&mut room, 2).await, ["welcome one", "ended"]);
    room.processed(1);
    room.send(tool_result("t1"));
    let room_side = async {
        assert_eq!(peer.hear().await["call_id"], "t1");
        assert_eq!(peer.hear().await, json!({"type": "ack", "seq": 1}));
        assert_eq!(peer.hear_close().await, 1000);
    };
    tokio::join!(room.close(), room_side);
}

#[tokio::test]
async fn closing_takes_no_longer_than_it_may_when_the_room_does_not_answer() {
    let (listener, mut config) = place().await;
    config.patience.close_timeout = Duration::from_millis(50);
    let mut room = connect(config);
    let _deaf = Peer::welcomed(&listener, "one", false).await;
    assert_eq!(brief(&mut room).await, "welcome one");
    let before = std::time::Instant::now();
    room.close().await;
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_runtime_that_is_slow_loses_interims_at_most() {
    const TURNS: u64 = 400;
    let (listener, mut config) = place().await;
    config.patience.inbox_limit = 8;
    let mut room = connect(config);
    let (mut peer, _) = Peer::welcomed(&listener, "one", false).await;
    // Far more than the sockets' buffers hold, so that the room must wait for the runtime.
    let talking = tokio::spawn(async move {
        for turn in 0..TURNS {
            for rev in 0..3 {
                let mut interim = said(turn * 4 + rev + 1);
                interim["segment_id"] = json!(format!("turn {turn}"));
                interim["final"] = json!(false);
                interim["rev"] = json!(rev);
                interim["text"] = json!("x".repeat(20_000));
                peer.say(&interim).await;
            }
            let mut last = said(turn * 4 + 4);
            last["segment_id"] = json!(format!("turn {turn}"));
            peer.say(&last).await;
        }
        peer.say(&ended(TURNS * 4 + 1)).await;
        peer
    });
    assert_eq!(brief(&mut room).await, "welcome one");
    let mut finals = Vec::new();
    loop {
        match next(&mut room).await {
            RoomEvent::Message(RoomMessage::Transcript(t)) if t.is_final => finals.push(t.segment_id),
            RoomEvent::Message(RoomMessage::Transcript(_)) => tokio::task::yield_now().await,
            RoomEvent::Message(RoomMessage::SessionEnded { .. }) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(finals, (0..TURNS).map(|turn| format!("turn {turn}")).collect::<Vec<_>>());
    drop(talking.await.unwrap());
}

#[tokio::test]
async fn a_welcome_that_cannot_be_used_says_which_field_is_wrong_and_is_asked_for_again() {
    let (listener, config) = place().await;
    let mut room = connect(config);
    let mut peer = Peer::accept(&listener).await;
    peer.hear().await;
    let mut bad = welcome("one", false);
    bad.as_object_mut().unwrap().remove("session_id");
    peer.say(&bad).await;
    let RoomEvent::Lost { detail, .. } = in_time("an event", room.next()).await else { panic!("it was not refused") };
    assert!(detail.contains("welcome cannot be used") && detail.contains("session_id"), "{detail}");
    let (_peer, _) = Peer::welcomed(&listener, "one", false).await;
    assert_eq!(briefs(&mut room, 1).await, ["welcome one"]);
}
