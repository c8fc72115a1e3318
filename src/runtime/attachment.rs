//! One live call in a host: its drive loop.

use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::counted::Counted;
use super::edges::Edges;
use super::host::Host;
use super::journal::Journal;
use crate::call::event::{Input, Output};
use crate::call::report::Report;
use crate::call::{Call as Core, CallOptions};
use crate::clock::Millis;
use crate::config::settings::Settings;
use crate::recording::recorder::Recorder;
use crate::room::error::{RoomError, RoomEvent};
use crate::room::message::RoomMessage;
use crate::room::{RoomHandle, Target, open};
use crate::sentiment::Rater;

/// What is told of a call that ends by a bug.
const BROKE: &str = "this program broke";

/// Everything that one live call needs beside its host.
pub struct Attachment {
    /// Checked settings.
    pub settings: Arc<Settings>,
    /// Which room.
    pub room: Target,
    /// Who rates.
    pub rater: Arc<dyn Rater>,
    /// Decide and record, and touch nothing.
    pub shadow: bool,
    /// Where the room's messages are recorded.
    pub recorder: Option<Recorder<File>>,
    /// Where the core's inputs and outputs are written down.
    pub journal: Option<Journal>,
}

/// Which call of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The room.
    pub room: String,
    /// The room's session, once it let us in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

/// A report with the call that it is of: an event of a host with several calls.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    /// The call.
    #[serde(flatten)]
    pub call: &'a Call,
    /// The report.
    #[serde(flatten)]
    pub report: &'a Report,
}

/// How an attachment ended.
#[derive(Debug)]
pub enum Ending {
    /// The call ended, or we were asked to stop.
    Ended {
        /// Why.
        reason: String,
    },
    /// The room would not have us.
    Refused(RoomError),
    /// The room was lost and did not come back.
    Lost(RoomError),
    /// This program broke: a bug. What the call had decided is in the store.
    Broke,
}

impl Ending {
    /// Its name, as it is counted.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ended { .. } => "ended",
            Self::Refused(error) if error.is_superseded() => "superseded",
            Self::Refused(RoomError::PutOut { .. }) => "removed",
            Self::Refused(_) => "refused",
            Self::Lost(_) => "lost",
            Self::Broke => "broke",
        }
    }
}

/// What happened next.
enum Happened {
    Room(RoomEvent),
    Edge(Input),
    Time,
    Stop,
}

struct Loop<F> {
    name: Call,
    call: Core,
    edges: Edges,
    room: RoomHandle,
    inputs: mpsc::UnboundedReceiver<Input>,
    tell: F,
    started: Instant,
    deadline: Option<Millis>,
    recorder: Option<Recorder<File>>,
    journal: Option<Journal>,
    last_seq: Option<u64>,
    failed: Option<Ending>,
    /// The room has nothing more to say.
    over: bool,
    tally: Tally,
    counted: Counted,
}

/// What was reported of the call so far, for the last report of one that breaks.
#[derive(Debug, Default)]
struct Tally {
    turns: u32,
    at_turn: Option<u32>,
}

impl Tally {
    fn count(&mut self, report: &Report) {
        match report {
            Report::Turn(turn) => self.turns = self.turns.max(turn.turn),
            Report::Unrated { turn, .. } => self.turns = self.turns.max(*turn),
            Report::Escalation { turn, .. } => self.at_turn = self.at_turn.or(Some(*turn)),
            _ => {}
        }
    }

    fn broke(&self) -> Report {
        let Self { turns, at_turn } = *self;
        let (reason, escalated) = (BROKE.to_owned(), at_turn.is_some());
        Report::Ended { reason, turns, unrated: 0, doubt: None, escalated, at_turn }
    }
}

impl Attachment {
    pub(super) async fn run<F: FnMut(&Call, &Report)>(
        self,
        host: &Arc<Host>,
        tell: F,
        stop: CancellationToken,
    ) -> Ending {
        let options = CallOptions { room_name: self.room.room_name.clone(), shadow: self.shadow };
        let (sender, inputs) = mpsc::unbounded_channel();
        let mut driver = Loop {
            name: Call { room: self.room.room_name.clone(), session: None },
            call: Core::new(Arc::clone(&self.settings), options),
            edges: Edges::new(Arc::clone(host), self.settings, self.rater, sender),
            room: open(self.room, &host.authorities),
            inputs,
            tell,
            started: Instant::now(),
            deadline: None,
            recorder: self.recorder,
            journal: self.journal,
            last_seq: None,
            failed: None,
            over: false,
            tally: Tally::default(),
            counted: Counted::began(Arc::clone(&host.meter)),
        };
        // After a panic nothing asks the core again: only what holds channels is used, and reports what came.
        let driven = AssertUnwindSafe(driver.drive(&stop)).catch_unwind().await;
        let ending = driven.unwrap_or_else(|_| {
            tracing::error!("the call broke; what it decided is in the store");
            driver.salvage();
            let last = driver.tally.broke();
            driver.tell(&last);
            Ending::Broke
        });
        let Loop { name, edges, mut inputs, mut tell, room, mut counted, .. } = driver;
        let last = &mut |report: &Report| {
            counted.reported(report);
            tell(&name, report);
        };
        edges.settle(&mut inputs, last).await;
        room.close().await;
        counted.ended(ending.name());
        ending
    }
}

impl<F: FnMut(&Call, &Report)> Loop<F> {
    async fn drive(&mut self, stop: &CancellationToken) -> Ending {
        let mut asked_to_stop = false;
        loop {
            let happened = self.next(stop, asked_to_stop).await;
            let ended = match happened {
                Happened::Room(event) => self.room_event(event),
                Happened::Edge(input) => self.input(input),
                Happened::Time => self.input(Input::Tick),
                Happened::Stop => {
                    asked_to_stop = true;
                    self.input(Input::Shutdown)
                }
            };
            if let Some(reason) = ended {
                return self.failed.take().unwrap_or(Ending::Ended { reason });
            }
        }
    }

    async fn next(&mut self, stop: &CancellationToken, asked_to_stop: bool) -> Happened {
        let deadline = self.deadline.map(|Millis(ms)| self.started + Duration::from_millis(ms));
        tokio::select! {
            biased;
            () = stop.cancelled(), if !asked_to_stop => Happened::Stop,
            Some(input) = self.inputs.recv() => Happened::Edge(input),
            event = self.room.next(), if !self.over => Happened::Room(event),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Happened::Time,
        }
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn room_event(&mut self, event: RoomEvent) -> Option<String> {
        match event {
            RoomEvent::Message(message) => self.room_message(message),
            RoomEvent::Lost { detail, retry_in_ms } => {
                tracing::warn!(%detail, retry_in_ms, "the room is gone; trying again");
                self.counted.cut();
                self.warn(format!("no connection to the room ({detail}); next try in {retry_in_ms} ms"))
            }
            RoomEvent::HistoryMissing { first } => self.warn(format!(
                "history is missing: the room's messages begin with {first} instead of 1, so earlier turns are unknown"
            )),
            RoomEvent::BadFrame(error) => self.warn(format!("unusable frame from the room: {error}")),
            RoomEvent::Refused(error) => self.fail(Ending::Refused(error)),
            RoomEvent::GaveUp(error) => self.fail(Ending::Lost(error)),
            RoomEvent::Broke => {
                tracing::error!("the connection to the room broke, which is a bug");
                self.fail(Ending::Broke)
            }
            RoomEvent::Over => {
                self.over = true;
                self.input(Input::Shutdown)
            }
        }
    }

    fn warn(&mut self, detail: String) -> Option<String> {
        self.tell(&Report::Warning { detail });
        None
    }

    /// Without a room there is nothing more to hear: what is open is finished.
    fn fail(&mut self, ending: Ending) -> Option<String> {
        let reason = match &ending {
            Ending::Refused(error) => format!("refused: {error}"),
            Ending::Lost(error) => format!("lost: {error}"),
            Ending::Broke => BROKE.to_owned(),
            Ending::Ended { .. } => "shutdown".to_owned(),
        };
        self.failed = Some(ending);
        self.over = true;
        self.input(Input::RoomGone { reason })
    }

    fn room_message(&mut self, message: RoomMessage) -> Option<String> {
        let now = self.now();
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.record(now, &message)
        {
            tracing::error!(%error, "the recording failed and ends here");
            self.recorder = None;
        }
        if let RoomMessage::Welcome(welcome) = &message {
            self.last_seq = None;
            tracing::Span::current().record("session", welcome.session_id.as_str());
            self.name.session = Some(welcome.session_id.clone());
        }
        self.edges.heard(now, &message);
        if let RoomMessage::Welcome(welcome) = &message {
            self.edges.joined(welcome);
        }
        if matches!(message, RoomMessage::SessionEnded { .. }) {
            self.edges.call_is_over();
        }
        let unusable = match &message {
            // A room that goes on says the same again.
            RoomMessage::Welcome(welcome) if !welcome.resumed => self.edges.unusable_dialog(welcome),
            _ => None,
        };
        self.last_seq = self.last_seq.max(message.seq());
        // At the time under which it is recorded and kept: of both the same turns have to come.
        let ended = self.input_at(now, Input::Room { message });
        ended.or_else(|| unusable.and_then(|detail| self.warn(detail)))
    }

    /// Hands one input to the core and carries out what it answers. Returns why the call ended, once it has.
    fn input(&mut self, input: Input) -> Option<String> {
        self.input_at(self.now(), input)
    }

    fn input_at(&mut self, now: Millis, input: Input) -> Option<String> {
        self.note(|journal| journal.input(now, &input));
        self.edges.answered(&input);
        self.call.handle(now, input);
        let mut ended = None;
        loop {
            let output = self.call.poll();
            self.note(|journal| journal.output(now, &output));
            match output {
                Output::Wait { until } => {
                    self.deadline = until;
                    break;
                }
                Output::Ended { reason } => {
                    ended = Some(reason);
                    break;
                }
                Output::Room { message } => self.room.send(message),
                Output::Report { report } => {
                    self.edges.reported(&report);
                    self.tell(&report);
                }
                other => self.edges.carry_out(other),
            }
        }
        // A message is acknowledged once what followed from it is on disk: what was not is heard again by whoever
        // takes the call over.
        if let Some(seq) = self.last_seq.filter(|_| self.edges.all_stored()) {
            self.room.processed(seq);
        }
        ended
    }

    /// Of what the core still wanted when the call broke, hands over what must not be lost.
    fn salvage(&mut self) {
        loop {
            match self.call.poll() {
                write @ Output::Store { .. } => self.edges.carry_out(write),
                Output::Wait { .. } | Output::Ended { .. } => return,
                _ => {}
            }
        }
    }

    fn tell(&mut self, report: &Report) {
        self.tally.count(report);
        self.counted.reported(report);
        (self.tell)(&self.name, report);
    }

    fn note(&mut self, write: impl FnOnce(&mut Journal) -> std::io::Result<()>) {
        if let Some(Err(error)) = self.journal.as_mut().map(write) {
            tracing::error!(%error, "the journal failed and ends here");
            self.journal = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_put_out_of_a_room_was_not_refused_by_it() {
        let name = |error| Ending::Refused(error).name();
        assert_eq!(name(RoomError::Superseded), "superseded");
        assert_eq!(name(RoomError::Closed { code: 4409, reason: String::new() }), "superseded");
        assert_eq!(name(RoomError::PutOut { reason: "we were removed from it" }), "removed");
        assert_eq!(name(RoomError::Http { status: 401 }), "refused");
    }
}
