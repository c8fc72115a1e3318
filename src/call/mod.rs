//! The core: one call, pure and clockless. No clock, no I/O, no randomness: same inputs, same journal.
//!
//! Drive it so: [`Call::handle`] one [`Input`] with the time, then [`Call::poll`] until it yields
//! [`Output::Wait`] (come back with the next input, or with [`Input::Tick`] at that moment) or [`Output::Ended`].
//!
//! # Layout
//! - [`event`] is what goes in and out, [`report`] what the platform and QA are told, [`said`] who said what.
//! - [`book`] makes [`turn`]s from segments, whatever the stream is like (`segment`, `ends`, `late_segments`, `outburst`,
//!   `restart`, `odd`); `speakers` knows who is who, and `echo` whom a turn is not of.
//! - `rater` asks for ratings, and `rated` keeps what came of it; `settle` folds them, in the order of the call, into how the
//!   call stands ([`tracker`], [`trend`]), and lets [`policy`] decide, which has what each rule counts.
//! - [`latch`] holds one escalation from its decision to its outcome: `escalate` begins it, `phases` leads it on (`handover`
//!   where it transfers, `taken` where a process before did some of it), `command` tells the room what to do.
//! - [`tool`] answers the agent's own call, [`tone`] instructs the agent.

pub mod book;
mod clocks;
mod command;
mod echo;
mod ends;
mod escalate;
pub mod event;
mod generations;
mod handover;
pub mod latch;
mod late_segments;
mod odd;
mod outburst;
mod own_words;
mod phases;
pub mod policy;
mod pool;
mod rated;
mod rater;
pub mod report;
mod restart;
pub mod route;
pub mod said;
mod segment;
mod settle;
mod speakers;
mod taken;
pub mod tone;
pub mod tool;
pub mod tracker;
pub mod trend;
pub mod turn;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::alert::record::DeliveryResult;
use crate::clock::Millis;
use crate::config::settings::Settings;
use crate::room::message::tool::escalate_sentiment;
use crate::room::message::{AgentActivity, Participant, Role, RoomMessage, SidecarMessage, Welcome, capability};
use book::TurnBook;
use event::{Input, Output};
use latch::Latch;
use odd::Odd;
use own_words::OwnWords;
use rated::{Rated, Ratings};
use report::{Doubt, Report};
use segment::TurnKey;
use speakers::{Changed, Roster};
use tone::Tone;
use tracker::Standing;

/// What a call is, beside its settings.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// The room that was asked for; `welcome` may correct it.
    pub room_name: String,
    /// Decide and record, and touch nothing (rule 9).
    pub shadow: bool,
}

/// A tool call that waits for what was said before it.
#[derive(Debug)]
struct Asked {
    call_id: String,
    arguments: Value,
    /// The last turn before it.
    after: Option<TurnKey>,
}

/// One live or replayed call.
#[derive(Debug)]
pub struct Call {
    settings: Arc<Settings>,
    options: CallOptions,
    now: Millis,
    out: VecDeque<Output>,
    welcome: Option<Welcome>,
    roster: Roster,
    own_words: OwnWords,
    book: TurnBook,
    ratings: Ratings,
    standings: HashMap<TurnKey, Standing>,
    /// Positions before this one have their standing.
    settled: usize,
    tone: Tone,
    latch: Latch,
    answered_tools: HashMap<String, SidecarMessage>,
    /// Tool calls that wait for what was said before them.
    asked: VecDeque<Asked>,
    ending: Option<String>,
    ended: bool,
}

impl Call {
    /// A call that nothing has happened to.
    #[must_use]
    pub fn new(settings: Arc<Settings>, options: CallOptions) -> Self {
        Self {
            settings,
            options,
            now: Millis::default(),
            out: VecDeque::new(),
            welcome: None,
            roster: Roster::default(),
            own_words: OwnWords::default(),
            book: TurnBook::default(),
            ratings: Ratings::default(),
            standings: HashMap::new(),
            settled: 0,
            tone: Tone::default(),
            latch: Latch::default(),
            answered_tools: HashMap::new(),
            asked: VecDeque::new(),
            ending: None,
            ended: false,
        }
    }

    /// Takes in one input at a time. Time never runs backwards: an earlier `now` counts as the latest.
    pub fn handle(&mut self, now: Millis, input: Input) {
        self.now = self.now.max(now);
        if self.ended {
            return;
        }
        match input {
            Input::Room { message } => self.room(message),
            Input::Rated { turn_id, rev, result } => self.rated(&turn_id, rev, result),
            Input::Stored { alert_id, result } => self.stored(&alert_id, result),
            Input::TransferProgress { alert_id, progress } => self.transfer_progress(&alert_id, progress),
            Input::TransferDone { alert_id, outcome } => self.transfer_done(&alert_id, outcome),
            Input::Delivery { alert_id, result, target } => {
                if matches!(result, DeliveryResult::Delivered { .. }) {
                    self.told(&alert_id);
                }
                self.report(Report::Delivery { alert_id, result, target });
            }
            Input::Shutdown => self.end("shutdown"),
            Input::RoomGone { reason } => self.end(&reason),
            Input::Tick => {}
        }
        self.pass_time();
        self.request_ratings();
        self.answer_tools();
        self.latch_time();
        self.tell_odd();
        self.finish();
    }

    /// The next thing to do. After [`Output::Wait`] or [`Output::Ended`] there is nothing until the next input.
    pub fn poll(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| Output::Wait { until: self.next_deadline() })
    }

    fn report(&mut self, report: Report) {
        self.out.push_back(Output::Report { report });
    }

    /// Tells the room, except in shadow mode, which touches nothing.
    fn tell(&mut self, message: SidecarMessage) {
        if !self.options.shadow {
            self.out.push_back(Output::Room { message });
        }
    }

    fn room(&mut self, message: RoomMessage) {
        match message {
            RoomMessage::Welcome(welcome) => self.welcome(welcome),
            RoomMessage::ParticipantJoined { participant, .. } => self.joined(&participant),
            RoomMessage::ParticipantLeft { participant, .. } => self.left(&participant),
            RoomMessage::Transcript(piece) => {
                self.look_at(&piece.participant_id, "transcript", &piece.mended);
                let silence = self.settings.turn_silence_ms;
                self.book.close_silent(self.now, silence);
                if self.book.transcript(self.now, &piece, silence) {
                    self.takes_over(&piece.participant_id);
                }
            }
            RoomMessage::TurnEnded(ended) => {
                self.look_at(&ended.participant_id, "turn.ended", &ended.mended);
                if self.book.is_news(&ended) {
                    self.takes_over(&ended.participant_id);
                }
                self.book.turn_ended(self.now, &ended, self.settings.turn_silence_ms);
                self.takes_over(&ended.participant_id);
            }
            RoomMessage::AgentState { state: AgentActivity::Speaking, .. } => {
                let agent = self.roster.with(Role::Agent).next().unwrap_or_default().to_owned();
                self.book.speaks(&agent);
                self.book.close_others(self.now, &agent);
            }
            RoomMessage::AgentState { .. } | RoomMessage::Ack { .. } => {}
            RoomMessage::ToolCall { call_id, name, arguments, .. } => self.tool_call(call_id, &name, arguments),
            RoomMessage::CommandResult { command_id, status, code, detail, .. } => {
                self.command_result(&command_id, status, code.as_deref(), detail.as_deref());
            }
            RoomMessage::Error(error) => {
                self.report(Report::Warning { detail: format!("the room says: {}", error.code) });
            }
            RoomMessage::SessionEnded { reason, .. } => {
                self.roster.all_left();
                self.latch_caller_left();
                self.end(if reason.is_empty() { "session ended" } else { &reason });
            }
        }
    }

    /// Someone speaks: who they are, and what had to be mended of the message that says so.
    fn look_at(&mut self, who: &str, kind: &'static str, mended: &[String]) {
        for what in mended {
            self.odd(Odd::Field { kind, what: what.clone() });
        }
        if let Some(role) = self.roster.speaks(who) {
            let taken_for = if role == Role::Caller { "caller" } else { "agent" };
            self.odd(Odd::Unannounced { who: who.to_owned(), taken_for });
        }
    }

    /// Someone has the word, and another's turn is over: the caller and the agent take turns, observers do not.
    fn takes_over(&mut self, who: &str) {
        let role = self.roster.role(who);
        if role == Some(Role::Observer) {
            return;
        }
        self.book.close_others(self.now, who);
        if role == Some(Role::Caller) {
            for agent in self.roster.with(Role::Agent) {
                self.book.close_unended(self.now, agent);
            }
        }
    }

    fn odd(&mut self, odd: Odd) {
        self.book.oddities.note(odd);
    }

    /// What was odd is told, once. An end that an agent never has is none.
    fn tell_odd(&mut self) {
        for odd in self.book.oddities.take() {
            match &odd {
                Odd::NoEnd { who, had_ends: false } if self.roster.role(who) != Some(Role::Caller) => {}
                odd => self.report(Report::Warning { detail: odd.to_string() }),
            }
        }
    }

    fn welcome(&mut self, welcome: Welcome) {
        self.options.room_name.clone_from(&welcome.room_name);
        if self.welcome.as_ref().is_some_and(|before| before.session_id != welcome.session_id) {
            self.latch.calls_before = 0;
        }
        self.book.room_ends_turns = welcome.capabilities.iter().any(|c| c == capability::TURN_EVENTS);
        for participant in &welcome.participants {
            self.joined(participant);
        }
        self.report(Report::Attached {
            room_name: welcome.room_name.clone(),
            session_id: welcome.session_id.clone(),
            resumed: welcome.resumed,
        });
        self.welcome = Some(welcome);
        self.tell(SidecarMessage::ToolsRegister { tools: vec![escalate_sentiment()] });
    }

    fn joined(&mut self, participant: &Participant) {
        if let Changed::From(before) = self.roster.joined(participant) {
            if participant.role == Role::Caller || before == Some(Role::Caller) {
                self.book.revisit(&participant.id);
            }
            if participant.role == Role::Unknown {
                self.odd(Odd::UnknownRole { who: participant.id.clone() });
            }
        }
        if participant.role == Role::Supervisor {
            self.latch_human_joined();
        }
    }

    fn left(&mut self, participant: &Participant) {
        if self.roster.left(participant) == Role::Caller {
            self.book.close_others(self.now, "");
            self.latch_caller_left();
        }
    }

    /// Once a human is on the call, rating stops.
    fn human_present(&self) -> bool {
        self.latch.handed_over() || self.roster.is_present(Role::Supervisor)
    }

    fn end(&mut self, reason: &str) {
        if self.ending.is_none() {
            self.ending = Some(reason.to_owned());
            self.book.close_all(self.now);
            self.latch_ending();
        }
    }

    /// Whatever is due by now.
    fn pass_time(&mut self) {
        self.book.close_silent(self.now, self.settings.turn_silence_ms);
        self.give_up_ratings();
    }

    fn next_deadline(&self) -> Option<Millis> {
        if self.ended {
            return None;
        }
        let silence = self.book.next_silence(self.settings.turn_silence_ms);
        [silence, self.ratings.deadline(), self.latch.deadline()].into_iter().flatten().min()
    }

    /// Ends once nothing is pending.
    fn finish(&mut self) {
        if self.ended || self.ratings.is_waiting() || self.latch.is_active() {
            return;
        }
        let Some(reason) = self.ending.clone() else { return };
        self.ended = true;
        let at_turn = self.latch.first_turn();
        let turns = self.standing().ordinal;
        let failed = |key: &&TurnKey| matches!(self.callers_rating(**key), Some(Rated::Failed(_)));
        let unrated = self.book.order().iter().filter(failed).count();
        let unrated = u32::try_from(unrated).unwrap_or(u32::MAX);
        let doubt = Doubt::of(turns, unrated);
        let escalated = at_turn.is_some();
        self.report(Report::Ended { reason: reason.clone(), turns, unrated, doubt, escalated, at_turn });
        self.out.push_back(Output::Ended { reason });
    }
}
