//! What we had the agent say.

use std::collections::VecDeque;

use crate::clock::Millis;

/// How long a sentence of ours may take until it is heard, in ms.
const OWN_WORDS_MS: u64 = 30_000;

/// The sentences that we had the agent say.
#[derive(Debug, Default)]
pub(super) struct OwnWords(VecDeque<(Millis, String)>);

impl OwnWords {
    pub(super) fn said(&mut self, now: Millis, text: &str) {
        self.0.push_back((now, text.to_owned()));
        self.0.truncate(4);
    }

    /// Those that may still be heard.
    pub(super) fn still_heard(&self, now: Millis) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(at, _)| at.plus(OWN_WORDS_MS) >= now).map(|(_, text)| text.as_str())
    }
}
