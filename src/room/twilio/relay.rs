//! Carries a call between the platform and the app ([`relay`]): every byte goes on as it came, as soon as it came, and no faster
//! than the other side takes it. A [`Spout`] is told what was said. The way from the app, with what we have to say, is in `down`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::down::Down;
pub use super::shared::BROKEN;
use super::shared::{CHUNK, Shared};
use super::tap::{Spout, Tap, Tapped, tap};
use super::wire::{Passed, Wire};

/// How long one side may go on after the other has hung up, or said that it will.
const LINGER: Duration = Duration::from_secs(5);

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relayed {
    /// The close code: the first that either side said; 1006 where none did, or the app went away in the middle.
    pub code: u16,
    /// Whether we ended the session, with a message of ours.
    pub by_us: bool,
}

/// Carries a call until both sides have hung up. `begun` gets the first message of the platform, with the tap of this call and a
/// spout to tell it more; without anybody behind the tap everything passes all the same. What came with the handshakes already
/// stands in `early`: of the platform, and of the app. Once `replaced` is cancelled another connection carries the call, and this one,
/// which nobody may ever end, is over at once.
pub async fn relay<P, A>(
    platform: P,
    app: A,
    early: (Vec<u8>, Vec<u8>),
    replaced: &CancellationToken,
    begun: impl FnOnce(&str, Tap, Spout) + Send,
) -> (Relayed, Spout)
where
    P: AsyncRead + AsyncWrite + Send,
    A: AsyncRead + AsyncWrite + Send,
{
    let ((platform_reader, platform_writer), (app_reader, app_writer)) = (split(platform), split(app));
    let (tap, spout, injections) = tap();
    let shared = Shared::new(spout.clone());
    let from_platform = up(platform_reader, app_writer, early.0, &shared, Begin { begun: Some((begun, tap)) });
    let from_app = Down::new(platform_writer, injections, &shared).run(app_reader, early.1);
    tokio::pin!(from_platform, from_app);
    // One side that hangs up leaves the other some time for its last words.
    let carried = async {
        tokio::select! {
            () = &mut from_platform => drop(timeout(LINGER, from_app).await),
            () = &mut from_app => drop(timeout(LINGER, from_platform).await),
            () = shared.closing.notified() => {
                drop(timeout(LINGER, async { tokio::join!(from_platform, from_app) }).await);
            }
        }
    };
    tokio::select! {
        () = carried => {}
        () = replaced.cancelled() => {}
    }
    let code = match shared.code.load(Ordering::Relaxed) {
        0 => BROKEN,
        code => code,
    };
    (Relayed { code, by_us: shared.by_us.load(Ordering::Relaxed) }, spout)
}

/// Who is to be told that the call begins.
struct Begin<F> {
    begun: Option<(F, Tap)>,
}

impl<F: FnOnce(&str, Tap, Spout)> Begin<F> {
    /// The first text of the platform says which call it is. A panic there is ours, and not the call's business.
    fn first(&mut self, passed: &Passed, spout: &Spout) {
        let Passed::Text(text) = passed else { return };
        if let Some((begun, tap)) = self.begun.take()
            && catch_unwind(AssertUnwindSafe(|| begun(text, tap, spout.clone()))).is_err()
        {
            tracing::error!("the call could not be attached to; it goes on without us");
        }
    }
}

/// From the platform to the app.
async fn up<F: FnOnce(&str, Tap, Spout)>(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    early: Vec<u8>,
    shared: &Shared,
    mut begin: Begin<F>,
) {
    let mut wire = Wire::default();
    let mut chunk = early;
    loop {
        let taken = to.write_all(&chunk).await.is_ok() && to.flush().await.is_ok();
        // What was said counts, though the other side is gone.
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            let (len, passed) = wire.pass(rest);
            rest = rest.get(len..).unwrap_or_default();
            if let Some(passed) = passed {
                begin.first(&passed, &shared.spout);
                shared.interrupted(&passed);
                shared.passed(passed, Tapped::Platform);
            }
        }
        if !taken {
            return;
        }
        chunk.resize(CHUNK, 0);
        match from.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(len) => chunk.truncate(len),
        }
    }
    shared.gone();
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use fastrand::Rng;
    use tokio::io::duplex;

    use super::*;
    use crate::room::twilio::wire::text_frame;

    /// Frames of either side, many of them texts, cut anywhere.
    fn frames(rng: &mut Rng, texts: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..40 {
            match rng.u8(0..4) {
                0 => bytes.extend([0x82, 3, 0, 255, rng.u8(..)]),
                1 => bytes.extend([0x89, 0]),
                _ => bytes.extend(text_frame(rng.choice(texts).unwrap())),
            }
        }
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn every_byte_passes_as_it_came_whatever_it_is() {
        let mut rng = Rng::with_seed(7);
        for round in 0..40 {
            let (mut platform, ours) = duplex(rng.usize(1..4000));
            let (theirs, mut app) = duplex(rng.usize(1..4000));
            let mut sent = [(); 2].map(|()| frames(&mut rng, &["{}", "no json", "é", &"x".repeat(70_000)]));
            if round % 4 == 0 {
                // Nonsense passes as well.
                sent = sent.map(|_| (0..5000).map(|_| rng.u8(..)).collect());
            }
            let [up, down] = sent.clone();
            let early = (up[..10].to_vec(), down[..10].to_vec());
            let replaced = CancellationToken::new();
            let relaying = relay(ours, theirs, early, &replaced, |_, _, _| panic!("as its test wants it to"));
            let platform_side = async {
                let (mut reader, mut writer) = split(&mut platform);
                let mut got = Vec::new();
                let write = async {
                    writer.write_all(&up[10..]).await.unwrap();
                    writer.shutdown().await.unwrap();
                };
                let (_, read) = tokio::join!(write, reader.read_to_end(&mut got));
                read.unwrap();
                got
            };
            let app_side = async {
                let (mut reader, mut writer) = split(&mut app);
                let mut got = Vec::new();
                let write = async {
                    writer.write_all(&down[10..]).await.unwrap();
                    writer.shutdown().await.unwrap();
                };
                let (_, read) = tokio::join!(write, reader.read_to_end(&mut got));
                read.unwrap();
                got
            };
            let (_, at_platform, at_app) = tokio::join!(relaying, platform_side, app_side);
            assert!(at_platform == sent[1] && at_app == sent[0], "round {round}");
        }
    }

    const CLOSE: [u8; 4] = [0x88, 2, 3, 232];

    /// What one side says before it is gone, and the other, which is still read, after that: the code that counts.
    async fn code(first: (bool, Vec<u8>), then: Vec<u8>) -> u16 {
        let (mut platform, ours) = duplex(100_000);
        let (theirs, mut app) = duplex(100_000);
        let (by_platform, said) = first;
        let (one, other) = if by_platform { (&mut platform, &mut app) } else { (&mut app, &mut platform) };
        let replaced = CancellationToken::new();
        let relaying = relay(ours, theirs, (text_frame("{}"), Vec::new()), &replaced, |_, _, _| {});
        let sides = async {
            one.write_all(&said).await.unwrap();
            one.shutdown().await.unwrap();
            let mut got = Vec::new();
            other.read_to_end(&mut got).await.unwrap();
            other.write_all(&then).await.unwrap();
            other.shutdown().await.unwrap();
            let mut passed = Vec::new();
            one.read_to_end(&mut passed).await.unwrap();
            assert!(passed.ends_with(&then), "the last words pass: {passed:?}");
        };
        let ((relayed, _), ()) = tokio::join!(relaying, sides);
        relayed.code
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_is_a_cut_whatever_the_other_side_answers() {
        for by_platform in [true, false] {
            assert_eq!(code((by_platform, Vec::new()), CLOSE.to_vec()).await, BROKEN, "{by_platform}");
            assert_eq!(code((by_platform, CLOSE.to_vec()), Vec::new()).await, 1000, "{by_platform}");
            assert_eq!(code((by_platform, CLOSE.to_vec()), vec![0x88, 2, 3, 233]).await, 1000, "{by_platform}");
        }
        // Who goes away says so; an app that does is dialled again, a platform is over and done.
        for code_said in [1001_u16, 1011, 1012, 1013] {
            let close = [&[0x88, 2][..], &code_said.to_be_bytes()].concat();
            assert_eq!(code((false, close.clone()), CLOSE.to_vec()).await, BROKEN, "{code_said}");
            assert_eq!(code((true, close.clone()), close.clone()).await, code_said);
            let ended = [text_frame(r#"{"type":"end"}"#), close].concat();
            assert_eq!(code((false, ended), CLOSE.to_vec()).await, code_said, "the app had ended the session");
        }
        // An app that ended the session, and hung up without another word.
        assert_eq!(code((false, text_frame(r#"{"type":"end"}"#)), CLOSE.to_vec()).await, 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_connection_replaces_is_over_at_once() {
        let (_platform, ours) = duplex(1000);
        let (theirs, _app) = duplex(1000);
        let replaced = CancellationToken::new();
        replaced.cancel();
        let relaying = relay(ours, theirs, (text_frame("{}"), Vec::new()), &replaced, |_, _, _| {});
        assert_eq!(timeout(LINGER, relaying).await.unwrap().0, Relayed { code: BROKEN, by_us: false });
    }
}
