//! What the rater is asked, and what becomes of its answers.

use super::Call;
use super::event::{Output, RateResult};
use super::rated::Rated;
use super::segment::TurnKey;
use crate::room::message::Role;
use crate::sentiment::{ContextTurn, Rating, Sentiment, Speaker, TurnInContext};

/// How long past the rater's own deadline the core waits before it takes a turn for unrated.
const RATER_GRACE_MS: u64 = 1_000;

impl Call {
    /// Asks for ratings of the caller turns that are new or have new words, and recounts from there.
    pub(super) fn request_ratings(&mut self) {
        for key in self.book.take_changed() {
            match self.roster.role(&self.book.turn(key).participant_id) {
                Some(Role::Caller) => self.request_rating(key),
                Some(Role::Agent) => self.forget_echo_of(key),
                _ => {}
            }
        }
        if let Some(first) = self.book.take_disturbed() {
            self.recount(first);
        }
    }

    fn request_rating(&mut self, key: TurnKey) {
        let turn = self.book.turn(key);
        if self.ratings.knows_revision(key, turn.rev) {
            // Only who said it is another now.
            return;
        }
        let before = self.ratings.forget(key);
        if turn.is_empty() {
            return;
        }
        if self.is_echo(key) {
            return self.drop_echo(key);
        }
        let (turn_id, rev) = (turn.id.clone(), turn.rev);
        if self.human_present() {
            return self.ratings.keep(key, rev, before);
        }
        let turn = self.in_context(key);
        self.out.push_back(Output::Rate { turn_id, rev, turn });
        let due = self.now.plus(self.settings.rater_deadline_ms + RATER_GRACE_MS);
        self.ratings.ask(key, rev, due, before);
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

    pub(super) fn context_turn(&self, key: TurnKey) -> Option<ContextTurn> {
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

    /// The rater is done with a turn.
    pub(super) fn rated(&mut self, turn_id: &str, rev: u32, result: RateResult) {
        let Some(key) = self.book.find(turn_id) else { return };
        if self.book.turn(key).rev == rev && self.ratings.take(key, result) {
            self.recount(self.book.position(key));
        }
    }

    /// Gives up the ratings that should have come by now.
    pub(super) fn give_up_ratings(&mut self) {
        while let Some(key) = self.ratings.give_up(self.now, self.settings.rater_deadline_ms) {
            self.recount(self.book.position(key));
        }
    }

    pub(super) fn is_callers(&self, key: TurnKey) -> bool {
        self.roster.role(&self.book.turn(key).participant_id) == Some(Role::Caller)
    }

    /// How far the rating of a caller turn is.
    pub(super) fn callers_rating(&self, key: TurnKey) -> Option<&Rated> {
        self.ratings.of(key).filter(|_| self.is_callers(key))
    }

    pub(super) fn rating(&self, key: TurnKey) -> Option<&Rating> {
        match self.callers_rating(key)? {
            Rated::Done(rating) => Some(rating),
            _ => None,
        }
    }

    /// All ratings so far, oldest first.
    pub(super) fn history(&self) -> Vec<Sentiment> {
        self.book.order().iter().filter_map(|key| self.rating(*key)).map(|rating| rating.sentiment).collect()
    }
}
