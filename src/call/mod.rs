//! The core: one call, pure and clockless. No clock, no I/O, no randomness: same inputs, same journal.
//!
//! Drive it so: [`Call::handle`] one [`Input`] with the time, then [`Call::poll`] until it yields
//! [`Output::Wait`] (come back with the next input, or with [`Input::Tick`] at that moment) or [`Output::Ended`].
//!
//! # Layout
//! [`book`] makes [`turn`]s from segments, whatever the stream is like (`segment`, `ends`, `late_segments`, `outburst`, `restart`, `odd`),
//! `speakers` knows who is who and `echo` whom a turn is not of, [`tracker`] folds ratings into how the call stands ([`trend`]), [`policy`] has what each rule counts and decides, [`latch`] carries
//! one escalation from its decision to its outcome (`handover` the part of it that transfers, `taken` what a process before did of it), [`tool`] answers the agent's own call, [`tone`] instructs the
//! agent; [`event`] is what goes in and out, [`report`] what the platform and QA are told, [`said`] who said what.

pub mod book;
mod clocks;
mod echo;
mod ends;
pub mod event;
mod generations;
mod handover;
pub mod latch;
mod late_segments;
mod odd;
mod outburst;
mod own_words;
pub mod policy;
mod pool;
pub mod report;
mod restart;
pub mod route;
pub mod said;
mod segment;
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

use crate::clock::Millis;
use serde_json::Value;

use crate::alert::record::DeliveryResult;
use crate::config::settings::Settings;
use crate::room::message::tool::escalate_sentiment;
use crate::room::message::{AgentActivity, Participant, Role, RoomMessage, SidecarMessage, Welcome, capability};
use crate::sentiment::{ContextTurn, RateError, Rating, Sentiment, Speaker, TurnInContext};
use book::TurnBook;
use event::{Input, Output, RateResult};
use latch::Latch;
use odd::Odd;
use own_words::OwnWords;
use report::{Doubt, Report, TurnReport};
use segment::TurnKey;
use speakers::{Changed, Roster};
use tone::Tone;
use tracker::{Standing, counts};

/// How long past the rater's own deadline the core waits before it takes a turn for unrated.
const RATER_GRACE_MS: u64 = 1_000;

/// What a call is, beside its settings.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// The room that was asked for; `welcome` may correct it.
    pub room_name: String,
    /// Decide and record, and touch nothing (rule 9).
    pub shadow: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Rated {
    Waiting,
    Done(Rating),
    Failed(RateError),
    /// A human was on the call.
    Skipped,
}

/// What was last reported of a turn: nothing is said twice.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    rev: u32,
    rating: Rating,
    ordinal: u32,
    streak: u32,
    mean: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
struct TurnState {
    /// The revision of the turn's words that the rating is, or will be, of.
    rev: u32,
    rated: Rated,
    told: Option<Told>,
    /// The number under which the turn was last reported as unrated.
    told_unrated: Option<u32>,
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
    states: HashMap<TurnKey, TurnState>,
    standings: HashMap<TurnKey, Standing>,
    /// Positions before this one have their standing.
    settled: usize,
    /// Turns whose rating is under way, and when it is given up.
    waiting: Vec<(TurnKey, Millis)>,
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
            states: HashMap::new(),
            standings: HashMap::new(),
            settled: 0,
            waiting: Vec::new(),
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
        let deadline_ms = self.settings.rater_deadline_ms;
        while let Some(at) = self.waiting.iter().position(|(_, due)| *due <= self.now) {
            let (key, _) = self.waiting.remove(at);
            if let Some(state) = self.states.get_mut(&key) {
                state.rated = Rated::Failed(RateError::Deadline { deadline_ms });
            }
            self.recount(self.book.position(key));
        }
    }

    /// Asks for ratings of the caller turns that are new or have new words, and recounts from there.
    fn request_ratings(&mut self) {
        for key in self.book.take_changed() {
            let turn = self.book.turn(key);
            let role = self.roster.role(&turn.participant_id);
            if role != Some(Role::Caller) {
                if role == Some(Role::Agent) {
                    self.forget_echo_of(key);
                }
                continue;
            }
            if self.states.get(&key).is_some_and(|state| state.rev == turn.rev) {
                // Only who said it is another now.
                continue;
            }
            self.waiting.retain(|(waits, _)| *waits != key);
            let before = self.states.remove(&key);
            let told = before.as_ref().and_then(|state| state.told.clone());
            if turn.is_empty() {
                continue;
            }
            if self.is_echo(key) {
                self.drop_echo(key);
                continue;
            }
            let rated = if self.human_present() {
                before.map(|state| state.rated).filter(|rated| *rated != Rated::Waiting).unwrap_or(Rated::Skipped)
            } else {
                let (turn_id, rev) = (turn.id.clone(), turn.rev);
                let turn = self.in_context(key);
                self.out.push_back(Output::Rate { turn_id, rev, turn });
                self.waiting.push((key, self.now.plus(self.settings.rater_deadline_ms + RATER_GRACE_MS)));
                Rated::Waiting
            };
            let rev = self.book.turn(key).rev;
            self.states.insert(key, TurnState { rev, rated, told, told_unrated: None });
        }
        if let Some(first) = self.book.take_disturbed() {
            self.recount(first);
        }
    }

    /// A turn and what went before it, for the rater.
    fn in_context(&self, key: TurnKey) -> TurnInContext {
        let turn = self.book.turn(key);
        let position = self.book.position(key);
        let mut earlier: Vec<ContextTurn> = self.book.order()[..position]
            .iter()
            .rev()
            .filter_map(|k| self.context_turn(*k))
            .take(TurnInContext::MAX_EARLIER)
            .collect();
        earlier.reverse();
        TurnInContext { text: turn.text.clone(), lang: turn.lang.clone(), earlier }
    }

    fn context_turn(&self, key: TurnKey) -> Option<ContextTurn> {
        let turn = self.book.turn(key);
        let speaker = match self.roster.role(&turn.participant_id)? {
            Role::Caller => Speaker::Caller,
            Role::Agent => Speaker::Agent,
            Role::Supervisor | Role::Observer | Role::Unknown => return None,
        };
        if turn.is_empty() {
            return None;
        }
        Some(ContextTurn {
            speaker,
            text: turn.text.clone(),
            sentiment: self.rating(key).and_then(Rating::by_embedded),
        })
    }

    fn is_callers(&self, key: TurnKey) -> bool {
        self.roster.role(&self.book.turn(key).participant_id) == Some(Role::Caller)
    }

    fn rating(&self, key: TurnKey) -> Option<&Rating> {
        if !self.is_callers(key) {
            return None;
        }
        match &self.states.get(&key)?.rated {
            Rated::Done(rating) => Some(rating),
            _ => None,
        }
    }

    fn rated(&mut self, turn_id: &str, rev: u32, result: RateResult) {
        let Some(key) = self.book.find(turn_id) else { return };
        if self.book.turn(key).rev != rev {
            return;
        }
        let Some(state) = self.states.get_mut(&key) else { return };
        let rated = match (result, &state.rated) {
            (_, Rated::Skipped) => return,
            (RateResult::Rating(rating), _) => Rated::Done(rating),
            // A rating that is there is better than a later failure.
            (RateResult::Unrated(_), Rated::Done(_)) => return,
            (RateResult::Unrated(error), _) => Rated::Failed(error),
        };
        state.rated = rated;
        self.waiting.retain(|(waits, _)| *waits != key);
        let position = self.book.position(key);
        self.recount(position);
    }

    /// Folds standings anew from a position up to the first turn that still waits for its rating: what comes after
    /// it must not be counted before it, or a calm turn in between would be overlooked.
    fn recount(&mut self, from: usize) {
        let from = from.min(self.settled);
        for at in from..self.book.order().len() {
            self.settled = at;
            self.answer_tools_before(at);
            let before = self.standing_after(at.checked_sub(1).map(|before| self.book.order()[before]));
            let key = self.book.order()[at];
            let step = match self.states.get(&key).filter(|_| self.is_callers(key)).map(|s| &s.rated) {
                Some(Rated::Waiting) => return,
                None => before,
                Some(Rated::Failed(_) | Rated::Skipped) => before.pass(),
                Some(Rated::Done(rating)) => before.step(rating, &self.settings),
            };
            let standing = if self.latch.escalated_at(key) { step.spent() } else { step };
            self.standings.insert(key, standing);
            self.settled = at + 1;
            self.tell_turn(key, standing);
            self.decide(key);
        }
        if let Some(message) = self.standing().label.and_then(|label| self.tone.change(label, &self.settings.tones)) {
            self.tell(message);
        }
    }

    /// Reports a settled turn and sends its `sentiment` to the room, unless nothing about it is new.
    fn tell_turn(&mut self, key: TurnKey, standing: Standing) {
        let window = self.settings.window;
        if !self.is_callers(key) {
            return;
        }
        let turn = self.book.turn(key);
        let Some(state) = self.states.get_mut(&key) else { return };
        match &state.rated {
            Rated::Failed(error) if state.told_unrated != Some(standing.ordinal) => {
                state.told_unrated = Some(standing.ordinal);
                let report = Report::Unrated { turn: standing.ordinal, turn_id: turn.id.clone(), error: error.clone() };
                self.report(report);
            }
            Rated::Done(rating) => {
                let (rev, ordinal, streak) = (turn.rev, standing.ordinal, standing.counts.streak);
                let mean = told_mean(&standing, &self.settings);
                let told = Some(Told { rev, rating: rating.clone(), ordinal, streak, mean });
                if state.told == told {
                    return;
                }
                let low = counts(rating, &self.settings) && rating.sentiment.is_below(self.settings.threshold);
                let report = TurnReport::new(&turn.id, &turn.text, rating, &standing, low, mean);
                let message = SidecarMessage::Sentiment {
                    turn_id: turn.id.clone(),
                    sentiment: rating.sentiment.value(),
                    valence: rating.valence.value(),
                    frustration: rating.frustration.value(),
                    urgency: rating.urgency.value(),
                    label: rating.label.name().to_owned(),
                    streak,
                    mean,
                    window,
                    trend: standing.trend.name().to_owned(),
                };
                state.told = told;
                self.report(Report::Turn(report));
                self.tell(message);
            }
            _ => {}
        }
    }

    /// Lets the policy decide on a settled turn that counted.
    fn decide(&mut self, key: TurnKey) {
        let Some(standing) = self.standings.get(&key).copied() else { return };
        let counted = self.rating(key).is_some_and(|rating| counts(rating, &self.settings));
        if !counted || self.human_present() || !self.latch.is_free() || self.escalated_since(Some(key)) {
            return;
        }
        if let Some(decision) = policy::decide(&standing.counts, standing.trend, &self.settings) {
            self.escalate_on_turn(key, decision);
        }
    }

    /// Decides on the turns that settled while an escalation was latched, in their order.
    fn decide_since(&mut self, key: Option<TurnKey>) {
        let from = key.map_or(0, |key| self.book.position(key) + 1);
        for at in from..self.settled {
            self.answer_tools_before(at);
            self.decide(self.book.order()[at]);
            if self.latch.is_active() {
                // What was counted since is counted after an escalation now.
                return self.recount(at + 1);
            }
        }
    }

    /// Whether an escalation followed a later turn: what is learnt of an earlier one then is no news.
    fn escalated_since(&self, turn: Option<TurnKey>) -> bool {
        let position = turn.map(|key| self.book.position(key));
        self.latch.escalated_turns().any(|key| Some(self.book.position(key)) > position)
    }

    /// The last settled turn's standing.
    fn standing(&self) -> Standing {
        self.standing_after(self.settled.checked_sub(1).map(|at| self.book.order()[at]))
    }

    /// How the call stood after a turn; before the first one where there is none.
    fn standing_after(&self, turn: Option<TurnKey>) -> Standing {
        turn.and_then(|key| self.standings.get(&key)).copied().unwrap_or_else(|| self.latch.before_any_turn())
    }

    /// All ratings so far, oldest first.
    fn history(&self) -> Vec<Sentiment> {
        self.book.order().iter().filter_map(|key| self.rating(*key)).map(|rating| rating.sentiment).collect()
    }

    fn next_deadline(&self) -> Option<Millis> {
        if self.ended {
            return None;
        }
        let silence = self.book.next_silence(self.settings.turn_silence_ms);
        let rater = self.waiting.iter().map(|(_, due)| *due).min();
        [silence, rater, self.latch.deadline()].into_iter().flatten().min()
    }

    /// Ends once nothing is pending.
    fn finish(&mut self) {
        if self.ended || !self.waiting.is_empty() || self.latch.is_active() {
            return;
        }
        let Some(reason) = self.ending.clone() else { return };
        self.ended = true;
        let at_turn = self.latch.first_turn();
        let turns = self.standing().ordinal;
        let failed = |key: &&TurnKey| {
            self.is_callers(**key) && self.states.get(key).is_some_and(|state| matches!(state.rated, Rated::Failed(_)))
        };
        let unrated = self.book.order().iter().filter(failed).count();
        let unrated = u32::try_from(unrated).unwrap_or(u32::MAX);
        let doubt = Doubt::of(turns, unrated);
        let escalated = at_turn.is_some();
        self.report(Report::Ended { reason: reason.clone(), turns, unrated, doubt, escalated, at_turn });
        self.out.push_back(Output::Ended { reason });
    }
}

/// The running mean as it is told: with two decimals, where its rule is on.
fn told_mean(standing: &Standing, settings: &Settings) -> Option<f64> {
    settings.sustained.enabled.then(|| (standing.counts.mean * 100.0).round() / 100.0)
}
