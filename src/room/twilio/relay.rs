//! Carries a call between the platform and the app ([`relay`]): every byte goes on as it came, as soon as it came, and no faster
//! than the other side takes it. A [`Spout`] is told what was said; what we have to say goes between the app's messages, never
//! inside one, and never inside a sentence that the app says in pieces.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::frames::{FromApp, FromPlatform};
use super::tap::{Injection, Injections, Spout, Tap, Tapped, tap};
use super::wire::{Passed, Wire, text_frame};

/// So much is read at a time.
const CHUNK: usize = 16 * 1024;
/// How long one side may go on after the other has hung up, or said that it will.
const LINGER: Duration = Duration::from_secs(5);
/// The code of a connection that broke without a close frame (RFC 6455 section 7.1.5).
const BROKEN: u16 = 1006;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relayed {
    /// The close code: the first that either side said; 1006 where none did.
    pub code: u16,
    /// Whether we ended the session, with a message of ours.
    pub by_us: bool,
}

/// What both directions know.
struct Shared {
    spout: Spout,
    code: AtomicU16,
    by_us: AtomicBool,
    /// The app is in the middle of a sentence.
    speaking: AtomicBool,
    /// The caller broke in: that sentence is over.
    silenced: Notify,
    /// A side said that it hangs up.
    closing: Notify,
}

impl Shared {
    /// A frame passed. Nothing that is made of it may harm what passes.
    fn passed(&self, passed: Passed, whose: impl FnOnce(String) -> Tapped) {
        match passed {
            Passed::Text(text) => self.spout.tell(whose(text)),
            Passed::Unread => self.spout.tell(Tapped::Unread),
            Passed::Close(code) => {
                let code = code.unwrap_or(1005);
                let _ = self.code.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
                self.closing.notify_one();
            }
            Passed::Frame => {}
        }
    }

    /// An app that was broken in on does not finish its sentence.
    fn interrupted(&self, passed: &Passed) {
        if let Passed::Text(text) = passed
            && matches!(serde_json::from_str(text), Ok(FromPlatform::Interrupt { .. }))
        {
            self.speaking.store(false, Ordering::Relaxed);
            self.silenced.notify_one();
        }
    }
}

/// Carries a call until both sides have hung up. `begun` gets the first message of the platform, with the tap of this call and a
/// spout to tell it more; without anybody behind the tap everything passes all the same. What came with the handshakes already
/// stands in `early`: of the platform, and of the app.
pub async fn relay<P, A>(
    platform: P,
    app: A,
    early: (Vec<u8>, Vec<u8>),
    begun: impl FnOnce(&str, Tap, Spout) + Send,
) -> (Relayed, Spout)
where
    P: AsyncRead + AsyncWrite + Send,
    A: AsyncRead + AsyncWrite + Send,
{
    let ((platform_reader, platform_writer), (app_reader, app_writer)) = (split(platform), split(app));
    let (tap, spout, injections) = tap();
    let shared = Shared {
        spout: spout.clone(),
        code: AtomicU16::new(0),
        by_us: AtomicBool::new(false),
        speaking: AtomicBool::new(false),
        silenced: Notify::new(),
        closing: Notify::new(),
    };
    let from_platform = up(platform_reader, app_writer, early.0, &shared, Begin { begun: Some((begun, tap)) });
    let from_app = Down::new(platform_writer, injections, &shared).run(app_reader, early.1);
    tokio::pin!(from_platform, from_app);
    // One side that hangs up leaves the other some time for its last words.
    tokio::select! {
        () = &mut from_platform => drop(timeout(LINGER, from_app).await),
        () = &mut from_app => drop(timeout(LINGER, from_platform).await),
        () = shared.closing.notified() => {
            drop(timeout(LINGER, async { tokio::join!(from_platform, from_app) }).await);
        }
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
        if to.write_all(&chunk).await.is_err() || to.flush().await.is_err() {
            return;
        }
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            let (taken, passed) = wire.pass(rest);
            rest = rest.get(taken..).unwrap_or_default();
            if let Some(passed) = passed {
                begin.first(&passed, &shared.spout);
                shared.interrupted(&passed);
                shared.passed(passed, Tapped::Platform);
            }
        }
        chunk.resize(CHUNK, 0);
        match from.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(len) => chunk.truncate(len),
        }
    }
    let _ = to.shutdown().await;
}

/// From the app to the platform, with what we put in between.
struct Down<'a, W> {
    to: W,
    wire: Wire,
    injections: Injections,
    waiting: VecDeque<Injection>,
    shared: &'a Shared,
}

impl<'a, W: AsyncWrite + Unpin> Down<'a, W> {
    fn new(to: W, injections: Injections, shared: &'a Shared) -> Self {
        Self { to, wire: Wire::default(), injections, waiting: VecDeque::new(), shared }
    }

    async fn run(mut self, mut from: impl AsyncRead + Unpin, early: Vec<u8>) {
        if self.carry(&early).await.is_ok() {
            let mut chunk = vec![0; CHUNK];
            let mut wanting = true;
            loop {
                tokio::select! {
                    read = from.read(&mut chunk) => match read {
                        Ok(0) | Err(_) => break,
                        Ok(len) => if self.carry(chunk.get(..len).unwrap_or_default()).await.is_err() { break },
                    },
                    () = self.shared.silenced.notified() => if self.inject().await.is_err() { break },
                    injection = self.injections.recv(), if wanting => {
                        wanting = injection.is_some();
                        self.waiting.extend(injection);
                        if self.inject().await.is_err() {
                            break;
                        }
                    }
                }
            }
        }
        let _ = self.to.shutdown().await;
    }

    /// Carries what the app says, frame by frame, and what waits where there is room for it.
    async fn carry(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut rest, mut carried) = (bytes, 0);
        while !rest.is_empty() {
            let (taken, passed) = self.wire.pass(rest);
            rest = rest.get(taken..).unwrap_or_default();
            let Some(passed) = passed else { continue };
            self.follow(&passed);
            self.shared.passed(passed, Tapped::App);
            if !self.waiting.is_empty() && self.has_room() {
                let end = bytes.len() - rest.len();
                self.to.write_all(bytes.get(carried..end).unwrap_or_default()).await?;
                carried = end;
                self.inject().await?;
            }
        }
        self.to.write_all(bytes.get(carried..).unwrap_or_default()).await?;
        self.to.flush().await
    }

    /// Whether the app is in the middle of a sentence after this.
    fn follow(&mut self, passed: &Passed) {
        if let Passed::Text(text) = passed
            && let Ok(FromApp::Text { last, .. }) = serde_json::from_str(text)
        {
            self.shared.speaking.store(!last.unwrap_or(false), Ordering::Relaxed);
        }
    }

    fn has_room(&self) -> bool {
        self.wire.is_between() && !self.shared.speaking.load(Ordering::Relaxed)
    }

    /// Says what waits, where there is room for it.
    async fn inject(&mut self) -> io::Result<()> {
        while self.has_room() {
            let Some(injection) = self.waiting.pop_front() else { break };
            self.to.write_all(&text_frame(&injection.text)).await?;
            self.to.flush().await?;
            let Injection { command_id, plays_for, .. } = injection;
            let spout = self.shared.spout.clone();
            spout.tell(Tapped::Injected(command_id.clone()));
            match plays_for {
                None => self.shared.by_us.store(true, Ordering::Relaxed),
                Some(plays_for) => drop(tokio::spawn(async move {
                    sleep(plays_for).await;
                    spout.tell(Tapped::Played(command_id));
                })),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use fastrand::Rng;
    use tokio::io::duplex;

    use super::*;

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
            let relaying = relay(ours, theirs, early, |_, _, _| panic!("as its test wants it to"));
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

    #[tokio::test(start_paused = true)]
    async fn what_we_say_waits_until_the_apps_sentence_is_whole() {
        let (mut platform, ours) = duplex(100_000);
        let (theirs, mut app) = duplex(100_000);
        let (injections, mut wanted) = tokio::sync::mpsc::unbounded_channel();
        let begun = move |_: &str, tap: Tap, _: Spout| injections.send(tap).unwrap();
        let relaying = tokio::spawn(relay(ours, theirs, (text_frame("{}"), Vec::new()), begun));
        let mut tap = wanted.recv().await.unwrap();
        let say = |token: &str, last: bool| format!(r#"{{"type":"text","token":"{token}","last":{last}}}"#);
        let frames = |texts: &[String]| texts.iter().flat_map(|text| text_frame(text)).collect::<Vec<u8>>();
        app.write_all(&frames(&[say("One ", false)])).await.unwrap();
        let mut got = vec![0; text_frame(&say("One ", false)).len()];
        platform.read_exact(&mut got).await.unwrap();
        let ours = Injection {
            command_id: "say".to_owned(),
            text: say("ours", true),
            plays_for: Some(Duration::from_secs(2)),
        };
        tap.inject(ours).unwrap();
        // In one piece: the end of a sentence, the whole of another, and half a frame.
        let rest = frames(&[say("moment.", true), say("Next.", true), say("half", true)]);
        let (now, later) = rest.split_at(rest.len() - 5);
        app.write_all(now).await.unwrap();
        sleep(Duration::from_millis(10)).await;
        app.write_all(later).await.unwrap();
        drop(app);
        let mut got = Vec::new();
        platform.read_to_end(&mut got).await.unwrap();
        let right = frames(&[say("moment.", true), say("ours", true), say("Next.", true), say("half", true)]);
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&right));
        drop(platform);
        assert_eq!(relaying.await.unwrap().0, Relayed { code: BROKEN, by_us: false });
    }
}
