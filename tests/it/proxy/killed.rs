//! Connections that break in the middle of a call, and a proxy that is killed: Twilio dials again (`applicationReconnect`), and says again
//! what the app may have missed.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{Accepted, Behind, Dialled, between, dial_signed, hang_up, next, notify, prompt, setup};
use crate::support::{Hook, Program, SEED_TURNS, soon};

const ANSWER: &str = r#"{"type":"text", "token":"I see." ,"last":true}"#;

/// The caller says something, and the app answers: both as they said it.
async fn says(platform: &mut Dialled, app: &mut Accepted, text: String) {
    platform.send(Message::text(text.clone())).await.unwrap();
    assert_eq!(next(app).await, Message::text(text));
    app.send(Message::text(ANSWER)).await.unwrap();
    assert_eq!(next(platform).await, Message::text(ANSWER));
}

/// What the platform kept comes all at once, before anybody can answer.
async fn says_again(platform: &mut Dialled, app: &mut Accepted, call: &str) {
    let kept: Vec<String> = [setup(call, &json!({}))].into_iter().chain(SEED_TURNS.map(prompt)).collect();
    for text in &kept {
        platform.send(Message::text(text.clone())).await.unwrap();
    }
    for text in kept {
        assert_eq!(next(app).await, Message::text(text));
    }
}

/// Reads on until the connection breaks.
async fn broken<S: AsyncRead + AsyncWrite + Unpin>(what: &str, socket: &mut WebSocketStream<S>) {
    let closed = soon(what, async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return Some(frame),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    });
    assert_eq!(closed.await, None, "nobody said goodbye to {what}");
}

/// Killed before the caller had said enough, and after somebody was told.
#[tokio::test]
async fn a_call_whose_proxy_is_killed_goes_on_through_another_and_is_alerted_of_once() {
    for heard in [2, 3] {
        let (mut program, behind, hook) = (Program::new(), Behind::start().await, Hook::start().await);
        let (mut first, proxy) = between(&mut program, &behind, notify(&hook), &[]).await;
        let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
        says(&mut platform, &mut app, setup("CA7", &json!({}))).await;
        for text in &SEED_TURNS[..heard] {
            says(&mut platform, &mut app, prompt(text)).await;
            first.event("turn").await;
        }
        let mut told = Vec::new();
        if heard == 3 {
            first.event("escalation").await;
            let attempt = hook.attempt().await;
            told.push(attempt.id());
            attempt.answer(204).await;
            first.event("delivery").await;
        }
        first.kill().await;
        broken("the platform", &mut platform).await;
        broken("the app", &mut app).await;

        let (mut second, proxy) = between(&mut program, &behind, notify(&hook), &[]).await;
        let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
        says_again(&mut platform, &mut app, "CA7").await;
        says(&mut platform, &mut app, prompt("Hello? Nobody listens to me, this is outrageous!")).await;
        if heard == 2 {
            let attempt = hook.attempt().await;
            told.push(attempt.id());
            attempt.answer(204).await;
        }
        let escalation = second.event("escalation").await;
        assert_eq!((&escalation["turn"], &escalation["alert_id"]), (&json!(3), &json!(told[0])), "{heard}");
        hang_up(platform, app).await;
        let ended = second.event("ended").await;
        assert_eq!(ended["turns"], 4, "what was said again is no further turn: {ended}");
        second.signal("-TERM");
        assert_eq!(second.exit().await, Some(0));
        assert_eq!(second.count("escalation"), 1, "{:#?}", second.seen);
        assert!(hook.is_quiet_for(Duration::from_millis(300)).await, "it was told twice");
    }
}

#[tokio::test]
async fn a_call_that_is_cut_comes_back_and_what_is_said_again_counts_once() {
    let (mut program, behind) = (Program::new(), Behind::start().await);
    let (mut running, proxy) = between(&mut program, &behind, json!({}), &[]).await;
    let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
    says(&mut platform, &mut app, setup("CA8", &json!({}))).await;
    for text in &SEED_TURNS[..2] {
        says(&mut platform, &mut app, prompt(text)).await;
        running.event("turn").await;
    }
    drop(platform);
    broken("the app", &mut app).await;
    drop(app);
    let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
    says_again(&mut platform, &mut app, "CA8").await;
    assert_eq!(running.event("escalation").await["turn"], 3);
    hang_up(platform, app).await;
    assert_eq!(running.event("ended").await["turns"], 3);
}
