//! The calls to tune on, and what each comes to under any cell.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;

use super::cell::Cell;
use super::trace::{Decided, Trace, Tracer, never};
use crate::call::event::Entry;
use crate::call::said::Said;
use crate::config::settings::Settings;
use crate::recording::Recording;
use crate::replay::engine;
use crate::replay::labels::Labelled;
use crate::replay::played::{Played, PlayedTurn};
use crate::replay::shorten;
use crate::room::message::Role;
use crate::sentiment::{RateError, RateFuture, Rater, Rating, Sentiment, TurnInContext};

/// The most characters of a turn that are kept.
const SAID: usize = 300;

/// A call to tune on.
#[derive(Debug)]
pub struct TunedCall {
    /// Where it came from.
    pub name: String,
    /// Whether a supervisor should be brought in, where that was judged.
    pub escalate: Option<bool>,
    /// From which caller turn on (0 is the first).
    pub at: Option<u32>,
    /// Who said what.
    pub lines: Vec<Line>,
    way: Way,
}

/// What somebody said in one turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Who.
    pub role: Role,
    /// Which caller turn, from 1; none of other people's, nor of what the caller says that is none.
    pub turn: Option<u32>,
    /// How it is rated; none of other people's turns and unrated ones.
    pub sentiment: Option<Sentiment>,
    /// Whether it neither counts nor resets, being filler.
    pub filler: bool,
    /// The words, shortened where they are many.
    pub text: Box<str>,
}

/// How a call is decided under some settings.
#[derive(Debug)]
enum Way {
    /// By the rules over what they were shown.
    Trace(Trace),
    /// By the core, as the order of things is not plain.
    Whole(Box<Whole>),
}

#[derive(Debug)]
struct Whole {
    recording: Recording,
    ratings: Known,
}

/// Ratings by all that the rater saw.
#[derive(Debug, Default)]
struct Known(std::sync::Mutex<Vec<(TurnInContext, Result<Rating, RateError>)>>);

/// A rater that remembers everything.
struct Remembering<'a> {
    inner: &'a dyn Rater,
    known: &'a Known,
}

impl Rater for Remembering<'_> {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        Box::pin(async move {
            let rated = self.inner.rate(turn).await;
            self.known.keep(turn, &rated);
            rated
        })
    }
}

impl Known {
    fn keep(&self, turn: &TurnInContext, rated: &Result<Rating, RateError>) {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.push((turn.clone(), rated.clone()));
    }
}

impl Rater for Known {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        let known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let found = known.iter().find(|(known, _)| known == turn).map(|(_, rated)| rated.clone());
        let none = || RateError::Failed { detail: "a turn that no rule was shown".to_owned() };
        Box::pin(std::future::ready(found.unwrap_or_else(|| Err(none()))))
    }
}

impl TunedCall {
    /// Rates a call's turns, once, and writes down what the rules get to see of it.
    pub async fn rated(call: Labelled, settings: &Settings, rater: &dyn Rater) -> Self {
        let (mut tracer, known) = (Tracer::default(), Known::default());
        let mut note = |entry: Entry| tracer.note(entry);
        let remembering = Remembering { inner: rater, known: &known };
        let played = engine::replay(&call.recording, &never(settings), &remembering, Some(&mut note)).await;
        let Labelled { name, recording, escalate, at, .. } = call;
        let lines = lines(&played);
        let way = match tracer.trace() {
            Some(trace) => Way::Trace(trace),
            None => Way::Whole(Box::new(Whole { recording, ratings: known })),
        };
        Self { name, escalate, at, lines, way }
    }

    /// The first escalation under these settings.
    #[must_use]
    pub fn decide(&self, settings: &Settings) -> Option<Decided> {
        match &self.way {
            Way::Trace(trace) => trace.decide(settings),
            Way::Whole(whole) => {
                // All that it waits for is known, so that it is done at once.
                let played = engine::replay(&whole.recording, settings, &whole.ratings, None).now_or_never()?;
                let first = played.escalations.first()?;
                Some(Decided { turn: first.turn, rule: first.rule })
            }
        }
    }

    /// Whether the core itself has to be asked for each settings.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.way, Way::Whole(_))
    }

    /// The caller turns.
    pub fn caller_turns(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.turn.is_some())
    }
}

/// Who said what, in the order of the call.
fn lines(played: &Played) -> Vec<Line> {
    let line = |(said, turn): (&Said, Option<&PlayedTurn>)| {
        let rated = turn.and_then(PlayedTurn::rated);
        Line {
            role: said.role,
            turn: turn.map(PlayedTurn::number),
            sentiment: rated.map(|rated| rated.sentiment),
            filler: rated.is_some_and(|rated| rated.filler),
            text: shorten(&said.text, SAID).into(),
        }
    };
    played.whole().map(line).collect()
}

/// No escalation, where a turn stands.
const NEVER: u16 = u16::MAX;

/// The calls, and what they come to under the cells that were asked about.
#[derive(Debug)]
pub struct Outcomes {
    /// The calls.
    pub calls: Vec<TunedCall>,
    /// What the cells are laid over.
    pub base: Settings,
    known: HashMap<Cell, Box<[u16]>>,
}

impl Outcomes {
    /// Nothing is known yet of these calls.
    #[must_use]
    pub fn new(calls: Vec<TunedCall>, base: Settings) -> Self {
        Self { calls, base, known: HashMap::new() }
    }

    /// Finds out what all calls come to under these cells, on all cores; `tell` hears now and then of how many calls
    /// that is known, and of how many it will be.
    pub fn find(&mut self, cells: impl IntoIterator<Item = Cell>, mut tell: impl FnMut(usize, usize)) {
        let mut new: Vec<Cell> = Vec::new();
        for cell in cells {
            if !self.known.contains_key(&cell) && !new.contains(&cell) {
                new.push(cell);
            }
        }
        if new.is_empty() {
            return;
        }
        let settings: Vec<Settings> = new.iter().map(|cell| cell.settings(&self.base)).collect();
        let (calls, next, done) = (&self.calls, AtomicUsize::new(0), AtomicUsize::new(0));
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut found: Vec<(usize, Vec<u16>)> = std::thread::scope(|scope| {
            let work = || {
                let mut found = Vec::new();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(call) = calls.get(at) else { return found };
                    // All cells of one call: what the rules are shown of it stays in the processor's cache.
                    found.push((at, settings.iter().map(|settings| packed(call.decide(settings))).collect()));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            };
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            while workers.iter().any(|worker| !worker.is_finished()) {
                tell(done.load(Ordering::Relaxed), calls.len());
                std::thread::sleep(Duration::from_millis(2));
            }
            // A panic of a worker goes on here.
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        found.sort_unstable_by_key(|(at, _)| *at);
        for (column, cell) in new.into_iter().enumerate() {
            self.known.insert(cell, found.iter().map(|(_, turns)| turns[column]).collect());
        }
    }

    /// After which caller turn (from 1; 0 is before the first) each call escalates under a cell that was asked about.
    pub fn of(&self, cell: &Cell) -> impl Iterator<Item = Option<u32>> {
        let known = self.known.get(cell).map(|turns| &turns[..]).unwrap_or_default();
        known.iter().map(|turn| (*turn != NEVER).then_some(u32::from(*turn)))
    }

    /// Which rule it is that escalates a call under a cell, and when.
    #[must_use]
    pub fn decided(&self, call: usize, cell: &Cell) -> Option<Decided> {
        self.calls.get(call)?.decide(&cell.settings(&self.base))
    }

    /// How many cells were asked about.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.known.len()
    }
}

/// Calls of more turns than this are told as of this many.
fn packed(decided: Option<Decided>) -> u16 {
    decided.map_or(NEVER, |decided| u16::try_from(decided.turn).unwrap_or(NEVER).min(NEVER - 1))
}
