//! Echo: what the agent just said, heard again on the caller's line, is no caller turn.

use super::Call;
use super::odd::Odd;
use super::segment::TurnKey;
use crate::room::message::Role;
use crate::sentiment::likeness::{found_in, words};

/// Fewer words may well be the caller's own: an address read back, a word repeated.
const FEWEST_WORDS: usize = 5;
/// Longer turns are nobody's echo, and would take long to compare.
const MOST_WORDS: usize = 80;
/// So much of it must be the agent's words.
const SHARE: f64 = 0.85;
/// So many of the agent's last turns are "just said".
const AGENT_TURNS: usize = 2;

impl Call {
    /// Whether a caller turn is what the agent just said.
    pub(super) fn is_echo(&self, key: TurnKey) -> bool {
        let turn = self.book.turn(key);
        let heard = words(&turn.text);
        if !(FEWEST_WORDS..=MOST_WORDS).contains(&heard.len()) {
            return false;
        }
        let own = self.own_words.still_heard(self.now).map(str::to_owned);
        let open = self.roster.with(Role::Agent).filter_map(|who| self.book.open_text(who));
        let agent = self.book.order()[..self.book.position(key)].iter().rev();
        let agent =
            agent.map(|k| self.book.turn(*k)).filter(|t| self.roster.role(&t.participant_id) == Some(Role::Agent));
        let closed = agent.take(AGENT_TURNS).map(|t| t.text.clone());
        own.chain(open).chain(closed).any(|said| found_in(&heard, &words(&said)) >= SHARE)
    }

    /// An agent turn that is only known now may be what was taken for a caller turn.
    pub(super) fn forget_echo_of(&mut self, agent_turn: TurnKey) {
        let next = self.book.position(agent_turn) + 1;
        let Some(key) = self.book.order().get(next).copied() else { return };
        if self.ratings.knows(key) && self.is_echo(key) {
            self.drop_echo(key);
            self.recount(next);
        }
    }

    pub(super) fn drop_echo(&mut self, key: TurnKey) {
        self.ratings.forget(key);
        self.odd(Odd::Echo);
    }
}
