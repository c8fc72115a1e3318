//! The two bounded queues between the runtime and the socket: [`Inbox`] and [`Outbox`]. Both pure.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::room::error::RoomEvent;
use crate::room::message::{CommandKind, RoomMessage, SidecarMessage};

/// What the room said and the runtime has not yet taken.
///
/// Under pressure, interim transcripts that a newer piece of the same segment replaces are dropped. When that does
/// not help, the inbox is full and nobody reads the socket: finals, turns and commands are never dropped.
#[derive(Debug)]
pub(super) struct Inbox {
    queue: VecDeque<RoomEvent>,
    limit: usize,
}

impl Inbox {
    pub(super) fn new(limit: usize) -> Self {
        Self { queue: VecDeque::new(), limit: limit.max(1) }
    }

    pub(super) fn push(&mut self, event: RoomEvent) {
        if matches!(event, RoomEvent::Lost { .. }) && matches!(self.queue.back(), Some(RoomEvent::Lost { .. })) {
            self.queue.pop_back();
        }
        self.queue.push_back(event);
        if self.is_full() {
            self.shed();
        }
    }

    pub(super) fn pop(&mut self) -> Option<RoomEvent> {
        self.queue.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= self.limit
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// Drops every interim that a later piece of the same segment replaces.
    fn shed(&mut self) {
        let mut seen: HashSet<(String, String)> = HashSet::new();
        let mut kept = VecDeque::with_capacity(self.queue.len());
        while let Some(event) = self.queue.pop_back() {
            let replaced = match &event {
                RoomEvent::Message(message @ RoomMessage::Transcript(t)) => {
                    !seen.insert((t.participant_id.clone(), t.segment_id.clone())) && message.is_interim()
                }
                _ => false,
            };
            if !replaced {
                kept.push_front(event);
            }
        }
        self.queue = kept;
    }
}

/// A message and since when it waits.
#[derive(Debug, Clone)]
struct Waiting {
    message: SidecarMessage,
    since: Instant,
}

impl Waiting {
    /// Whether carrying it out would do harm by now: the core has stopped waiting for it, and a late transfer or a
    /// late sentence reaches a caller for whom something else is under way.
    fn is_stale(&self, now: Instant) -> bool {
        match &self.message {
            SidecarMessage::Command {
                command: CommandKind::Say { .. } | CommandKind::Transfer { .. },
                deadline_ms,
                ..
            } => now.saturating_duration_since(self.since) >= Duration::from_millis(*deadline_ms),
            _ => false,
        }
    }

    /// How readily it is dropped when the queue is full; commands are not.
    fn expendable(&self) -> Option<u8> {
        match &self.message {
            SidecarMessage::Error(_) => Some(0),
            SidecarMessage::Sentiment { .. } | SidecarMessage::Tone { .. } => Some(1),
            SidecarMessage::ToolResult { .. } => Some(2),
            _ => None,
        }
    }
}

/// What we have to say and the room has not yet been sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Registered again after every `welcome`.
    tools: Option<SidecarMessage>,
    tools_due: bool,
    queue: VecDeque<Waiting>,
    /// Commands that were sent and have no final result yet: sent again after a cut.
    unanswered: Vec<Waiting>,
    /// Handed to the socket, but not known to have left: said again after a cut.
    unflushed: Vec<Waiting>,
    online: bool,
}

impl Outbox {
    /// How many messages wait at most.
    pub(super) const LIMIT: usize = 256;

    pub(super) fn push(&mut self, now: Instant, message: SidecarMessage) {
        match message {
            SidecarMessage::ToolsRegister { .. } => {
                self.tools = Some(message);
                self.tools_due = self.online;
            }
            SidecarMessage::Hello { .. } | SidecarMessage::Ack { .. } => {
                tracing::debug!("hello and ack are the connection's own business and were not queued");
            }
            message => {
                self.queue.push_back(Waiting { message, since: now });
                if !self.online {
                    self.keep_latest_mood();
                }
                self.bound();
            }
        }
    }

    /// The next message to write, which counts as handed to the socket, and how long ago it was first wanted.
    pub(super) fn next(&mut self, now: Instant) -> Option<(SidecarMessage, Duration)> {
        if !self.online {
            return None;
        }
        if std::mem::take(&mut self.tools_due) {
            return self.tools.clone().map(|tools| (tools, Duration::ZERO));
        }
        self.drop_stale(now);
        let waiting = self.queue.pop_front()?;
        let (message, waited) = (waiting.message.clone(), now.saturating_duration_since(waiting.since));
        match message {
            SidecarMessage::Command { .. } => self.unanswered.push(waiting),
            _ => self.unflushed.push(waiting),
        }
        Some((message, waited))
    }

    pub(super) fn has_next(&self) -> bool {
        self.online && (self.tools_due || !self.queue.is_empty())
    }

    /// Nothing waits to be said, connected or not.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.unflushed.is_empty()
    }

    /// Everything that `next` handed out has left.
    pub(super) fn flushed(&mut self) {
        self.unflushed.clear();
    }

    /// A final result came for a command.
    pub(super) fn answered(&mut self, id: &str) {
        let is_it = |w: &Waiting| matches!(&w.message, SidecarMessage::Command { command_id, .. } if command_id == id);
        self.unanswered.retain(|w| !is_it(w));
        self.queue.retain(|w| !is_it(w));
    }

    /// `welcome` came.
    pub(super) fn connected(&mut self, now: Instant) {
        self.online = true;
        self.tools_due = self.tools.is_some();
        for waiting in self.unanswered.drain(..).rev() {
            self.queue.push_front(waiting);
        }
        self.drop_stale(now);
    }

    /// The connection is gone.
    pub(super) fn disconnected(&mut self) {
        self.online = false;
        for waiting in self.unflushed.drain(..).rev() {
            self.queue.push_front(waiting);
        }
        self.keep_latest_mood();
    }

    fn drop_stale(&mut self, now: Instant) {
        let before = self.queue.len();
        self.queue.retain(|w| !w.is_stale(now));
        if self.queue.len() < before {
            tracing::warn!(
                dropped = before - self.queue.len(),
                "commands outlived their deadline before they could be sent"
            );
        }
    }

    /// Of `sentiment` and `tone`, keeps the newest each: older ones tell a room that was away nothing.
    fn keep_latest_mood(&mut self) {
        let (mut sentiment, mut tone) = (false, false);
        let mut kept = VecDeque::with_capacity(self.queue.len());
        while let Some(waiting) = self.queue.pop_back() {
            let replaced = match waiting.message {
                SidecarMessage::Sentiment { .. } => std::mem::replace(&mut sentiment, true),
                SidecarMessage::Tone { .. } => std::mem::replace(&mut tone, true),
                _ => false,
            };
            if !replaced {
                kept.push_front(waiting);
            }
        }
        self.queue = kept;
    }

    fn bound(&mut self) {
        while self.queue.len() > Self::LIMIT {
            let victim = (0..self.queue.len())
                .filter_map(|at| self.queue[at].expendable().map(|rank| (rank, at)))
                .min()
                .map(|(_, at)| at);
            // Only commands are left then, of which the core has a handful at most.
            let Some(at) = victim else { return };
            self.queue.remove(at);
            tracing::warn!("the room takes nothing, and the queue to it is full: one message was dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::message::{ErrorMessage, Tool, Transcript};

    fn transcript(segment: &str, rev: u32, is_final: bool) -> RoomEvent {
        RoomEvent::Message(RoomMessage::Transcript(Transcript {
            seq: None,
            segment_id: segment.to_owned(),
            rev,
            participant_id: "p".to_owned(),
            text: String::new(),
            is_final,
            start_ms: None,
            end_ms: None,
            confidence: None,
            lang: None,
            mended: Vec::new(),
        }))
    }

    fn drain_in(inbox: &mut Inbox) -> Vec<(String, u32, bool)> {
        std::iter::from_fn(|| inbox.pop())
            .map(|event| match event {
                RoomEvent::Message(RoomMessage::Transcript(t)) => (t.segment_id, t.rev, t.is_final),
                other => (format!("{other:?}"), 0, false),
            })
            .collect()
    }

    fn sentiment(turn: &str) -> SidecarMessage {
        SidecarMessage::Sentiment {
            turn_id: turn.to_owned(),
            sentiment: 5.0,
            valence: 0.0,
            frustration: 0.0,
            urgency: 0.0,
            label: "neutral".to_owned(),
            streak: 0,
            mean: None,
            window: 3,
            trend: "stable".to_owned(),
        }
    }

    fn command(id: &str, command: CommandKind) -> SidecarMessage {
        SidecarMessage::Command { command_id: id.to_owned(), command, deadline_ms: 5_000 }
    }

    fn say(id: &str) -> SidecarMessage {
        command(id, CommandKind::Say { text: "hello".to_owned() })
    }

    fn flag(id: &str) -> SidecarMessage {
        let [alert_id, severity, description] = ["a", "high", "d"].map(str::to_owned);
        command(id, CommandKind::SetFlag { alert_id, severity, description })
    }

    fn result(id: &str) -> SidecarMessage {
        SidecarMessage::ToolResult { call_id: id.to_owned(), ok: true, output: serde_json::Value::Null }
    }

    fn names(outbox: &mut Outbox, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| outbox.next(now))
            .map(|(message, _)| match message {
                SidecarMessage::Sentiment { turn_id, .. } => turn_id,
                SidecarMessage::Command { command_id, .. } => command_id,
                SidecarMessage::ToolResult { call_id, .. } => call_id,
                SidecarMessage::ToolsRegister { .. } => "tools".to_owned(),
                SidecarMessage::Error(e) => e.code,
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn pressure_drops_only_interims_that_newer_ones_replace() {
        let mut inbox = Inbox::new(4);
        for (segment, rev, is_final) in [("a", 1, false), ("a", 2, true), ("b", 1, false), ("b", 2, false)] {
            inbox.push(transcript(segment, rev, is_final));
        }
        assert!(!inbox.is_full());
        let (a, b) = (("a".to_owned(), 2, true), ("b".to_owned(), 2, false));
        inbox.push(transcript("c", 1, true));
        inbox.push(transcript("c", 2, true));
        assert!(inbox.is_full());
        assert_eq!(drain_in(&mut inbox), [a, b, ("c".to_owned(), 1, true), ("c".to_owned(), 2, true)]);
    }

    #[test]
    fn without_pressure_every_interim_is_passed_on() {
        let mut inbox = Inbox::new(100);
        inbox.push(transcript("a", 1, false));
        inbox.push(transcript("a", 2, false));
        assert_eq!(drain_in(&mut inbox).len(), 2);
    }

    #[test]
    fn while_disconnected_commands_and_results_stay_in_order_with_the_latest_mood() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        for message in [sentiment("t1"), say("c1"), sentiment("t2"), result("r1"), sentiment("t3"), flag("c2")] {
            outbox.push(now, message);
        }
        assert_eq!(names(&mut outbox, now), Vec::<String>::new());
        outbox.connected(now);
        assert_eq!(names(&mut outbox, now), ["c1", "r1", "t3", "c2"]);
    }

    #[test]
    fn after_a_cut_tools_come_first_then_unanswered_commands_then_what_never_left() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        outbox.connected(now);
        let tools: Vec<Tool> = Vec::new();
        outbox.push(now, SidecarMessage::ToolsRegister { tools });
        outbox.push(now, say("c1"));
        outbox.push(now, say("c2"));
        outbox.push(now, result("r1"));
        assert_eq!(names(&mut outbox, now), ["tools", "c1", "c2", "r1"]);
        outbox.flushed();
        outbox.answered("c1");
        outbox.push(now, result("r2"));
        assert_eq!(names(&mut outbox, now), ["r2"]);
        outbox.disconnected();
        outbox.push(now, result("r3"));
        outbox.connected(now);
        assert_eq!(names(&mut outbox, now), ["tools", "c2", "r2", "r3"]);
    }

    #[test]
    fn a_say_or_transfer_past_its_deadline_is_not_sent_late_but_a_flag_is() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        outbox.push(now, say("c1"));
        outbox.push(now, command("c2", CommandKind::Transfer { target: "+1".to_owned(), ringing_timeout_ms: 1 }));
        outbox.push(now, flag("c3"));
        let later = now + Duration::from_secs(5);
        outbox.connected(later);
        assert_eq!(names(&mut outbox, later), ["c3"]);
    }

    #[test]
    fn a_full_outbox_drops_the_least_and_never_a_command() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        outbox.push(now, flag("c"));
        outbox.push(now, result("r"));
        for n in 0..Outbox::LIMIT {
            let code = format!("e{n}");
            outbox.push(
                now,
                SidecarMessage::Error(ErrorMessage { code, message: String::new(), reference: None, retryable: false }),
            );
        }
        outbox.connected(now);
        let names = names(&mut outbox, now);
        assert_eq!((names.len(), &names[..3]), (Outbox::LIMIT, &["c".to_owned(), "r".to_owned(), "e2".to_owned()][..]));
    }
}
