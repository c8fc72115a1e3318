//! What the rules get to see of a call up to its first escalation, whatever the settings: a [`Trace`].
//!
//! Until something escalates, nothing that the rules say comes back into the core: which turns there are, how they are
//! rated, and in which order they settle are the same under all settings of the rules. So a call goes through the core
//! once, under settings that never escalate, and what the rules were shown is written down; each of thousands of
//! settings is then a fold of `call`'s own rules over that ([`Standing::step`], [`policy::decide`], [`policy::tool`]).
//!
//! The fold stands for the core exactly, which a test shows on recordings that are repeated, cut and reordered by
//! chance. Where the order of things is not plain (a turn that is born between two others, a human who leaves again,
//! two revisions at a time) there is no trace, and the core itself is asked for each settings.

use std::collections::{HashMap, HashSet};

use crate::alert::Rule;
use crate::call::event::{Entry, Input, Output, RateResult};
use crate::call::policy;
use crate::call::report::Report;
use crate::call::tool;
use crate::call::tracker::{Standing, counts};
use crate::config::settings::{Action, Settings, Sustained, Trajectory};
use crate::room::message::tool::ESCALATE_SENTIMENT;
use crate::room::message::{Participant, Role, RoomMessage};
use crate::sentiment::Rating;

/// The first escalation of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// The caller turn that it follows, from 1; 0 before the first.
    pub turn: u32,
    /// What decided.
    pub rule: Rule,
}

/// What the rules get to see, in order.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// The turns from this place (0 is the first) on are counted anew: one of them has another rating.
    Back(usize),
    /// A caller turn settles; none where it is unrated.
    Turn(Option<Rating>),
    /// The agent asks for a human with this score.
    Tool(u8),
}

/// What the rules get to see of one call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    steps: Vec<Step>,
}

impl Trace {
    /// The first escalation under these settings.
    #[must_use]
    pub fn decide(&self, settings: &Settings) -> Option<Decided> {
        // Only what goes back needs the standings on the way.
        let keeps = self.steps.iter().any(|step| matches!(step, Step::Back(_)));
        let mut kept = Vec::new();
        let mut standing = Standing::default();
        for step in &self.steps {
            match step {
                Step::Back(place) => {
                    kept.truncate(*place);
                    standing = kept.last().copied().unwrap_or_default();
                }
                Step::Tool(score) => {
                    if policy::tool(*score, &standing.counts, settings).is_some() {
                        return Some(Decided { turn: standing.ordinal, rule: Rule::Tool });
                    }
                }
                Step::Turn(rating) => {
                    standing = match rating {
                        Some(rating) => standing.step(rating, settings),
                        None => standing.pass(),
                    };
                    if keeps {
                        kept.push(standing);
                    }
                    if rating.as_ref().is_some_and(|rating| counts(rating, settings))
                        && let Some(decision) = policy::decide(&standing.counts, standing.trend, settings)
                    {
                        return Some(Decided { turn: standing.ordinal, rule: decision.rule });
                    }
                }
            }
        }
        None
    }
}

/// The same settings with rules that never escalate, and an action that touches nothing: under them a call is traced.
#[must_use]
pub fn never(settings: &Settings) -> Settings {
    Settings {
        threshold: 0,
        window: u32::MAX,
        // Its mean is told with every turn, so that whatever changes is reported.
        sustained: Sustained { enabled: true, level: 0.0, ..settings.sustained },
        human_requests: 0,
        trajectory: Trajectory { enabled: false, ..settings.trajectory },
        action: Action::Flag,
        ..settings.clone()
    }
}

/// What was said of the ratings of one turn.
#[derive(Debug, Default)]
struct Known {
    /// The revision that is being rated.
    waits: Option<u32>,
    rating: Option<Option<Rating>>,
}

/// Makes a [`Trace`] of the journal of a call that is replayed under [`never()`].
#[derive(Debug, Default)]
pub struct Tracer {
    trace: Trace,
    turns: HashMap<String, Known>,
    /// The caller turns that are told, in their order.
    order: Vec<String>,
    /// How many of them are counted in the trace.
    counted: usize,
    scores: HashMap<String, Option<u8>>,
    roles: HashMap<String, Role>,
    humans: HashSet<String>,
    /// A human is on the call: no rule decides any more.
    over: bool,
    /// How many caller turns there were in the end.
    turns_in_all: Option<u32>,
    unclear: bool,
    /// The turn whose rating came in last, until what it led to is written down.
    rated: Option<String>,
    /// What it led to.
    told: Vec<Told>,
}

/// What the core says when an input has led to something.
#[derive(Debug)]
enum Told {
    Turn { ordinal: u32, id: String },
    Tool { call_id: String },
}

impl Tracer {
    /// Takes in the next entry of the journal.
    pub fn note(&mut self, entry: Entry) {
        match entry {
            Entry::In { event, .. } => self.input(event),
            Entry::Out { event, .. } => self.output(event),
        }
    }

    /// The trace; none where the order of things is not plain.
    #[must_use]
    pub fn trace(mut self) -> Option<Trace> {
        self.trace.steps.shrink_to_fit();
        let told = self.order.len();
        // With a human on the call, turns are counted and not told. What was emptied is no turn any more.
        let fits = self.turns_in_all.is_none_or(|all| all as usize == told || (self.over && all as usize > told));
        (fits && !self.unclear).then_some(self.trace)
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Room { message } => self.message(message),
            Input::Rated { turn_id, rev, result } => {
                let known = self.turns.entry(turn_id.clone()).or_default();
                if known.waits != Some(rev) {
                    self.unclear = true;
                    return;
                }
                known.waits = None;
                known.rating = Some(match result {
                    // The rules look at its numbers alone.
                    RateResult::Rating(rating) => Some(Rating { cues: Vec::new(), description: None, ..rating }),
                    RateResult::Unrated(_) => None,
                });
                self.rated = Some(turn_id);
            }
            _ => {}
        }
    }

    fn message(&mut self, message: RoomMessage) {
        match message {
            RoomMessage::Welcome(welcome) => welcome.participants.iter().for_each(|who| self.joined(who)),
            RoomMessage::ParticipantJoined { participant, .. } => self.joined(&participant),
            // Once a human has left, rules decide again.
            RoomMessage::ParticipantLeft { participant, .. } => {
                self.roles.entry(participant.id.clone()).or_insert(participant.role);
                self.unclear |= self.humans.contains(&participant.id);
            }
            RoomMessage::ToolCall { call_id, name, arguments, .. } if name == ESCALATE_SENTIMENT => {
                let score = tool::score(&arguments);
                let before = self.scores.insert(call_id, score);
                self.unclear |= before.is_some_and(|before| before != score);
            }
            _ => {}
        }
    }

    fn joined(&mut self, participant: &Participant) {
        let before = self.roles.insert(participant.id.clone(), participant.role);
        // What somebody said before they were known as the caller is sorted in.
        self.unclear |= before.is_some_and(|before| before != participant.role);
        if participant.role == Role::Supervisor {
            self.humans.insert(participant.id.clone());
            self.over = true;
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Rate { turn_id, rev, .. } => {
                // With a human on the call nothing is rated, unless the session's end has sent everybody away.
                self.unclear |= self.over;
                self.turns.entry(turn_id).or_default().waits = Some(rev);
            }
            Output::Report { report } => match report {
                Report::Turn(turn) => self.told.push(Told::Turn { ordinal: turn.turn, id: turn.turn_id }),
                Report::Unrated { turn, turn_id, .. } => self.told.push(Told::Turn { ordinal: turn, id: turn_id }),
                Report::Tool { call_id, .. } => self.told.push(Told::Tool { call_id }),
                Report::Escalation { .. } => self.unclear = true,
                Report::Ended { turns, .. } => self.turns_in_all = Some(turns),
                _ => {}
            },
            Output::Wait { .. } | Output::Ended { .. } => self.settle(),
            _ => {}
        }
    }

    /// An input is dealt with: what it led to is written down.
    fn settle(&mut self) {
        let (rated, told) = (self.rated.take(), std::mem::take(&mut self.told));
        if self.over || self.unclear {
            return;
        }
        if let Some(place) = rated.and_then(|id| self.order.iter().position(|known| *known == id)) {
            self.unclear |= told.iter().any(|told| matches!(told, Told::Tool { .. }));
            self.back(place);
        }
        for told in told {
            match told {
                Told::Turn { ordinal, id } => {
                    let place = (ordinal as usize).saturating_sub(1);
                    match self.order.get(place) {
                        Some(known) => self.unclear |= *known != id,
                        None if place == self.order.len() => {
                            self.order.push(id);
                            self.count();
                        }
                        None => self.unclear = true,
                    }
                }
                Told::Tool { call_id } => {
                    // Arguments that make no sense are refused under all settings.
                    if let Some(Some(score)) = self.scores.get(&call_id) {
                        self.trace.steps.push(Step::Tool(*score));
                    }
                }
            }
        }
        self.count();
    }

    /// Counts anew from a place on: the turn there has a new rating.
    fn back(&mut self, place: usize) {
        if place < self.counted {
            self.trace.steps.push(Step::Back(place));
            self.counted = place;
        }
    }

    /// Counts the turns that are told and not counted yet.
    fn count(&mut self) {
        let waits = |id: &String| self.turns.get(id).is_some_and(|known| known.waits.is_some());
        if self.counted < self.order.len() && self.order.iter().any(waits) {
            self.unclear = true;
            return;
        }
        while let Some(id) = self.order.get(self.counted) {
            let Some(rating) = self.turns.get(id).and_then(|known| known.rating.clone()) else {
                self.unclear = true;
                return;
            };
            self.trace.steps.push(Step::Turn(rating));
            self.counted += 1;
        }
    }
}
