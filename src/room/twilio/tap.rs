//! Between the relay, which carries a call's frames, and the link, which hears them: a [`Tap`] for the link, a [`Spout`] for the
//! relay. The relay never waits: what the link does not take in time it misses, and is told so.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::room::error::RoomError;

/// So many messages wait for the link. An app that speaks word by word sends some 200 a minute.
const WAITING: usize = 4096;
/// So many bytes of text do.
const WAITING_BYTES: usize = 1024 * 1024;

/// What passes by, or came of what was injected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tapped {
    /// The platform said self.
    Platform(String),
    /// The app said self.
    App(String),
    /// A message passed that could not be read.
    Unread,
    /// So many messages passed unheard, as the link was behind.
    Missed(u64),
    /// What belongs to this command is on its way to the platform.
    Injected(String),
    /// There was no place for what belongs to this command in time: it was not said, and will not be.
    Expired(String),
    /// By now the sentence of this command is heard: what the app said before it is over, by its length.
    Begun(String),
    /// By now the sentence of this command was heard, by its length.
    Played(String),
    /// How the call that the platform made for us went, in its words.
    Dialled(String),
}

impl Tapped {
    /// How many bytes of somebody else's it holds.
    fn len(&self) -> usize {
        match self {
            Self::Platform(text) | Self::App(text) | Self::Dialled(text) => text.len(),
            Self::Unread
            | Self::Missed(_)
            | Self::Injected(_)
            | Self::Expired(_)
            | Self::Begun(_)
            | Self::Played(_) => 0,
        }
    }
}

/// Something to say to the platform, between what the app says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// The command behind it.
    pub command_id: String,
    /// The message.
    pub text: String,
    /// How long it takes to be heard; none where it ends the session.
    pub plays_for: Option<Duration>,
    /// How long it may wait for its place.
    pub within: Duration,
    /// Whether a sentence of ours that was to be said before has to be heard first.
    pub waits: bool,
}

#[derive(Debug)]
enum Word {
    Tapped(Tapped),
    Closed { code: u16 },
}

/// The link's end.
#[derive(Debug)]
pub struct Tap {
    words: mpsc::Receiver<Word>,
    injections: mpsc::UnboundedSender<Injection>,
    missed: Arc<AtomicU64>,
    bytes: Arc<AtomicUsize>,
    beat: Arc<Mutex<Beat>>,
    left: bool,
}

/// A heartbeat of the link: what is behind a tap answers itself.
#[derive(Debug, Default)]
struct Beat {
    due: bool,
    waker: Option<Waker>,
}

/// What comes from a tap.
#[derive(Debug)]
pub(in crate::room) enum Heard {
    Tapped(Tapped),
    /// It answers a ping.
    Alive,
}

/// The relay's end; as many as want one.
#[derive(Debug, Clone)]
pub struct Spout {
    words: mpsc::Sender<Word>,
    missed: Arc<AtomicU64>,
    /// So many bytes wait.
    bytes: Arc<AtomicUsize>,
}

/// What the link wants to be said.
pub(super) type Injections = mpsc::UnboundedReceiver<Injection>;

/// A tap with its spout, and what is to be injected.
#[must_use]
pub(super) fn tap() -> (Tap, Spout, Injections) {
    let (words, heard) = mpsc::channel(WAITING);
    let (injections, wanted) = mpsc::unbounded_channel();
    let (missed, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
    let spout = Spout { words, missed: Arc::clone(&missed), bytes: Arc::clone(&bytes) };
    (Tap { words: heard, injections, missed, bytes, beat: Arc::default(), left: false }, spout, wanted)
}

impl Spout {
    /// Tells the link; never waits.
    pub fn tell(&self, tapped: Tapped) {
        let len = tapped.len();
        if self.bytes.fetch_add(len, Ordering::Relaxed) + len <= WAITING_BYTES {
            match self.words.try_send(Word::Tapped(tapped)) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(_)) => {}
                // Nobody will hear of it.
                Err(mpsc::error::TrySendError::Closed(_)) => return,
            }
        }
        self.bytes.fetch_sub(len, Ordering::Relaxed);
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing more will pass: the connection was closed with this code. Waits for a link that is behind.
    pub async fn close(self, code: u16) {
        // A link that is gone needs no goodbye.
        drop(self.words.send(Word::Closed { code }).await);
    }
}

impl Tap {
    fn beat(&self) -> MutexGuard<'_, Beat> {
        // Nothing panics while it holds the lock.
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::room) fn inject(&mut self, injection: Injection) -> Result<(), RoomError> {
        self.injections.send(injection).map_err(|_| RoomError::Cut { problem: "the connection is over".to_owned() })
    }

    /// Asks whether it is there.
    pub(in crate::room) fn ping(&mut self) {
        let mut beat = self.beat();
        beat.due = true;
        if let Some(waker) = beat.waker.take() {
            waker.wake();
        }
    }

    /// Hears no more.
    pub(in crate::room) fn leave(&mut self) {
        self.left = true;
        self.words.close();
    }

    /// What comes next; `None` after it has left.
    pub(in crate::room) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Heard, RoomError>>> {
        if self.left {
            return Poll::Ready(None);
        }
        {
            let mut beat = self.beat();
            if std::mem::take(&mut beat.due) {
                return Poll::Ready(Some(Ok(Heard::Alive)));
            }
            beat.waker = Some(cx.waker().clone());
        }
        let missed = self.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            return Poll::Ready(Some(Ok(Heard::Tapped(Tapped::Missed(missed)))));
        }
        Poll::Ready(match ready!(self.words.poll_recv(cx)) {
            Some(Word::Tapped(tapped)) => {
                self.bytes.fetch_sub(tapped.len(), Ordering::Relaxed);
                Some(Ok(Heard::Tapped(tapped)))
            }
            Some(Word::Closed { code }) => Some(Err(RoomError::Closed { code, reason: String::new() })),
            None => Some(Err(RoomError::Cut { problem: "the relay is gone".to_owned() })),
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_link_that_is_behind_misses_what_is_too_much_and_is_told_so() {
        let (mut tap, spout, _) = tap();
        let large = Tapped::App("x".repeat(64 * 1024));
        for _ in 0..20 {
            spout.tell(large.clone());
        }
        spout.tell(Tapped::Unread);
        let mut heard = Vec::new();
        for _ in 0..18 {
            match poll_fn(|cx| tap.poll_next(cx)).await.unwrap().unwrap() {
                Heard::Tapped(tapped) => heard.push(tapped),
                Heard::Alive => panic!("nobody asked"),
            }
        }
        assert!(heard[0] == Tapped::Missed(4) && heard[1] == large && heard[17] == Tapped::Unread);
        // What was heard waits no longer.
        spout.tell(large.clone());
        assert!(matches!(poll_fn(|cx| tap.poll_next(cx)).await, Some(Ok(Heard::Tapped(one))) if one == large));
    }
}
