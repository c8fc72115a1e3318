//! Events on standard output, one JSON line each, from a thread of its own ([`Events`]): a platform that does not read holds
//! up no call.

use std::collections::VecDeque;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use crate::call::report::Report;
use crate::runtime::worker::News;
use crate::runtime::{Call, Event};
use crate::telemetry::meter::Meter;
use crate::telemetry::shown::json_line;

/// How many events wait for a reader at most.
const LIMIT: usize = 1024;
/// How long the end of the process waits for what is not yet read.
const FAREWELL: Duration = Duration::from_secs(2);
/// The stack of the thread, which does nothing but write.
const STACK: usize = 64 * 1024;

/// How readily an event is dropped when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// `turn` and `transfer`: there are many, and later ones say where things stand.
    Passing,
    /// What is neither.
    Usual,
    /// `escalation`, `outcome`, `ended`: what the platform acts on.
    Decisive,
}

impl Worth {
    fn of(report: &Report) -> Self {
        match report {
            Report::Turn(_) | Report::Unrated { .. } | Report::Transfer { .. } => Self::Passing,
            Report::Escalation { .. } | Report::Outcome { .. } | Report::Ended { .. } => Self::Decisive,
            Report::Attached { .. } | Report::Delivery { .. } | Report::Tool { .. } | Report::Warning { .. } => {
                Self::Usual
            }
        }
    }
}

/// The lines that wait. Pure: what is dropped, and what is said of it, depends on nothing else.
#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<(Worth, Vec<u8>)>,
    /// Dropped since the last one was read.
    dropped: u64,
}

impl Queue {
    /// Adds a line; when there are too many, the oldest of the least worth goes. Returns whether one went.
    fn push(&mut self, worth: Worth, line: Vec<u8>) -> bool {
        self.lines.push_back((worth, line));
        if self.lines.len() <= LIMIT {
            return false;
        }
        let least = (0..self.lines.len()).min_by_key(|at| (self.lines[*at].0, *at));
        if let Some(at) = least {
            self.lines.remove(at);
            self.dropped += 1;
        }
        true
    }

    /// The next line to write: first, what is missing before it.
    fn next(&mut self) -> Option<Vec<u8>> {
        if self.dropped > 0 && !self.lines.is_empty() {
            let dropped = std::mem::take(&mut self.dropped);
            let detail = format!("standard output was not read, and {dropped} events before this one were dropped");
            return Some(line(&Report::Warning { detail }));
        }
        self.lines.pop_front().map(|(_, line)| line)
    }
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    /// A line was taken and is not yet written.
    writing: bool,
    closing: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    meter: Arc<Meter>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and the state would be whole even then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A way to standard output that never waits for whoever reads it.
#[derive(Debug, Clone)]
pub(super) struct Events(Arc<Shared>);

impl Events {
    /// Starts the thread that writes. Where the system has no thread to give, events are written at once. What is dropped is
    /// counted there.
    pub(super) fn start(meter: Arc<Meter>) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), meter });
        let writer = Arc::clone(&shared);
        let started = std::thread::Builder::new()
            .name("events".to_owned())
            .stack_size(STACK)
            .spawn(move || write_all(&writer, &mut std::io::stdout()));
        if let Err(error) = started {
            tracing::warn!(%error, "no thread for events; a platform that does not read them holds up the call");
            shared.lock().closing = true;
        }
        Self(shared)
    }

    /// Prints a report of a call.
    pub(super) fn report(&self, report: &Report) {
        self.push(Worth::of(report), line(report));
    }

    /// Prints a report of one of several calls.
    pub(super) fn report_of(&self, call: &Call, report: &Report) {
        self.push(Worth::of(report), line(&Event { call, report }));
    }

    /// Prints that nothing is done in one of several calls, and why.
    pub(super) fn disabled_in(&self, call: &Call, reason: &str) {
        self.push(Worth::Usual, line(&json!({"room": call.room, "type": "disabled", "reason": reason})));
    }

    /// Prints something about the process itself.
    pub(super) fn news(&self, news: &News) {
        #[derive(Serialize)]
        struct OfWorker<'a> {
            r#type: &'static str,
            #[serde(flatten)]
            news: &'a News,
        }
        self.push(Worth::Usual, line(&OfWorker { r#type: "worker", news }));
    }

    /// Prints where probes and metrics are.
    pub(super) fn listening(&self, address: SocketAddr) {
        self.push(Worth::Usual, line(&json!({"type": "listening", "metrics": format!("http://{address}/metrics")})));
    }

    /// Prints that nothing is done, and why.
    pub(super) fn disabled(&self, reason: &str) {
        self.push(Worth::Decisive, line(&json!({"type": "disabled", "reason": reason})));
    }

    fn push(&self, worth: Worth, line: Vec<u8>) {
        let mut state = self.0.lock();
        if state.closing {
            drop(state);
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(&line).and_then(|()| out.flush());
            return;
        }
        // Said on stderr at the first one, and whenever there are twice as many.
        if state.queue.push(worth, line) {
            self.0.meter.event_lost();
            if state.queue.dropped.is_power_of_two() {
                tracing::warn!(dropped = state.queue.dropped, "standard output is not read; events are dropped");
            }
        }
        drop(state);
        self.0.changed.notify_all();
    }

    /// Waits until all is written, for 2 s at most.
    pub(super) fn close(self) {
        let until = Instant::now() + FAREWELL;
        let mut state = self.0.lock();
        while state.writing || !state.queue.lines.is_empty() {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                tracing::warn!(unread = state.queue.lines.len(), "standard output is not read; events are lost");
                return;
            };
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// One event as a line; empty where it cannot be written, which its types rule out.
fn line(event: &impl Serialize) -> Vec<u8> {
    json_line(event).unwrap_or_default().into_bytes()
}

/// Writes for ever. A platform that has closed its end reads no more, and what is said to it goes nowhere.
fn write_all(shared: &Shared, out: &mut impl Write) {
    loop {
        let mut state = shared.lock();
        let line = loop {
            match state.queue.next() {
                Some(line) => break line,
                None => state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        state.writing = true;
        drop(state);
        let _ = out.write_all(&line).and_then(|()| out.flush());
        shared.lock().writing = false;
        shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.next()).map(|line| String::from_utf8_lossy(&line).trim().to_owned()).collect()
    }

    #[test]
    fn what_is_decisive_goes_last_and_what_is_missing_is_said() {
        let mut queue = Queue::default();
        assert!(!queue.push(Worth::Decisive, b"escalation".to_vec()));
        for _ in 0..LIMIT / 2 {
            queue.push(Worth::Usual, b"tool".to_vec());
        }
        for _ in 0..LIMIT {
            queue.push(Worth::Passing, b"turn".to_vec());
        }
        for _ in 0..LIMIT / 2 {
            queue.push(Worth::Decisive, b"outcome".to_vec());
        }
        let dropped = LIMIT + 1;
        let lines = text(&mut queue);
        assert_eq!(lines.len(), LIMIT + 1);
        assert!(lines[0].contains("warning") && lines[0].contains(&format!("{dropped} events")), "{}", lines[0]);
        let count = |what: &str| lines.iter().filter(|line| *line == what).count();
        assert_eq!((count("escalation"), count("outcome"), count("turn")), (1, LIMIT / 2, 0));
        assert_eq!(count("tool"), LIMIT / 2 - 1);
        assert_eq!(queue.dropped, 0);
    }
}
