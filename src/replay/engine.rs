//! Drives one recorded call through the core in virtual time: what takes minutes on the phone takes milliseconds here,
//! and comes out the same every time.
//!
//! # What stands in for the world
//! - **The room** says what the recording says, when it says it. Commands are answered by the recording's own
//!   `command.result`s; one that the recording answered before the core gave it is answered at once. `say` and
//!   `set_flag` without an answer are done at once; `transfer` without one runs into its deadline.
//! - **The rater** answers in no time, unless a pinned rating stands in for it.
//! - **The store** always writes, and **the webhook** always arrives at the first attempt.
//! - **SIP** always transfers.
//! - A recording without a `welcome` gets one made from its header: it offers what the header's `capabilities` say, or
//!   else speech, flags, tools, turn events if the recording has any, and a transfer over SIP.
//! - A recording without a `session.ended` ends once nothing is due any more.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::played::Played;
use crate::alert::outcome::Outcome;
use crate::alert::record::{DeliveryResult, StoreResult};
use crate::call::Call;
use crate::call::CallOptions;
use crate::call::event::{Entry, Input, Output};
use crate::call::report::Report;
use crate::call::said::Said;
use crate::clock::Millis;
use crate::config::settings::Settings;
use crate::recording::{Recording, Timed};
use crate::room::message::{
    CallInfo, CommandKind, CommandStatus, Participant, Role, RoomMessage, SidecarMessage, SipDialog, VERSION, Welcome,
    capability,
};
use crate::sentiment::{RateError, RateFuture, Rater, TurnInContext};

/// What a call ends with when its recording does not say.
pub const RECORDING_ENDED: &str = "recording ended";

/// Takes the journal of a replayed call, entry by entry.
pub type Journal<'a> = &'a mut (dyn FnMut(Entry) + Send);

/// Replays one call under `settings`, whether or not they enable escalation.
pub async fn replay<'a>(
    recording: &'a Recording,
    settings: &Settings,
    rater: &'a dyn Rater,
    journal: Option<Journal<'a>>,
) -> Played {
    let settings = Settings { enabled: true, ..settings.clone() };
    let mut engine = Engine {
        call: Call::new(
            Arc::new(settings),
            CallOptions { room_name: recording.header.room_name.clone(), shadow: false },
        ),
        recording,
        rater,
        journal,
        now: Millis::default(),
        pending: VecDeque::new(),
        answers: answers(recording),
        played: Played::default(),
    };
    engine.run().await;
    engine.played.said = engine.call.said();
    engine.played
}

/// Who said what in a call, turn by turn as the core has it, without a rating.
#[must_use]
pub fn said(recording: &Recording, settings: &Settings) -> Vec<Said> {
    // There is nothing that it waits for, so that it is done at once.
    replay(recording, settings, &Mute, None).now_or_never().map(|played| played.said).unwrap_or_default()
}

/// A rater for calls of which only the turns are wanted.
struct Mute;

impl Rater for Mute {
    fn rate<'a>(&'a self, _: &'a TurnInContext) -> RateFuture<'a> {
        Box::pin(std::future::ready(Err(RateError::Unheard)))
    }
}

/// How often the core may ask for a moment that has come already before the engine takes it for stuck.
const PATIENCE: u32 = 1000;

struct Engine<'a> {
    call: Call,
    recording: &'a Recording,
    rater: &'a dyn Rater,
    journal: Option<Journal<'a>>,
    now: Millis,
    pending: VecDeque<Input>,
    answers: HashMap<&'a str, Vec<&'a Timed>>,
    played: Played,
}

/// What is to happen after the core has settled.
enum Next {
    Deadline(Option<Millis>),
    Ended,
}

impl Engine<'_> {
    async fn run(&mut self) {
        let recording = self.recording;
        let mut messages = recording.messages.iter().peekable();
        let mut over = false;
        let mut patience = PATIENCE;
        if !recording.messages.iter().any(|m| matches!(m.message, RoomMessage::Welcome(_))) {
            self.pending.push_back(Input::Room { message: RoomMessage::Welcome(made_welcome(recording)) });
        }
        loop {
            let Next::Deadline(until) = self.settle().await else { return };
            // At the same moment the message goes first: an answer in time is in time.
            let due = until.filter(|until| messages.peek().is_none_or(|m| *until < m.at));
            let input = if let Some(due) = due {
                patience = if due > self.now { PATIENCE } else { patience - 1 };
                if patience == 0 {
                    let detail = "the core keeps waiting for a moment that is past; replay ends here".to_owned();
                    self.played.note(self.now, &Output::Report { report: Report::Warning { detail } });
                    return;
                }
                self.now = self.now.max(due);
                Input::Tick
            } else if let Some(next) = messages.next() {
                self.now = self.now.max(next.at);
                over |= matches!(next.message, RoomMessage::SessionEnded { .. });
                Input::Room { message: next.message.clone() }
            } else if !over {
                over = true;
                let message = RoomMessage::SessionEnded { seq: None, reason: RECORDING_ENDED.to_owned() };
                Input::Room { message }
            } else {
                return;
            };
            self.pending.push_back(input);
        }
    }

    /// Feeds what is pending and does what the core wants, until it waits or has ended.
    async fn settle(&mut self) -> Next {
        loop {
            if let Some(input) = self.pending.pop_front() {
                if let Some(journal) = &mut self.journal {
                    journal(Entry::In { at_ms: self.now, event: input.clone() });
                }
                self.call.handle(self.now, input);
            }
            let until = loop {
                let output = self.call.poll();
                if let Some(journal) = &mut self.journal {
                    journal(Entry::Out { at_ms: self.now, event: output.clone() });
                }
                self.played.note(self.now, &output);
                match output {
                    Output::Wait { until } => break until,
                    Output::Ended { .. } => return Next::Ended,
                    output => self.serve(output).await,
                }
            };
            if self.pending.is_empty() {
                return Next::Deadline(until);
            }
        }
    }

    /// Does one thing that the core wants done; the answer is fed later, at the same moment.
    async fn serve(&mut self, output: Output) {
        let answer = match output {
            Output::Rate { turn_id, rev, turn } => {
                let result = match self.recording.pinned.get(&turn_id) {
                    Some(pinned) => pinned.clone(),
                    None => self.rater.rate(&turn).await,
                };
                Input::Rated { turn_id, rev, result: result.into() }
            }
            Output::Store { write } => {
                Input::Stored { alert_id: write.alert().id.clone(), result: StoreResult::Written }
            }
            Output::Deliver { alert_id, .. } => Input::Delivery {
                alert_id,
                result: DeliveryResult::Delivered { status: 200, attempts: 1 },
                target: String::new(),
            },
            Output::Transfer { request } => {
                Input::TransferDone { alert_id: request.alert_id.into(), outcome: Outcome::Transferred }
            }
            Output::Room { message: SidecarMessage::Command { command_id, command, .. } } => {
                return self.answer_command(command_id, &command);
            }
            Output::Room { .. }
            | Output::CancelTransfer { .. }
            | Output::StopAsking { .. }
            | Output::Report { .. }
            | Output::Wait { .. }
            | Output::Ended { .. } => return,
        };
        self.pending.push_back(answer);
    }

    fn answer_command(&mut self, command_id: String, command: &CommandKind) {
        match self.answers.get(command_id.as_str()) {
            Some(recorded) => {
                // What is still to come arrives in its own time.
                let missed = recorded.iter().filter(|answer| answer.at < self.now);
                let missed: Vec<_> = missed.map(|answer| Input::Room { message: answer.message.clone() }).collect();
                self.pending.extend(missed);
            }
            None if matches!(command, CommandKind::Transfer { .. }) => {}
            None => {
                let status = CommandStatus::Done;
                let message = RoomMessage::CommandResult { seq: None, command_id, status, code: None, detail: None };
                self.pending.push_back(Input::Room { message });
            }
        }
    }
}

/// The recording's own answers, by command.
fn answers(recording: &Recording) -> HashMap<&str, Vec<&Timed>> {
    let mut answers: HashMap<&str, Vec<&Timed>> = HashMap::new();
    for timed in &recording.messages {
        if let RoomMessage::CommandResult { command_id, .. } = &timed.message {
            answers.entry(command_id).or_default().push(timed);
        }
    }
    answers
}

/// The `welcome` of a recording that has none.
fn made_welcome(recording: &Recording) -> Welcome {
    let header = &recording.header;
    let participant = |id: &str, role| Participant { id: id.to_owned(), role, name: None };
    let participants = header.participants.clone().unwrap_or_else(|| {
        // No supervisor: while a human is on the call, nothing is rated.
        vec![participant("caller", Role::Caller), participant("agent", Role::Agent)]
    });
    let mut call = CallInfo::default();
    let capabilities = header.capabilities.clone().unwrap_or_else(|| {
        call.sip = Some(Box::new(SipDialog {
            call_id: "replay".to_owned(),
            remote_target: Some("sip:caller@replay.invalid".to_owned()),
            ..SipDialog::default()
        }));
        let mut offered = vec![capability::SAY, capability::SET_FLAG, capability::TOOLS];
        if recording.messages.iter().any(|m| matches!(m.message, RoomMessage::TurnEnded(_))) {
            offered.push(capability::TURN_EVENTS);
        }
        offered.into_iter().map(str::to_owned).collect()
    });
    Welcome {
        version: VERSION,
        session_id: format!("replay-{}", header.room_name),
        room_name: header.room_name.clone(),
        call,
        participants,
        capabilities,
        resumed: false,
        alerts: Vec::new(),
    }
}
