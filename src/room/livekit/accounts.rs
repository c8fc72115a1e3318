//! Which of the accounts of one conversation counts ([`Accounts`]). Agents tell of it in up to three ways at once: as turns of
//! their session, as streams of transcript, and in the packets that were before those. Of all that agents tell, one account of one
//! agent is believed at a time, the best: nothing is counted twice.

use std::cmp::Ordering;
use std::collections::VecDeque;

/// How many are remembered whom somebody unknown took the word from.
const MAX_PASSED: usize = 16;

/// How an agent tells of the conversation, from the least to the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// Packets with segments.
    Packets,
    /// Streams with segments.
    Streams,
    /// The turns of its session, with ids that stay.
    Session,
}

/// How sure it is that somebody may tell of the conversation, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// They have left, or are nobody whom we listen to.
    Out,
    /// The server has not told us of them: their data was faster, or they are hidden.
    Unknown,
    /// They are in the room.
    There,
}

/// Whose account is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// How it tells.
    pub(super) way: Way,
    /// The agent's stay.
    pub(super) sid: String,
}

/// What comes of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belief {
    /// Another one is believed.
    Not,
    /// It is believed, as it was, or as the first one.
    Still,
    /// It is believed from now on, instead of another one.
    Instead,
}

/// Whose account is believed, of all who tell of a conversation.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    source: Option<Source>,
    /// Whom nobody told us of, and from whom somebody else of that kind took the word: so that they do not take turns.
    passed: VecDeque<String>,
}

impl Accounts {
    /// Whose account is believed.
    pub(super) fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Whether an account is believed; a better one is from now on. Whoever is in the room is believed before somebody of whom
    /// we do not know that. Of two of whom we do not know it, the later one is: who is hidden leaves without a word.
    pub(super) fn hears(&mut self, way: Way, sid: &str, standing: impl Fn(&str) -> Standing) -> Belief {
        let teller = standing(sid);
        let Some(source) = &self.source else {
            // The last words of who has just left count, and keep nobody else out.
            if teller != Standing::Out {
                self.source = Some(Source { way, sid: sid.to_owned() });
            }
            return Belief::Still;
        };
        let current = standing(&source.sid);
        let is_better = match (teller, way).cmp(&(current, source.way)) {
            Ordering::Less => return Belief::Not,
            Ordering::Equal if source.sid == sid => return Belief::Still,
            Ordering::Equal => teller == Standing::Unknown && !self.passed.iter().any(|passed| passed == sid),
            Ordering::Greater => true,
        };
        if !is_better {
            return Belief::Not;
        }
        let before = self.source.replace(Source { way, sid: sid.to_owned() });
        if current == Standing::Unknown {
            self.passed.extend(before.map(|before| before.sid).filter(|before| before != sid));
            if self.passed.len() > MAX_PASSED {
                self.passed.pop_front();
            }
        }
        Belief::Instead
    }

    /// Somebody is gone: another one's account may be believed. Returns whether theirs was.
    pub(super) fn forget(&mut self, sid: &str) -> bool {
        self.source.take_if(|source| source.sid == sid).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_in_the_room_is_believed_before_somebody_unknown_and_who_has_left_keeps_nobody_out() {
        let standing = |sid: &str| match sid.as_bytes()[0] {
            b'-' => Standing::Out,
            b'?' => Standing::Unknown,
            _ => Standing::There,
        };
        let mut accounts = Accounts::default();
        let mut believed = |way, sid: &str| accounts.hears(way, sid, standing) != Belief::Not;
        assert!(believed(Way::Streams, "-left"), "their last words");
        assert!(believed(Way::Packets, "?stranger"), "nobody else tells yet");
        assert!(!believed(Way::Streams, "-left"), "somebody else does");
        assert!(believed(Way::Streams, "?stranger") && believed(Way::Packets, "agent"));
        assert!(!believed(Way::Streams, "?stranger"), "they do not take accounts");
        assert!(believed(Way::Streams, "agent") && !believed(Way::Packets, "agent"));
        assert!(!believed(Way::Streams, "another"), "of two who are there the first one is");
        let mut accounts = Accounts::default();
        let mut believed = |way, sid: &str| accounts.hears(way, sid, standing) != Belief::Not;
        assert!(believed(Way::Streams, "?hidden") && believed(Way::Streams, "?restarted"));
        assert!(!believed(Way::Streams, "?hidden") && believed(Way::Streams, "?restarted"), "nor do these");
        for restart in 0..2 * MAX_PASSED {
            assert!(believed(Way::Streams, &format!("?{restart}")));
        }
        assert_eq!(accounts.passed.len(), MAX_PASSED);
    }
}
