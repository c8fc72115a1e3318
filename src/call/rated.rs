//! How far the rating of each caller turn is, and what was last told of it.

use std::collections::HashMap;

use super::event::RateResult;
use super::segment::TurnKey;
use crate::clock::Millis;
use crate::sentiment::{RateError, Rating};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rated {
    Waiting,
    Done(Rating),
    Failed(RateError),
    /// A human was on the call.
    Skipped,
}

/// What was last reported of a turn: nothing is said twice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) rev: u32,
    pub(super) rating: Rating,
    pub(super) ordinal: u32,
    pub(super) streak: u32,
    pub(super) mean: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct TurnState {
    /// The revision of the turn's words that the rating is, or will be, of.
    rev: u32,
    pub(super) rated: Rated,
    pub(super) told: Option<Told>,
    /// The number under which the turn was last reported as unrated.
    pub(super) told_unrated: Option<u32>,
}

/// The ratings of a call's turns.
#[derive(Debug, Default)]
pub(super) struct Ratings {
    states: HashMap<TurnKey, TurnState>,
    /// Turns whose rating is under way, and when it is given up.
    waiting: Vec<(TurnKey, Millis)>,
}

impl Ratings {
    pub(super) fn of(&self, key: TurnKey) -> Option<&Rated> {
        self.states.get(&key).map(|state| &state.rated)
    }

    pub(super) fn state_mut(&mut self, key: TurnKey) -> Option<&mut TurnState> {
        self.states.get_mut(&key)
    }

    /// Whether a turn was rated, or is to be.
    pub(super) fn knows(&self, key: TurnKey) -> bool {
        self.states.contains_key(&key)
    }

    /// The same, at this revision of its words.
    pub(super) fn knows_revision(&self, key: TurnKey, rev: u32) -> bool {
        self.states.get(&key).is_some_and(|state| state.rev == rev)
    }

    /// Whether a rating is under way.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When the next one is given up.
    pub(super) fn deadline(&self) -> Option<Millis> {
        self.waiting.iter().map(|(_, due)| *due).min()
    }

    /// A turn is not, or no more, to be rated as it was. Returns what was known of it.
    pub(super) fn forget(&mut self, key: TurnKey) -> Option<TurnState> {
        self.waiting.retain(|(waits, _)| *waits != key);
        self.states.remove(&key)
    }

    /// A turn is being rated at a revision of its words, until `due`.
    pub(super) fn ask(&mut self, key: TurnKey, rev: u32, due: Millis, before: Option<TurnState>) {
        self.waiting.push((key, due));
        self.put(key, rev, Rated::Waiting, before);
    }

    /// A turn is not rated at a revision of its words: it keeps the rating that it has.
    pub(super) fn keep(&mut self, key: TurnKey, rev: u32, before: Option<TurnState>) {
        let rated = before.as_ref().map(|state| state.rated.clone());
        let rated = rated.filter(|rated| *rated != Rated::Waiting).unwrap_or(Rated::Skipped);
        self.put(key, rev, rated, before);
    }

    fn put(&mut self, key: TurnKey, rev: u32, rated: Rated, before: Option<TurnState>) {
        let told = before.and_then(|state| state.told);
        self.states.insert(key, TurnState { rev, rated, told, told_unrated: None });
    }

    /// The rater is done with a turn. Returns whether that is news.
    pub(super) fn take(&mut self, key: TurnKey, result: RateResult) -> bool {
        let Some(state) = self.states.get_mut(&key) else { return false };
        let rated = match (result, &state.rated) {
            (_, Rated::Skipped) => return false,
            (RateResult::Rating(rating), _) => Rated::Done(rating),
            // A rating that is there is better than a later failure.
            (RateResult::Unrated(_), Rated::Done(_)) => return false,
            (RateResult::Unrated(error), _) => Rated::Failed(error),
        };
        state.rated = rated;
        self.waiting.retain(|(waits, _)| *waits != key);
        true
    }

    /// A turn whose rating should have come by now: it is given up.
    pub(super) fn give_up(&mut self, now: Millis, deadline_ms: u64) -> Option<TurnKey> {
        let at = self.waiting.iter().position(|(_, due)| *due <= now)?;
        let (key, _) = self.waiting.remove(at);
        if let Some(state) = self.states.get_mut(&key) {
            state.rated = Rated::Failed(RateError::Deadline { deadline_ms });
        }
        Some(key)
    }
}
