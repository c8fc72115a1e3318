//! Who said what, as the core has it ([`Said`]): every turn of everybody, in the order of the call. All that shows, keeps or
//! writes what was said in a call reads this, so that it tells of the turns that were rated.

use std::collections::HashMap;

use super::Call;
use super::segment::TurnKey;
use crate::clock::Millis;
use crate::room::message::Role;

/// What somebody said in one turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Every id that the turn has had, today's first: what was told of it earlier may name another.
    pub ids: Vec<String>,
    /// Who.
    pub participant_id: String,
    /// What they are in the call: as announced or, if nobody said so, as they were taken for.
    pub role: Role,
    /// The words.
    pub text: String,
    /// When the first of them came.
    pub heard_at: Millis,
    /// When they were said, in ms since the call began; where no times tell, when they came.
    pub start_ms: u64,
    /// When the last of them was said, likewise.
    pub end_ms: u64,
}

impl Call {
    /// What was said so far, without what nobody has finished yet. What is no caller turn for the rules is told as well: an echo,
    /// and what the caller says to a human.
    #[must_use]
    pub fn said(&self) -> Vec<Said> {
        let mut ids: HashMap<TurnKey, Vec<&String>> = HashMap::new();
        for (id, key) in &self.book.by_id {
            ids.entry(*key).or_default().push(id);
        }
        let words = self.book.order().iter().filter(|key| !self.book.turn(**key).is_empty());
        words.map(|key| self.said_in(*key, ids.remove(key).unwrap_or_default())).collect()
    }

    fn said_in(&self, key: TurnKey, mut ids: Vec<&String>) -> Said {
        let turn = self.book.turn(key);
        ids.retain(|id| **id != turn.id);
        // They come from a hash map.
        ids.sort();
        let who = &turn.participant_id;
        let segments = || turn.segments().filter_map(|id| self.book.segments.get(&(who.clone(), id.clone())));
        let came = || segments().map(|segment| segment.came);
        let heard_at = came().min().unwrap_or(turn.ended_at);
        let over_at = came().max().unwrap_or_default().max(turn.ended_at);
        let start = turn.start_ms().or_else(|| segments().filter_map(|segment| segment.start_ms).min());
        let end = turn.end_ms().or_else(|| segments().filter_map(|segment| segment.end_ms).max());
        let end_ms = end.unwrap_or(over_at.0);
        Said {
            ids: std::iter::once(&turn.id).chain(ids).cloned().collect(),
            participant_id: who.clone(),
            role: self.roster.role(who).unwrap_or(Role::Unknown),
            text: turn.text.clone(),
            heard_at,
            start_ms: start.unwrap_or(heard_at.0).min(end_ms),
            end_ms,
        }
    }
}
