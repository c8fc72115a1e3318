//! Calls whose rows are still coming, in files that hold many: however long the file, only those that are not over yet
//! are held.

use std::collections::{HashMap, HashSet, VecDeque};

use super::call::Call;

/// How many bytes of words are held before the oldest call is taken for over.
const MAX_HELD: usize = if cfg!(test) { 64 * 1024 } else { 32 * 1024 * 1024 };
/// Bytes that a piece takes beside its words.
const PIECE: usize = 64;

/// What is wrong with a call whose rows stand far from each other.
pub(super) const SCATTERED: &str = "has rows far from the others of its call; sort the file by the call's id";

/// Calls in the order of their first rows.
#[derive(Debug, Default)]
pub(super) struct Open {
    calls: VecDeque<Call>,
    /// Where a call is in `calls`, counted from the first that ever was.
    at: HashMap<Option<String>, usize>,
    gone: usize,
    held: usize,
    over: HashSet<Option<String>>,
}

impl Open {
    /// The call of this id, begun when it is new; `None` when it was taken for over.
    pub(super) fn call(&mut self, id: Option<String>) -> Option<&mut Call> {
        if self.over.contains(&id) {
            return None;
        }
        let at = match self.at.get(&id) {
            Some(at) => *at,
            None => {
                let at = self.gone + self.calls.len();
                self.at.insert(id.clone(), at);
                self.calls.push_back(Call { id, ..Call::default() });
                at
            }
        };
        self.calls.get_mut(at - self.gone)
    }

    /// Counts words that were said in one of them.
    pub(super) fn heard(&mut self, bytes: usize) {
        self.held += bytes + PIECE;
    }

    /// The oldest call, when more is held than should be; it is over then.
    pub(super) fn overdue(&mut self) -> Option<Call> {
        if self.held <= MAX_HELD || self.calls.len() < 2 {
            return None;
        }
        let call = self.oldest()?;
        self.over.insert(call.id.clone());
        Some(call)
    }

    /// The oldest call.
    pub(super) fn oldest(&mut self) -> Option<Call> {
        let call = self.calls.pop_front()?;
        self.gone += 1;
        self.held = self.held.saturating_sub(call.pieces.iter().map(|piece| piece.text.len() + PIECE).sum());
        self.at.remove(&call.id);
        Some(call)
    }

    /// Whether there was never more than one.
    pub(super) fn is_single(&self) -> bool {
        self.gone + self.calls.len() <= 1
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Forgets all that are not over.
    pub(super) fn clear(&mut self) {
        self.calls.clear();
    }
}
