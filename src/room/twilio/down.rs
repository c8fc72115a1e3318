//! From the app to the platform ([`Down`]): what the app says passes as it came, and what we have to say goes between its messages,
//! never inside one, and never inside a sentence that it says in pieces.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, sleep_until};

use super::frames::FromApp;
use super::shared::{CHUNK, Shared};
use super::tap::{Injection, Injections, Tapped};
use super::wire::{Passed, Wire, text_frame};
use super::{FIRST_SOUND, speaking_time};

/// The way from the app.
pub(super) struct Down<'a, W> {
    to: W,
    wire: Wire,
    injections: Injections,
    /// The app is in the middle of a sentence.
    speaking: bool,
    /// What is to be said, and until when; for ever, where that is beyond all time.
    waiting: VecDeque<(Injection, Option<Instant>)>,
    /// Until then what the app said is heard, by its length.
    app_heard: Option<Instant>,
    /// Until then our own sentence is.
    ours_heard: Option<Instant>,
    shared: &'a Shared,
}

impl<'a, W: AsyncWrite + Unpin> Down<'a, W> {
    pub(super) fn new(to: W, injections: Injections, shared: &'a Shared) -> Self {
        Self {
            to,
            wire: Wire::default(),
            injections,
            speaking: false,
            waiting: VecDeque::new(),
            app_heard: None,
            ours_heard: None,
            shared,
        }
    }

    /// Until the app has hung up, or the platform takes no more. What came with the app's handshake is `early`.
    pub(super) async fn run(mut self, mut from: impl AsyncRead + Unpin, early: Vec<u8>) {
        if self.carry(&early).await.is_ok() {
            let mut chunk = vec![0; CHUNK];
            let mut wanting = true;
            loop {
                let due = self.due();
                // In this order: what we have to say was asked for before the app's next words came, and goes before them.
                tokio::select! {
                    biased;
                    () = self.shared.silenced.notified() => {
                        // An app that was broken in on does not finish its sentence.
                        (self.speaking, self.app_heard, self.ours_heard) = (false, None, None);
                        if self.inject().await.is_err() { break }
                    }
                    () = until(due) => if self.inject().await.is_err() { break },
                    injection = self.injections.recv(), if wanting => {
                        wanting = injection.is_some();
                        let until = |injection: &Injection| Instant::now().checked_add(injection.within);
                        self.waiting.extend(injection.map(|injection| { let until = until(&injection); (injection, until) }));
                        if self.inject().await.is_err() {
                            break;
                        }
                    }
                    read = from.read(&mut chunk) => match read {
                        Ok(0) | Err(_) => {
                            self.shared.gone();
                            break;
                        }
                        Ok(len) => if self.carry(chunk.get(..len).unwrap_or_default()).await.is_err() { break },
                    },
                }
            }
        }
        let _ = self.to.shutdown().await;
    }

    /// Carries what the app says, and what waits where there is room for it.
    async fn carry(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Where nothing waits, nothing goes in between: the bytes need not wait until they were looked at.
        let mut carried = if self.waiting.is_empty() { bytes.len() } else { 0 };
        let written = self.write(bytes.get(..carried).unwrap_or_default()).await;
        // What was said counts, though the other side is gone.
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, passed) = self.wire.pass(rest);
            rest = rest.get(taken..).unwrap_or_default();
            let Some(passed) = passed else { continue };
            self.follow(&passed);
            self.shared.passed(passed, Tapped::App);
            if written.is_ok() && !self.waiting.is_empty() && self.has_room() {
                let end = bytes.len() - rest.len();
                self.write(bytes.get(carried..end).unwrap_or_default()).await?;
                carried = end;
                self.inject().await?;
            }
        }
        written?;
        self.write(bytes.get(carried..).unwrap_or_default()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.to.write_all(bytes).await?;
        self.to.flush().await
    }

    /// Whether the app is in the middle of a sentence after this, how long what it says is heard, and whether it goes away.
    fn follow(&mut self, passed: &Passed) {
        let text = match passed {
            Passed::Text(text) => text,
            Passed::Close(code) => return self.shared.app_closes(*code),
            Passed::Unread | Passed::Frame => return,
        };
        match serde_json::from_str(text) {
            Ok(FromApp::Text { token, last }) => {
                self.speaking = !last.unwrap_or(false);
                let now = Instant::now();
                let before = self.app_heard.map_or(now, |heard| heard.max(now));
                self.app_heard = before.checked_add(speaking_time(token.as_deref().unwrap_or_default()));
            }
            Ok(FromApp::End) => self.shared.by_app.store(true, Ordering::Relaxed),
            Ok(FromApp::Other) | Err(_) => {}
        }
    }

    /// Whether something of ours may be said here: no message is under way, no sentence of the app's, and the session goes on.
    fn has_room(&self) -> bool {
        let Shared { code, by_us, by_app, .. } = self.shared;
        let is_ended = by_app.load(Ordering::Relaxed) || by_us.load(Ordering::Relaxed);
        let is_over = is_ended || code.load(Ordering::Relaxed) != 0;
        self.wire.is_between() && !is_over && !self.speaking
    }

    /// When to look again at what waits, though nothing passes.
    fn due(&self) -> Option<Instant> {
        let ours = self.ours_heard.filter(|_| !self.waiting.is_empty());
        self.waiting.iter().filter_map(|(_, until)| *until).chain(ours).min()
    }

    /// Says what waits, where there is room for it. Whoever wanted it has given up what waited too long.
    async fn inject(&mut self) -> io::Result<()> {
        let now = Instant::now();
        self.ours_heard.take_if(|heard| *heard <= now);
        self.waiting.retain(|(injection, until)| {
            let in_time = until.is_none_or(|until| now < until);
            if !in_time {
                self.shared.spout.tell(Tapped::Expired(injection.command_id.clone()));
            }
            in_time
        });
        while self.has_room() {
            // The end of the session would cut our own sentence.
            let Some((injection, _)) = self.waiting.pop_front_if(|(next, _)| !next.waits || self.ours_heard.is_none())
            else {
                break;
            };
            self.write(&text_frame(&injection.text)).await?;
            self.said(injection);
        }
        Ok(())
    }

    /// The link is told what became of it, and when it is heard.
    fn said(&mut self, Injection { command_id, plays_for, .. }: Injection) {
        let spout = self.shared.spout.clone();
        spout.tell(Tapped::Injected(command_id.clone()));
        let Some(plays_for) = plays_for else {
            self.shared.by_us.store(true, Ordering::Relaxed);
            return;
        };
        let now = Instant::now();
        let begins = self.app_heard.map_or(now, |heard| heard.max(now));
        self.ours_heard = begins.checked_add(plays_for);
        drop(tokio::spawn(async move {
            sleep_until(begins).await;
            sleep(FIRST_SOUND).await;
            spout.tell(Tapped::Begun(command_id.clone()));
            sleep(plays_for.saturating_sub(FIRST_SOUND)).await;
            spout.tell(Tapped::Played(command_id));
        }));
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::io::{DuplexStream, duplex};
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::room::twilio::relay::{BROKEN, Relayed, relay};
    use crate::room::twilio::tap::{Heard, Spout, Tap};

    async fn relayed(
        platform: DuplexStream,
        app: DuplexStream,
        begun: impl FnOnce(&str, Tap, Spout) + Send,
    ) -> (Relayed, Spout) {
        relay(platform, app, (text_frame("{}"), Vec::new()), &CancellationToken::new(), begun).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_we_say_waits_until_the_apps_sentence_is_whole() {
        let (mut platform, ours) = duplex(100_000);
        let (theirs, mut app) = duplex(100_000);
        let (injections, mut wanted) = tokio::sync::mpsc::unbounded_channel();
        let begun = move |_: &str, tap: Tap, _: Spout| injections.send(tap).unwrap();
        let relaying = tokio::spawn(relayed(ours, theirs, begun));
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
            within: Duration::from_secs(5),
            waits: false,
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

    fn ours(id: &str, text: &str, plays_for: Option<u64>, within: u64) -> Injection {
        let plays_for = plays_for.map(Duration::from_secs);
        let (command_id, text, within) = (id.to_owned(), text.to_owned(), Duration::from_secs(within));
        Injection { command_id, text, plays_for, within, waits: plays_for.is_none() }
    }

    /// A call whose app is in the middle of a sentence, with both ends of it, and the tap.
    async fn speaking() -> (DuplexStream, DuplexStream, Tap) {
        let (platform, ours) = duplex(100_000);
        let (theirs, mut app) = duplex(100_000);
        let (taps, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let begin = move |_: &str, tap: Tap, _: Spout| taps.send(tap).unwrap();
        tokio::spawn(relayed(ours, theirs, begin));
        let tap = begun.recv().await.unwrap();
        app.write_all(&text_frame(r#"{"type":"text","token":"One ","last":false}"#)).await.unwrap();
        sleep(Duration::from_millis(10)).await;
        (platform, app, tap)
    }

    const WHOLE: &str = r#"{"type":"text","token":"moment.","last":true}"#;

    /// What the platform got, in this time.
    async fn got(platform: &mut DuplexStream, within: u64) -> String {
        let mut all = Vec::new();
        let reading = async { while platform.read_buf(&mut all).await.unwrap() > 0 {} };
        drop(timeout(Duration::from_secs(within), reading).await);
        String::from_utf8_lossy(&all).into_owned()
    }

    /// What the link was told of what it wanted.
    async fn told(tap: &mut Tap) -> Vec<Tapped> {
        let mut all = Vec::new();
        let reading = async {
            while let Some(Ok(Heard::Tapped(tapped))) = poll_fn(|cx| tap.poll_next(cx)).await {
                all.push(tapped);
            }
        };
        drop(timeout(Duration::from_secs(1), reading).await);
        all.retain(|one| !matches!(one, Tapped::Platform(_) | Tapped::App(_)));
        all
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_too_long_is_not_said() {
        let (mut platform, mut app, mut tap) = speaking().await;
        tap.inject(ours("say", "ours", Some(2), 5)).unwrap();
        tap.inject(ours("transfer", "the end", None, 60)).unwrap();
        got(&mut platform, 10).await;
        assert_eq!(told(&mut tap).await, [Tapped::Expired("say".to_owned())]);
        app.write_all(&text_frame(WHOLE)).await.unwrap();
        let all = got(&mut platform, 1).await;
        assert!(all.ends_with("the end") && !all.contains("ours"), "{all}");
        // The session is over, and so is whatever comes late.
        tap.inject(ours("late", "late", Some(2), 60)).unwrap();
        assert_eq!(got(&mut platform, 1).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_until_our_sentence_was_heard() {
        for interrupted in [false, true] {
            let (mut platform, mut app, mut tap) = speaking().await;
            tap.inject(ours("say", "ours", Some(2), 5)).unwrap();
            tap.inject(ours("transfer", "the end", None, 60)).unwrap();
            app.write_all(&text_frame(WHOLE)).await.unwrap();
            let all = got(&mut platform, 1).await;
            assert!(all.ends_with("ours"), "{all}");
            if interrupted {
                // Nothing of it is heard any more.
                let interrupt = text_frame(r#"{"type":"interrupt","utteranceUntilInterrupt":"One"}"#);
                platform.write_all(&interrupt).await.unwrap();
            }
            let all = got(&mut platform, if interrupted { 1 } else { 3 }).await;
            assert!(all.ends_with("the end"), "{interrupted}: {all}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_said_after_a_close() {
        for over in [vec![0x88, 2, 3, 232], text_frame(r#"{"type":"end"}"#)] {
            let (mut platform, mut app, mut tap) = speaking().await;
            app.write_all(&[text_frame(WHOLE), over].concat()).await.unwrap();
            got(&mut platform, 1).await;
            tap.inject(ours("transfer", "the end", None, 60)).unwrap();
            assert_eq!(got(&mut platform, 1).await, "");
        }
    }
}
