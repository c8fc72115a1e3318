//! What the two directions of a connection know of each other ([`Shared`]).

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use tokio::sync::Notify;

use super::frames::FromPlatform;
use super::tap::{Spout, Tapped};
use super::wire::Passed;

/// So much is read at a time.
pub(super) const CHUNK: usize = 16 * 1024;
/// The code of a connection that broke without a close frame (RFC 6455 section 7.1.5).
pub const BROKEN: u16 = 1006;
/// The codes of a side that goes away in the middle of a call, as its process is replaced or out of order (RFC 6455 section 7.4).
const GOES_AWAY: [u16; 4] = [1001, 1011, 1012, 1013];

/// What both know.
pub(super) struct Shared {
    pub(super) spout: Spout,
    /// The close code that was said first; 0 before.
    pub(super) code: AtomicU16,
    /// We ended the session.
    pub(super) by_us: AtomicBool,
    /// The app ended the session.
    pub(super) by_app: AtomicBool,
    /// The caller broke in: what the agent was saying is over.
    pub(super) silenced: Notify,
    /// A side said that it hangs up.
    pub(super) closing: Notify,
}

impl Shared {
    pub(super) fn new(spout: Spout) -> Self {
        let (code, by_us, by_app) = (AtomicU16::new(0), AtomicBool::new(false), AtomicBool::new(false));
        Self { spout, code, by_us, by_app, silenced: Notify::new(), closing: Notify::new() }
    }

    /// A frame passed. Nothing that is made of it may harm what passes.
    pub(super) fn passed(&self, passed: Passed, whose: impl FnOnce(String) -> Tapped) {
        match passed {
            Passed::Text(text) => self.spout.tell(whose(text)),
            Passed::Unread => self.spout.tell(Tapped::Unread),
            Passed::Close(code) => {
                self.closed(code.unwrap_or(1005));
                self.closing.notify_one();
            }
            Passed::Frame => {}
        }
    }

    /// A side is gone. Where nobody has said goodbye nor ended the session by then, that is a cut, whatever the other side answers.
    pub(super) fn gone(&self) {
        if !self.by_app.load(Ordering::Relaxed) {
            self.closed(BROKEN);
        }
    }

    /// The app hangs up. One that only goes away is dialled again, as Twilio does with `applicationReconnect`: for the call that is
    /// a cut.
    pub(super) fn app_closes(&self, code: Option<u16>) {
        if code.is_some_and(|code| GOES_AWAY.contains(&code)) && !self.by_app.load(Ordering::Relaxed) {
            self.closed(BROKEN);
        }
    }

    /// The first code counts.
    fn closed(&self, code: u16) {
        let _ = self.code.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether the caller broke in.
    pub(super) fn interrupted(&self, passed: &Passed) {
        if let Passed::Text(text) = passed
            && matches!(serde_json::from_str(text), Ok(FromPlatform::Interrupt { .. }))
        {
            self.silenced.notify_one();
        }
    }
}
