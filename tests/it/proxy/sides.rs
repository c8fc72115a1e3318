//! A side that does not read, either of them, and how either of them hangs up.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{Behind, between, dial_signed, hang_up, next};
use crate::support::{Program, Running, soon};

const MIB: usize = 1024 * 1024;
/// More than sockets and the program hold.
const TOO_MUCH: usize = 200;

/// Says so much, a MiB each time, until nothing more goes: how much went.
async fn fill<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> usize {
    for sent in 0..TOO_MUCH {
        let sending = socket.send(Message::text("x".repeat(MIB)));
        if timeout(Duration::from_millis(500), sending).await.is_err() {
            return sent;
        }
    }
    panic!("{TOO_MUCH} MiB were taken from a side whose other does not read");
}

/// Takes what was said: so many messages, each whole.
async fn drain<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, many: usize) {
    for _ in 0..many {
        let text = next(socket).await.into_text().unwrap();
        assert!(text.len() == MIB && text.bytes().all(|byte| byte == b'x'));
    }
}

/// How much memory the program holds, in bytes.
fn resident(running: &Running) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn a_slow_side_slows_the_other_down() {
    let (mut program, behind) = (Program::new(), Behind::start().await);
    let (running, proxy) = between(&mut program, &behind, json!({}), &[]).await;
    for from_platform in [true, false] {
        let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
        let before = resident(&running);
        let sent = if from_platform { fill(&mut platform).await } else { fill(&mut app).await };
        let grown = resident(&running).saturating_sub(before);
        assert!(grown < 32 * MIB, "the program holds {grown} bytes of what nobody takes");
        // Nothing is lost, and it goes on.
        if from_platform { drain(&mut app, sent).await } else { drain(&mut platform, sent).await }
    }
}

#[tokio::test]
async fn how_a_side_hangs_up_the_other_hears() {
    let (mut program, behind) = (Program::new(), Behind::start().await);
    let (_running, proxy) = between(&mut program, &behind, json!({}), &[]).await;
    let frame = |code: u16| CloseFrame { code: code.into(), reason: "my reason".into() };
    for code in [1000, 1001, 1011, 3000, 4002] {
        for by_platform in [true, false] {
            let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
            let heard = if by_platform {
                platform.close(Some(frame(code))).await.unwrap();
                next(&mut app).await
            } else {
                app.close(Some(frame(code))).await.unwrap();
                next(&mut platform).await
            };
            assert_eq!(heard, Message::Close(Some(frame(code))), "by the platform: {by_platform}");
            hang_up(platform, app).await;
        }
    }
    // One that only breaks off breaks off the other as well.
    let (platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
    drop(platform);
    let broken = soon("the app to hear of it", app.next()).await;
    assert!(matches!(broken, None | Some(Err(_))), "{broken:?}");
}
